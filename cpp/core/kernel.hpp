// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// The words that kernels are written in, twice: nvcc's own, and those of the emulation, which checks each of them
// (cuda/emulate.hpp). A kernel is a type with its arguments as members,
//   struct Scale {
//     static constexpr int kThreads = 256, kBlocks = 1;  // threads of a block, and blocks that one processor has to
//     hold float* data; index_t n; CRYOLITH_DEVICE_CODE void operator()() const;
//   };
// in the namespace cryolith::CRYOLITH_DEVICE, so that both may live in one library.
#include "core/portable.hpp"
#include "core/view.hpp"

#if defined(__CUDACC__)
#include "cuda/runtime.hpp"
#else
#include <cmath>
#include <numbers>

#include "cuda/emulate.hpp"
#endif

#if defined(__CUDACC__)
#define CRYOLITH_DEVICE cuda
#define CRYOLITH_DEVICE_CODE __device__ __forceinline__
#define CRYOLITH_UNROLL _Pragma("unroll")
#define CRYOLITH_KEEP_LOOP _Pragma("unroll 1")

namespace cryolith::cuda {

using Dim3 = dim3;
using GlobalMemory = PlainMemory;
inline constexpr int kWarp = 32;
template <class T>
using Shared = T*;

CRYOLITH_DEVICE_CODE dim3 thread_index() { return threadIdx; }
CRYOLITH_DEVICE_CODE dim3 block_index() { return blockIdx; }
CRYOLITH_DEVICE_CODE void sync_block() { __syncthreads(); }
CRYOLITH_DEVICE_CODE void sync_warp() { __syncwarp(); }

template <class T>
CRYOLITH_DEVICE_CODE Shared<T> shared_memory() {
  extern __shared__ __align__(16) unsigned char cryolith_shared[];
  return reinterpret_cast<T*>(cryolith_shared);
}
template <class To, class T>
CRYOLITH_DEVICE_CODE Shared<To> shared_cast(Shared<T> p) {
  return reinterpret_cast<To*>(p);
}
template <class V, class T>
CRYOLITH_DEVICE_CODE V load_shared(T* p) {
  return *reinterpret_cast<const V*>(p);
}
template <class V, class T>
CRYOLITH_DEVICE_CODE void store_shared(T* p, const V& v) {
  *reinterpret_cast<V*>(p) = v;
}
template <class V, class T>
CRYOLITH_DEVICE_CODE V load(const T* p) {
  return *reinterpret_cast<const V*>(p);
}
// Of data that nothing writes during the launch.
template <class V, class T>
CRYOLITH_DEVICE_CODE V load_constant(const T* p) {
  static_assert(sizeof(V) == 4 || sizeof(V) == 8 || sizeof(V) == 16, "one load instruction");
  union {
    V value;
    unsigned one;
    uint2 two;
    uint4 four;
  } u;
  if constexpr (sizeof(V) == 4) u.one = __ldg(reinterpret_cast<const unsigned*>(p));
  if constexpr (sizeof(V) == 8) u.two = __ldg(reinterpret_cast<const uint2*>(p));
  if constexpr (sizeof(V) == 16) u.four = __ldg(reinterpret_cast<const uint4*>(p));
  return u.value;
}
template <class V, class T>
CRYOLITH_DEVICE_CODE void store(T* p, const V& v) {
  *reinterpret_cast<V*>(p) = v;
}
CRYOLITH_DEVICE_CODE void add_atomic(float* p, float v) { atomicAdd(p, v); }
// Numbers that several threads change during a launch. Each access is whole; nothing else is ordered by it. min_atomic
// returns what was there.
CRYOLITH_DEVICE_CODE int load_atomic(const int* p) { return *reinterpret_cast<const volatile int*>(p); }
CRYOLITH_DEVICE_CODE int min_atomic(int* p, int v) { return atomicMin(p, v); }
CRYOLITH_DEVICE_CODE int load_shared_atomic(Shared<int> p) { return *reinterpret_cast<const volatile int*>(p); }
CRYOLITH_DEVICE_CODE int min_shared_atomic(Shared<int> p, int v) { return atomicMin(p, v); }
CRYOLITH_DEVICE_CODE float multiply_add(float a, float b, float c) { return __fmaf_rn(a, b, c); }
// Never part of a fused operation.
CRYOLITH_DEVICE_CODE float add(float a, float b) { return __fadd_rn(a, b); }
CRYOLITH_DEVICE_CODE float smaller(float a, float b) { return fminf(a, b); }
CRYOLITH_DEVICE_CODE float square_root(float a) { return __fsqrt_rn(a); }
// Of pi times a number.
CRYOLITH_DEVICE_CODE double cos_pi(double half_turns) { return cospi(half_turns); }
CRYOLITH_DEVICE_CODE double sin_pi(double half_turns) { return sinpi(half_turns); }
// Of a word that is not 0.
CRYOLITH_DEVICE_CODE int lowest_bit(unsigned word) { return __ffs(static_cast<int>(word)) - 1; }
CRYOLITH_DEVICE_CODE int highest_bit(unsigned word) { return 31 - __clz(static_cast<int>(word)); }

// 16 bytes from global to shared memory past the registers; zeros where not valid (nothing is read there). Compute
// capability 7.5 has no such copies: there they go through registers, at once.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
template <class T, class U>
CRYOLITH_DEVICE_CODE void copy_async(Shared<T> to, const U* from, bool valid) {
  *reinterpret_cast<uint4*>(to) = valid ? *reinterpret_cast<const uint4*>(from) : uint4{0, 0, 0, 0};
}
CRYOLITH_DEVICE_CODE void commit_copies() {}
template <int kGroupsLeft>
CRYOLITH_DEVICE_CODE void wait_for_copies() {}
#else
template <class T, class U>
CRYOLITH_DEVICE_CODE void copy_async(Shared<T> to, const U* from, bool valid) {
  asm volatile(
      "cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(static_cast<unsigned>(__cvta_generic_to_shared(to))),
      "l"(from), "r"(valid ? 16 : 0)
      : "memory");
}
CRYOLITH_DEVICE_CODE void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int kGroupsLeft>
CRYOLITH_DEVICE_CODE void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kGroupsLeft) : "memory");
}
#endif

