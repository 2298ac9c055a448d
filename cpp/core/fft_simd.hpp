// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// Vectors for the variant files fft_kernels*.cpp only: everything here has internal linkage and lies in the namespace
// of its instruction set, so that no copy can be linked in place of another. No intrinsics: GCC/Clang vector
// extensions. CRYOLITH_FFT_REAL is float or double, CRYOLITH_FFT_BYTES its size (the preprocessor has to know the
// lanes).
//
// Every pass works on "lanes": element l of a vector is a sample of signal l, all signals having the same length, so
// the passes need no shuffles; only loads and stores below know how lanes lie in memory.
#include "core/fft_tables.hpp"
#include "core/portable.hpp"

#define CRYOLITH_INLINE inline __attribute__((always_inline))
#define CRYOLITH_LAMBDA __attribute__((always_inline))

// 8 floats where the processor has 256-bit registers (512-bit ones are used for their number, not their width), else 4:
// 8 lanes in SSE2 registers were 7-9 times slower, as the compiler takes the 8 x 8 transposes through memory.
#if defined(__AVX__)
#define CRYOLITH_FFT_LANES (32 / CRYOLITH_FFT_BYTES)
#else
#define CRYOLITH_FFT_LANES (16 / CRYOLITH_FFT_BYTES)
#endif

