// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// Runs CUDA kernels on the CPU, with checks, where no GPU is: design/028-cuda.md.
//
// Each thread of a block is a fiber of its own. A block runs until every fiber waits or has ended; then warps and the
// block are let go on. What a GPU leaves undefined ends here in a Fault that names file and line, block and thread:
//   - shared or global memory out of bounds, misaligned, or read before anybody wrote it;
//   - two threads at one word, one of them writing, with nothing between that orders them (also within a warp, and
//     between blocks of one launch);
//   - asynchronous copies read before the wait: they arrive as late as the program allows; bulk copies misaligned, of
//   other sizes than announced, waited for in vain or by nobody;
//   - barriers not reached by all threads, or at different lines; warp operations that name lanes that do not take
//   part;
//   - launches of shapes that no device takes.
// Blocks, warps and lanes take turns in an order that set_schedule() chooses. Not modelled: textures, tensor cores,
// time.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "core/view.hpp"
#include "cuda/emulated_devices.hpp"

namespace cryolith::emulated {

struct Fault : std::runtime_error {
  using runtime_error::runtime_error;
};

// A place in a kernel. As a default argument it is that of the call.
struct Site {
  const char* file;
  int line;
  static constexpr Site here(const char* file = __builtin_FILE(), int line = __builtin_LINE()) { return {file, line}; }
  bool operator==(const Site& other) const { return line == other.line && std::strcmp(file, other.file) == 0; }
};

struct Dim3 {
  unsigned x = 1, y = 1, z = 1;
  index_t size() const { return index_t{x} * y * z; }
};

inline constexpr int kWarp = 32;
inline constexpr index_t kMostThreads = 1024, kMostSharedBytes = 227 * 1024;  // of a block on compute capability 9.0

// 0: ascending; 1: descending; any other: a random order for each launch, drawn anew after every wait, in which the
// threads of a block also take turns at each atomic access.
void set_schedule(unsigned seed);

// For tests of the tests: every barrier and wait that ran since the last call, and one that is left out from now on
// (Site{"", 0}: none).
std::vector<Site> visited_sites();
void leave_out(Site site);

// What ran since the last call.
struct Counts {
  index_t blocks = 0, barriers = 0, shared_bytes_read = 0, global_bytes_read = 0, global_bytes_written = 0;
};
Counts counts();

// Runs `body` once for each thread of each block.
void launch_body(Dim3 grid, Dim3 block, index_t shared_bytes, const std::function<void()>& body);

// ---- what a kernel asks -----------------------------------------------------------------------------------------
Dim3 thread_index();
Dim3 block_index();
int lane_index();  // of the thread in its warp
void sync_block(Site at = Site::here());
void sync_warp(Site at = Site::here());

enum class Access { read, write, atomic, atomic_read };
void touch_shared(index_t byte, index_t bytes, Access access, Site at);
void touch_global(const void* p, index_t bytes, Access access, Site at);
unsigned char* shared_bytes();
void copy_async_bytes(index_t to, const void* from, bool valid, Site at);
void copy_commit();
void copy_wait_for(index_t groups_left, Site at);
void gate_make(index_t gate, Site at);
void gate_expect(index_t gate, index_t bytes, Site at);
void gate_copy(index_t gate, index_t to, const void* from, index_t bytes, Site at);
void gate_wait(index_t gate, unsigned parity, Site at);
std::uint64_t exchange(std::uint64_t value, int lane, Site at);  // the value of that lane; its own where there is none
unsigned votes(bool yes, Site at);                               // a bit for each lane of the warp

// A pointer into the block's shared memory.
template <class T>
struct Shared {
  index_t byte = 0;
  Shared operator+(index_t i) const { return {byte + i * static_cast<index_t>(sizeof(T))}; }
  bool operator==(const Shared&) const = default;
};

// ---- global memory ----------------------------------------------------------------------------------------------
// Memory of this thread's device, 256-byte aligned, that its kernels may use; what nobody wrote is NaN and may not be
// read.
class Memory {
 public:
  explicit Memory(index_t bytes);
  // Memory that somebody else owns, and has written.
  Memory(void* data, index_t bytes);
  void* data() const { return data_; }
  void write(index_t offset, const void* from, index_t bytes);
  void read(index_t offset, void* to, index_t bytes) const;  // Fault where nobody wrote
  // Into this thread's stream; done when that was waited for. The host's bytes stay as they are until then.
  void begin_write(index_t offset, const void* from, index_t bytes);
  void begin_read(index_t offset, void* to, index_t bytes) const;
  void clear();           // to zeros
  void hand_out() const;  // to others, who see what they like: Fault where nobody wrote

  struct State;

 private:
  index_t at(index_t offset, index_t bytes) const;  // in the state
  std::shared_ptr<State> state_;
  unsigned char* data_;
  index_t bytes_;
};

// Host memory that copies pass while kernels run; NaN at first.
class PinnedMemory {
 public:
  explicit PinnedMemory(index_t bytes) : bytes_(static_cast<std::size_t>(bytes), static_cast<unsigned char>(0xff)) {}
  void* data() { return bytes_.data(); }

 private:
  std::vector<unsigned char> bytes_;
};

}  // namespace cryolith::emulated