// Bulk copies: one thread asks for a whole piece of memory, without any thread's registers or addresses. A gate in
// shared memory opens for the phase in which a thread announced so many bytes and copies of so many have arrived;
// phases have parity 0, 1, 0 ... Addresses and sizes are multiples of 16 bytes. After make_gate() a sync_block() is
// due. elect() is true for one lane of a warp. From compute capability 9.0 on, and not on 12.0, for which nvcc 13.0
// spills registers around them.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900 && __CUDA_ARCH__ < 1200
inline constexpr bool kBulkCopies = true;
#else
inline constexpr bool kBulkCopies = false;
#endif
CRYOLITH_DEVICE_CODE unsigned shared_address(const void* p) {
  return static_cast<unsigned>(__cvta_generic_to_shared(p));
}
CRYOLITH_DEVICE_CODE bool elect() {
  unsigned one;
  asm volatile(
      "{\n"
      ".reg .pred one;\n"
      "elect.sync _|one, 0xffffffff;\n"
      "selp.u32 %0, 1, 0, one;\n"
      "}"
      : "=r"(one));
  return one != 0;
}
template <class T>
CRYOLITH_DEVICE_CODE void make_gate(Shared<T> gate) {
  asm volatile(
      "mbarrier.init.shared::cta.b64 [%0], 1;\n"
      "fence.mbarrier_init.release.cluster;" ::"r"(shared_address(gate))
      : "memory");
}
template <class T>
CRYOLITH_DEVICE_CODE void expect_bytes(Shared<T> gate, int bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(gate)), "r"(bytes)
               : "memory");
}
template <class T, class U, class V>
CRYOLITH_DEVICE_CODE void copy_bulk(Shared<T> gate, Shared<U> to, const V* from, int bytes) {
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
                   shared_address(to)),
               "l"(from), "r"(bytes), "r"(shared_address(gate))
               : "memory");
}
template <class T>
CRYOLITH_DEVICE_CODE void wait_at_gate(Shared<T> gate, unsigned parity) {
  asm volatile(
      "{\n"
      ".reg .pred open;\n"
      "again:\n"
      "mbarrier.try_wait.parity.shared::cta.b64 open, [%0], %1;\n"
      "@!open bra again;\n"
      "}" ::"r"(shared_address(gate)),
      "r"(parity)
      : "memory");
}