namespace cryolith::fft::CRYOLITH_VARIANT {
namespace {

using Real = CRYOLITH_FFT_REAL;
using Root = Complex<Real>;
constexpr int kLanes = CRYOLITH_FFT_LANES;
constexpr int kVectorBytes = CRYOLITH_FFT_BYTES * kLanes;
static_assert(sizeof(Real) == CRYOLITH_FFT_BYTES);
using Vec = Real __attribute__((vector_size(kVectorBytes), may_alias));
// A typedef: Clang drops the alignment of an alias declared with using, and then loads as if aligned.
typedef Real LooseVec __attribute__((vector_size(kVectorBytes), aligned(CRYOLITH_FFT_BYTES), may_alias));
static_assert(alignof(LooseVec) == CRYOLITH_FFT_BYTES);

struct Lane {  // one complex sample of each of the kLanes signals
  Vec re, im;
};

template <int I>
struct Index {
  CRYOLITH_INLINE constexpr operator int() const { return I; }
};
// f(Index<0>), ..., f(Index<N - 1>), unrolled: arrays indexed by them stay in registers.
template <int N, int I = 0, class F>
CRYOLITH_INLINE void static_for(F&& f) {
  if constexpr (I < N) {
    f(Index<I>{});
    static_for<N, I + 1>(f);
  }
}

CRYOLITH_INLINE Vec loadu(const Real* p) { return *reinterpret_cast<const LooseVec*>(p); }
CRYOLITH_INLINE void storeu(Real* p, Vec v) { *reinterpret_cast<LooseVec*>(p) = v; }

CRYOLITH_INLINE Lane operator+(Lane a, Lane b) { return {a.re + b.re, a.im + b.im}; }
CRYOLITH_INLINE Lane operator-(Lane a, Lane b) { return {a.re - b.re, a.im - b.im}; }
CRYOLITH_INLINE Lane operator*(Lane a, Real s) { return {a.re * s, a.im * s}; }
CRYOLITH_INLINE Lane operator*(Lane a, Root w) { return {a.re * w.re - a.im * w.im, a.re * w.im + a.im * w.re}; }
CRYOLITH_INLINE Lane operator*(Lane a, Lane w) { return {a.re * w.re - a.im * w.im, a.re * w.im + a.im * w.re}; }
CRYOLITH_INLINE Lane minus_i(Lane a) { return {a.im, -a.re}; }
CRYOLITH_INLINE Lane conj(Lane a) { return {a.re, -a.im}; }
// swap(dft(swap(x))) is the inverse transform: there is one forward kernel only.
CRYOLITH_INLINE Lane swap(Lane a) { return {a.im, a.re}; }
template <bool Inverse>
CRYOLITH_INLINE Lane swap_if(Lane a) {
  if constexpr (Inverse) return swap(a);
  return a;
}

// Keeps a loaded value in registers: GCC would otherwise fold, and so repeat, the load into each FMA (a fifth of the
// time of the odd passes).
CRYOLITH_INLINE void keep([[maybe_unused]] Lane& a) {
#if defined(__AVX512VL__)
  asm("" : "+v"(a.re), "+v"(a.im));
#elif defined(__AVX__)
  asm("" : "+x"(a.re), "+x"(a.im));
#endif
}

// transpose: kLanes x kLanes elements. reverse: element order. load_complex and store_complex: kLanes adjacent
// interleaved samples in their natural order; the _lanes pair may permute lanes, as long as both agree (half the
// shuffles).
#if CRYOLITH_FFT_LANES == 8
CRYOLITH_INLINE void transpose(Vec* x) {
  Vec a[8], b[8];
  static_for<4>([&](auto i) CRYOLITH_LAMBDA {
    a[2 * i] = __builtin_shufflevector(x[2 * i], x[2 * i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
    a[2 * i + 1] = __builtin_shufflevector(x[2 * i], x[2 * i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
  });
  static_for<4>([&](auto k) CRYOLITH_LAMBDA {
    constexpr int i = k / 2 * 4 + k % 2;
    constexpr int o = k / 2 * 4 + k % 2 * 2;
    b[o] = __builtin_shufflevector(a[i], a[i + 2], 0, 1, 8, 9, 4, 5, 12, 13);
    b[o + 1] = __builtin_shufflevector(a[i], a[i + 2], 2, 3, 10, 11, 6, 7, 14, 15);
  });
  static_for<4>([&](auto i) CRYOLITH_LAMBDA {
    x[i] = __builtin_shufflevector(b[i], b[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    x[i + 4] = __builtin_shufflevector(b[i], b[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
  });
}
CRYOLITH_INLINE Vec reverse(Vec a) { return __builtin_shufflevector(a, a, 7, 6, 5, 4, 3, 2, 1, 0); }
CRYOLITH_INLINE Lane load_lanes(const Real* p) {
  const Vec a = loadu(p), b = loadu(p + 8);
  return {__builtin_shufflevector(a, b, 0, 2, 8, 10, 4, 6, 12, 14),
          __builtin_shufflevector(a, b, 1, 3, 9, 11, 5, 7, 13, 15)};
}
CRYOLITH_INLINE void store_lanes(Real* p, Lane z) {
  storeu(p, __builtin_shufflevector(z.re, z.im, 0, 8, 1, 9, 4, 12, 5, 13));
  storeu(p + 8, __builtin_shufflevector(z.re, z.im, 2, 10, 3, 11, 6, 14, 7, 15));
}
CRYOLITH_INLINE Lane load_complex(const Real* p) {
  const Vec a = loadu(p), b = loadu(p + 8);
  const Vec c = __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11);
  const Vec d = __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15);
  return {__builtin_shufflevector(c, d, 0, 2, 8, 10, 4, 6, 12, 14),
          __builtin_shufflevector(c, d, 1, 3, 9, 11, 5, 7, 13, 15)};
}
CRYOLITH_INLINE void store_complex(Real* p, Lane z) {
  const Vec lo = __builtin_shufflevector(z.re, z.im, 0, 8, 1, 9, 4, 12, 5, 13);
  const Vec hi = __builtin_shufflevector(z.re, z.im, 2, 10, 3, 11, 6, 14, 7, 15);
  storeu(p, __builtin_shufflevector(lo, hi, 0, 1, 2, 3, 8, 9, 10, 11));
  storeu(p + 8, __builtin_shufflevector(lo, hi, 4, 5, 6, 7, 12, 13, 14, 15));
}
#elif CRYOLITH_FFT_LANES == 4
CRYOLITH_INLINE void transpose(Vec* x) {
  const Vec a = __builtin_shufflevector(x[0], x[1], 0, 4, 1, 5), b = __builtin_shufflevector(x[0], x[1], 2, 6, 3, 7);
  const Vec c = __builtin_shufflevector(x[2], x[3], 0, 4, 1, 5), d = __builtin_shufflevector(x[2], x[3], 2, 6, 3, 7);
  x[0] = __builtin_shufflevector(a, c, 0, 1, 4, 5);
  x[1] = __builtin_shufflevector(a, c, 2, 3, 6, 7);
  x[2] = __builtin_shufflevector(b, d, 0, 1, 4, 5);
  x[3] = __builtin_shufflevector(b, d, 2, 3, 6, 7);
}
CRYOLITH_INLINE Vec reverse(Vec a) { return __builtin_shufflevector(a, a, 3, 2, 1, 0); }
CRYOLITH_INLINE Lane load_complex(const Real* p) {
  const Vec a = loadu(p), b = loadu(p + 4);
  return {__builtin_shufflevector(a, b, 0, 2, 4, 6), __builtin_shufflevector(a, b, 1, 3, 5, 7)};
}
CRYOLITH_INLINE void store_complex(Real* p, Lane z) {
  storeu(p, __builtin_shufflevector(z.re, z.im, 0, 4, 1, 5));
  storeu(p + 4, __builtin_shufflevector(z.re, z.im, 2, 6, 3, 7));
}
#else
CRYOLITH_INLINE void transpose(Vec* x) {
  const Vec a = x[0], b = x[1];
  x[0] = __builtin_shufflevector(a, b, 0, 2);
  x[1] = __builtin_shufflevector(a, b, 1, 3);
}
CRYOLITH_INLINE Vec reverse(Vec a) { return __builtin_shufflevector(a, a, 1, 0); }
CRYOLITH_INLINE Lane load_complex(const Real* p) {
  const Vec a = loadu(p), b = loadu(p + 2);
  return {__builtin_shufflevector(a, b, 0, 2), __builtin_shufflevector(a, b, 1, 3)};
}
CRYOLITH_INLINE void store_complex(Real* p, Lane z) {
  storeu(p, __builtin_shufflevector(z.re, z.im, 0, 2));
  storeu(p + 2, __builtin_shufflevector(z.re, z.im, 1, 3));
}
#endif
#if CRYOLITH_FFT_LANES == 4 && CRYOLITH_FFT_BYTES == 8
CRYOLITH_INLINE Lane load_lanes(const Real* p) {
  const Vec a = loadu(p), b = loadu(p + 4);
  return {__builtin_shufflevector(a, b, 0, 4, 2, 6), __builtin_shufflevector(a, b, 1, 5, 3, 7)};
}
CRYOLITH_INLINE void store_lanes(Real* p, Lane z) {
  storeu(p, __builtin_shufflevector(z.re, z.im, 0, 4, 2, 6));
  storeu(p + 4, __builtin_shufflevector(z.re, z.im, 1, 5, 3, 7));
}
#elif CRYOLITH_FFT_LANES < 8
CRYOLITH_INLINE Lane load_lanes(const Real* p) { return load_complex(p); }
CRYOLITH_INLINE void store_lanes(Real* p, Lane z) { store_complex(p, z); }
#endif

// A scratch array of lanes: z(i) reads, z(i, v) writes.
struct Samples {
  Vec* p;
  CRYOLITH_INLINE Lane operator()(index_t i) const { return {p[2 * i], p[2 * i + 1]}; }
  CRYOLITH_INLINE void operator()(index_t i, Lane z) const {
    p[2 * i] = z.re;
    p[2 * i + 1] = z.im;
  }
};

struct Work {  // the three scratch arrays of a worker, as vectors
  Vec *a, *b, *c;
  CRYOLITH_INLINE explicit Work(const Scratch<Real>& s)
      : a(reinterpret_cast<Vec*>(s.a)), b(reinterpret_cast<Vec*>(s.b)), c(reinterpret_cast<Vec*>(s.c)) {}
};

}  // namespace
}  // namespace cryolith::fft::CRYOLITH_VARIANT
