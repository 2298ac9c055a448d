// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// What a plan hands to the tuned passes: plain numbers and pointers, no functions, so that it may be shared by files
// compiled for different instruction sets. T is float or double.
#include "core/dispatch.hpp"
#include "core/view.hpp"

namespace cryolith::fft {

template <class T>
struct Complex {
  T re, im;
};

inline constexpr int kMaxPasses = 48;  // more than log2 of any length
// Prime factors above this go through Bluestein's convolution: at 101 the direct sum wins (75 against 93 ms for
// 3838 x 3710), at 151 they are level, at 199 Bluestein wins 1.2 times.
inline constexpr int kMaxDirect = 139;

// One Stockham pass: l1 * ido butterflies of the given radix, l1 = product of the radices before it.
template <class T>
struct Pass {
  int radix;
  index_t l1, ido;
  const Complex<T>* twiddle;  // [ido][radix - 1], exp(-2 pi i k j / (ido radix)); null when ido is 1
  const Complex<T>* roots;    // odd radices above 7: cosines and sines in the order pass_odd wants them
};

// A forward transform of length n of as many signals as there are lanes.
template <class T>
struct LaneTable {
  index_t n, work;  // work: samples in each scratch array
  int passes;       // 0 for n = 1
  Pass<T> pass[kMaxPasses];
  const LaneTable* convolution;  // not null: Bluestein through this smooth length
  const Complex<T>* chirp;       // [n]  exp(-i pi k^2 / n)
  const Complex<T>* kernel;      // [convolution->n] transform of the conjugate chirp, over its length
};

// Transforms of rows. A long row is split into as many interleaved sub-signals as there are lanes (stays in L1);
// other rows go through transposes, one row per lane.
template <class T>
struct RowTable {
  index_t n;                   // samples in a row
  bool real;                   // real rows: even n as a complex row of n / 2, odd n two rows as one complex row
  LaneTable<T> lanes;          // of n, n / 2, or of a sub-signal
  const T* split;              // [lanes.n][2][number of lanes] twiddles of the sub-signals; null: not split
  const T *half_re, *half_im;  // exp(-2 pi i k / n), k up to n / 4 and some more: for even real rows
};

// Three arrays of a worker, each (re, im) x lanes x work, 64-byte aligned.
template <class T>
struct Scratch {
  T *a, *b, *c;
};

// Where rows lie that are not the same distance apart or whose samples do not touch; in T.
struct Scatter {
  const index_t *in, *out;    // [row] their first samples
  index_t in_step, out_step;  // from sample to sample
};

// Half spectra of rows of an even length n that take no more room than the rows: the real part of the last sample
// stands in place of the imaginary part of the first, which is 0 once the columns are transformed. Row r begins at
// sample turn[r % rows] and goes on at 0 after n / 2 - 1, so that columns do not meet in few sets of a cache; null: at
// 0.
struct Turns {
  const index_t* turn;
  index_t rows, wrap;  // wrap: n / 2
  index_t at(index_t row) const { return turn != nullptr ? turn[row % rows] : 0; }
};

// Rows [first, last) of two arrays, strides in T; in place when both are the same. With `scatter`, which takes a table
// that is not split, the strides are not used.
template <class T>
struct RowBlock {
  const T* in;
  index_t in_stride;
  T* out;
  index_t out_stride;
  index_t first, last;
  bool inverse;
  T scale;  // of the inverse
  const Scatter* scatter = nullptr;
  const Turns* packed = nullptr;  // how half spectra lie, if packed
};

// Columns [first, last) of two interleaved complex matrices, strides in T; in place when both are the same.
template <class T>
struct ColumnBlock {
  const T* in;
  index_t in_stride;
  T* out;
  index_t out_stride;
  index_t first, last;
  bool inverse;
  const Turns* packed = nullptr;  // how the output lies, if packed
};

// The passes of one instruction set.
template <class T>
struct Kernels {
  int lanes;  // of a vector
  void (*real_rows)(const RowTable<T>& table, const RowBlock<T>& rows, const Scratch<T>& s);
  void (*complex_rows)(const RowTable<T>& table, const RowBlock<T>& rows, const Scratch<T>& s);
  void (*columns)(const LaneTable<T>& table, const ColumnBlock<T>& block, const Scratch<T>& s);
};

// Blocks of as many columns as there are lanes, each contiguous: sample i of block b is (re, im) x lanes at
// data + b block + 2 lanes i.
struct LaneColumns {
  float* data;
  index_t block;  // floats
};

#define CRYOLITH_DECLARE_FFT(variant)                                                                    \
  namespace variant {                                                                                    \
  extern const Kernels<float> float_kernels;                                                             \
  extern const Kernels<double> double_kernels;                                                           \
  /* An interleaved row becomes sample i of `blocks` blocks. */                                          \
  void row_to_lanes(const float* row, index_t blocks, index_t i, const LaneColumns& to);                 \
  /* Transforms one block in place, of which only the first `rows` samples are not 0. */                 \
  void lane_columns(const LaneTable<float>& table, index_t rows, float* block, const Scratch<float>& s); \
  /* sums[4][n] += |a|^2, |b|^2, real and imaginary part of conj(a) b; n a multiple of the lanes */      \
  void add_cross(const float* a, const float* b, index_t n, float* sums);                                \
  void add_lane_cross(const LaneColumns& a, const LaneColumns& b, index_t n, index_t i, float* sums);    \
  /* The first `n` columns at sample i, planar. */                                                       \
  void lanes_to_planar(const LaneColumns& from, index_t n, index_t i, float* re, float* im);             \
  }
CRYOLITH_FOR_EACH_VARIANT(CRYOLITH_DECLARE_FFT)
#undef CRYOLITH_DECLARE_FFT

template <class T>
const Kernels<T>& kernels();
template <>
inline const Kernels<float>& kernels<float>() {
  return *CRYOLITH_SELECT(float_kernels);
}
template <>
inline const Kernels<double>& kernels<double>() {
  return *CRYOLITH_SELECT(double_kernels);
}

}  // namespace cryolith::fft