constexpr unsigned kAll = 0xffffffffu;
template <class T>
CRYOLITH_DEVICE_CODE T shuffle(T v, int lane) {
  return __shfl_sync(kAll, v, lane);
}
template <class T>
CRYOLITH_DEVICE_CODE T shuffle_down(T v, int lanes) {
  return __shfl_down_sync(kAll, v, lanes);
}
template <class T>
CRYOLITH_DEVICE_CODE T shuffle_xor(T v, int lanes) {
  return __shfl_xor_sync(kAll, v, lanes);
}
CRYOLITH_DEVICE_CODE unsigned ballot(bool yes) { return __ballot_sync(kAll, yes); }

// Bytes of shared memory that each of so many blocks on one processor may ask for.
inline index_t most_shared_bytes(int blocks) {
  int device = 0, of_block = 0, of_all = 0, kept = 0;
  check(cudaGetDevice(&device), "cudaGetDevice");
  const auto ask = [&](int& value, cudaDeviceAttr what) {
    check(cudaDeviceGetAttribute(&value, what, device), "cudaDeviceGetAttribute");
  };
  ask(of_block, cudaDevAttrMaxSharedMemoryPerBlockOptin);
  ask(of_all, cudaDevAttrMaxSharedMemoryPerMultiprocessor);
  ask(kept, cudaDevAttrReservedSharedMemoryPerBlock);
  return lesser(of_block, of_all / blocks - kept);
}

template <class Kernel>
__global__ void __launch_bounds__(Kernel::kThreads, Kernel::kBlocks) run(const Kernel kernel) {
  kernel();
}

template <class Kernel>
void launch(Dim3 grid, index_t shared_bytes, const Kernel& kernel) {
  constexpr index_t without_asking = 48 * 1024;
  if (shared_bytes > without_asking)
    check(
        cudaFuncSetAttribute(run<Kernel>, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared_bytes)),
        "asking for shared memory");
  run<Kernel><<<grid, Kernel::kThreads, static_cast<std::size_t>(shared_bytes), current_stream()>>>(kernel);
  check(cudaGetLastError(), "launch");
}

}  // namespace cryolith::cuda

#else
#define CRYOLITH_DEVICE emulated
#define CRYOLITH_DEVICE_CODE inline
#define CRYOLITH_UNROLL
#define CRYOLITH_KEEP_LOOP

