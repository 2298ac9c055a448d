// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// What a plan hands to the tuned passes: plain numbers and pointers, no functions, so that it may be shared by files
// compiled for different instruction sets.
#include "core/dispatch.hpp"
#include "core/view.hpp"

namespace cryolith::fft {

struct Complex {
  float re, im;
};

inline constexpr int kMaxPasses = 48;  // more than log2 of any length
// Prime factors above this go through Bluestein's convolution: at 101 the direct sum wins (75 against 93 ms for
// 3838 x 3710), at 151 they are level, at 199 Bluestein wins 1.2 times.
inline constexpr int kMaxDirect = 139;

// One Stockham pass: l1 * ido butterflies of the given radix, l1 = product of the radices before it.
struct Pass {
  int radix;
  index_t l1, ido;
  const Complex* twiddle;  // [ido][radix - 1], exp(-2 pi i k j / (ido radix)); null when ido is 1
  const Complex* roots;    // odd radices above 7: cosines and sines in the order pass_odd wants them
};

// A forward transform of length n of as many signals as there are lanes.
struct LaneTable {
  index_t n, work;  // work: samples in each scratch array
  int passes;       // 0 for n = 1
  Pass pass[kMaxPasses];
  const LaneTable* convolution;  // not null: Bluestein through this smooth length
  const Complex* chirp;          // [n]  exp(-i pi k^2 / n)
  const Complex* kernel;         // [convolution->n] transform of the conjugate chirp, over its length
};

// Transforms of rows. A long row is split into as many interleaved sub-signals as there are lanes (stays in L1);
// other rows go through transposes, one row per lane.
struct RowTable {
  index_t n;                       // samples in a row
  bool real;                       // real rows: even n as a complex row of n / 2, odd n two rows as one complex row
  LaneTable lanes;                 // of n, n / 2, or of a sub-signal
  const float* split;              // [lanes.n][2][number of lanes] twiddles of the sub-signals; null: not split
  const float *half_re, *half_im;  // exp(-2 pi i k / n), k up to n / 4 and some more: for even real rows
};

// Three arrays of a worker, each (re, im) x lanes x work floats, 64-byte aligned.
struct Scratch {
  float *a, *b, *c;
};

// Rows [first, last) of two arrays, strides in floats; in place when both are the same.
struct RowBlock {
  const float* in;
  index_t in_stride;
  float* out;
  index_t out_stride;
  index_t first, last;
  bool inverse;
  float scale;  // of the inverse
};

// Columns [first, last) of two interleaved complex matrices, strides in floats; in place when both are the same.
struct ColumnBlock {
  const float* in;
  index_t in_stride;
  float* out;
  index_t out_stride;
  index_t first, last;
  bool inverse;
};

// Blocks of as many columns as there are lanes, each contiguous: sample i of block b is (re, im) x lanes at
// data + b block + 2 lanes i.
struct LaneColumns {
  float* data;
  index_t block;  // floats
};

#define CRYOLITH_DECLARE_FFT(variant)                                                                 \
  namespace variant {                                                                                 \
  int lane_count();                                                                                   \
  void real_rows(const RowTable& table, const RowBlock& rows, const Scratch& s);                      \
  void complex_rows(const RowTable& table, const RowBlock& rows, const Scratch& s);                   \
  void columns(const LaneTable& table, const ColumnBlock& block, const Scratch& s);                   \
  /* An interleaved row becomes sample i of `blocks` blocks. */                                       \
  void row_to_lanes(const float* row, index_t blocks, index_t i, const LaneColumns& to);              \
  /* Transforms one block in place, of which only the first `rows` samples are not 0. */              \
  void lane_columns(const LaneTable& table, index_t rows, float* block, const Scratch& s);            \
  /* sums[4][n] += |a|^2, |b|^2, real and imaginary part of conj(a) b; n a multiple of the lanes */   \
  void add_cross(const float* a, const float* b, index_t n, float* sums);                             \
  void add_lane_cross(const LaneColumns& a, const LaneColumns& b, index_t n, index_t i, float* sums); \
  /* The first `n` columns at sample i, planar. */                                                    \
  void lanes_to_planar(const LaneColumns& from, index_t n, index_t i, float* re, float* im);          \
  }
CRYOLITH_FOR_EACH_VARIANT(CRYOLITH_DECLARE_FFT)
#undef CRYOLITH_DECLARE_FFT

}  // namespace cryolith::fft