namespace cryolith::emulated {

template <class T>
Shared<T> shared_memory() {
  return {};
}
template <class To, class T>
Shared<To> shared_cast(Shared<T> p) {
  return {p.byte};
}
template <class V, class T>
V load_shared(Shared<T> p, Site site = Site::here()) {
  touch_shared(p.byte, sizeof(V), Access::read, site);
  V v;
  std::memcpy(&v, shared_bytes() + p.byte, sizeof v);
  return v;
}
template <class V, class T>
void store_shared(Shared<T> p, const V& v, Site site = Site::here()) {
  touch_shared(p.byte, sizeof(V), Access::write, site);
  std::memcpy(shared_bytes() + p.byte, &v, sizeof v);
}
template <class V, class T>
V load(const T* p, Site site = Site::here()) {
  touch_global(p, sizeof(V), Access::read, site);
  V v;
  std::memcpy(static_cast<void*>(&v), p, sizeof v);
  return v;
}
template <class V, class T>
V load_constant(const T* p, Site site = Site::here()) {
  return load<V>(p, site);
}
template <class V, class T>
void store(T* p, const V& v, Site site = Site::here()) {
  touch_global(p, sizeof(V), Access::write, site);
  std::memcpy(static_cast<void*>(p), &v, sizeof v);
}
// In place of PlainMemory.
struct GlobalMemory {
  template <class T>
  static T read(const T* p, Site site = Site::here()) {
    return load<T>(p, site);
  }
  template <class T>
  static void write(T* p, T v, Site site = Site::here()) {
    store<T>(p, v, site);
  }
};
inline void add_atomic(float* p, float v, Site site = Site::here()) {
  touch_global(p, sizeof v, Access::atomic, site);
  *p += v;
}
inline int load_atomic(const int* p, Site site = Site::here()) {
  touch_global(p, sizeof *p, Access::atomic_read, site);
  return *p;
}
inline int min_atomic(int* p, int v, Site site = Site::here()) {
  touch_global(p, sizeof v, Access::atomic, site);
  const int was = *p;
  *p = v < was ? v : was;
  return was;
}
inline int load_shared_atomic(Shared<int> p, Site site = Site::here()) {
  touch_shared(p.byte, sizeof(int), Access::atomic_read, site);
  int v;
  std::memcpy(&v, shared_bytes() + p.byte, sizeof v);
  return v;
}
inline int min_shared_atomic(Shared<int> p, int v, Site site = Site::here()) {
  touch_shared(p.byte, sizeof v, Access::atomic, site);
  int was;
  std::memcpy(&was, shared_bytes() + p.byte, sizeof was);
  std::memcpy(shared_bytes() + p.byte, v < was ? &v : &was, sizeof v);
  return was;
}
inline float multiply_add(float a, float b, float c) { return std::fma(a, b, c); }
inline float add(float a, float b) { return a + b; }
inline float smaller(float a, float b) { return a < b ? a : b; }
inline float square_root(float a) { return std::sqrt(a); }
inline double cos_pi(double half_turns) { return std::cos(std::numbers::pi * half_turns); }
inline double sin_pi(double half_turns) { return std::sin(std::numbers::pi * half_turns); }
inline int lowest_bit(unsigned word) { return __builtin_ctz(word); }
inline int highest_bit(unsigned word) { return 31 - __builtin_clz(word); }

template <class T, class U>
void copy_async(Shared<T> to, const U* from, bool valid, Site site = Site::here()) {
  copy_async_bytes(to.byte, from, valid, site);
}
inline void commit_copies() { copy_commit(); }
template <int kGroupsLeft>
void wait_for_copies(Site site = Site::here()) {
  copy_wait_for(kGroupsLeft, site);
}

inline constexpr bool kBulkCopies = true;
inline bool elect() { return lane_index() == elected_lane(); }
template <class T>
void make_gate(Shared<T> gate, Site site = Site::here()) {
  gate_make(gate.byte, site);
}
template <class T>
void expect_bytes(Shared<T> gate, int bytes, Site site = Site::here()) {
  gate_expect(gate.byte, bytes, site);
}
template <class T, class U, class V>
void copy_bulk(Shared<T> gate, Shared<U> to, const V* from, int bytes, Site site = Site::here()) {
  gate_copy(gate.byte, to.byte, from, bytes, site);
}
template <class T>
void wait_at_gate(Shared<T> gate, unsigned parity, Site site = Site::here()) {
  gate_wait(gate.byte, parity, site);
}

template <class T>
T shuffle_from(T v, int lane, Site site) {
  static_assert(sizeof(T) <= sizeof(std::uint64_t) && std::is_trivially_copyable_v<T>);
  std::uint64_t bits = 0;
  std::memcpy(&bits, &v, sizeof v);
  bits = exchange(bits, lane, site);
  std::memcpy(&v, &bits, sizeof v);
  return v;
}
template <class T>
T shuffle(T v, int lane, Site site = Site::here()) {
  return shuffle_from(v, lane & (kWarp - 1), site);
}
template <class T>
T shuffle_down(T v, int lanes, Site site = Site::here()) {
  return shuffle_from(v, lane_index() + lanes, site);
}
template <class T>
T shuffle_xor(T v, int lanes, Site site = Site::here()) {
  return shuffle_from(v, lane_index() ^ lanes, site);
}
inline unsigned ballot(bool yes, Site site = Site::here()) { return votes(yes, site); }

inline index_t most_shared_bytes(int blocks) { return kMostSharedBytes / blocks; }

template <class Kernel>
void launch(Dim3 grid, index_t shared_bytes, const Kernel& kernel) {
  enqueue([=] { launch_body(grid, {Kernel::kThreads}, shared_bytes, [&kernel] { kernel(); }); });
}

}  // namespace cryolith::emulated
#endif
