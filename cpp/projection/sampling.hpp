// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// Plain data and constants shared with the files that are compiled once per instruction set: no containers here.
#include <cstdint>

#include "core/dispatch.hpp"
#include "core/view.hpp"
#include "projection/geometry.hpp"

namespace cryolith {

// Volume rows (y) that travel together, one per vector lane: one AVX register of float32.
inline constexpr int kLanes = 8;
// Stretched rows kept in registers by one run: 12 accumulators + 2 weights + 2 rows = 16 registers of AVX2.
inline constexpr int kRun = 12;
// Interpolation: sinc windowed by Kaiser-Bessel, 8 taps, beta 6. Of 6 and 8 taps and beta 4 to 7 the one with the
// smallest ripple on a constant (0.15 % at worst, over all tilts to 60 degrees and all in-plane angles) that still
// passes 94 % at 0.35 cycles per pixel (design/003-projector.md).
inline constexpr int kTaps = 8;
inline constexpr double kKaiserBeta = 6.0;
// Weights are tabulated at this many positions between two pixels and interpolated linearly: error below
// 3.3 / (8 512^2) = 1.6e-6, the sum stays 1.
inline constexpr int kPhaseBits = 9, kPhases = 1 << kPhaseBits;

// Adds (1 - weight) row(offset) + weight row(offset + kLanes); offset in floats.
struct Tap {
  std::int32_t offset;
  float weight;
};

// The same in fixed point: both weights in units of 1/kFixedOne, `weight` in the upper half.
struct PairTap {
  std::int32_t offset, weights;
};

// Fixed point: rows of 16 bits, weights of 11, so that the sum over kPart tilts fits 32 bits.
inline constexpr std::int32_t kFixedOne = 1 << 11;
inline constexpr float kFixedMost = 32000.0f;
// Tilts that are added in one go: their rows stay in L1 (field notes of the prototype).
inline constexpr index_t kPart = 32;
static_assert(kPart * index_t{kFixedOne} * 32768 <= index_t{1} << 31);

// A (kPhases + 1, kTaps) table: row p holds the weights of the pixels floor(X) - 3 ... floor(X) + 4 for
// X - floor(X) = p / kPhases.
struct TapTable {
  const float* weights;
};

#define CRYOLITH_DECLARE_SAMPLING(ns)                                                                                \
  namespace ns {                                                                                                     \
  /* acc[r] (+)= sum over taps of (1 - w) in[offset + r] + w in[offset + r + 1], r < kRun, rows of kLanes; the */    \
  /* rows of acc lie `stride` floats apart. */                                                                       \
  void shear_sum(const float* in, const Tap* taps, index_t count, float* acc, index_t stride, bool add);             \
  /* The same in fixed point, for at most kPart taps: `in` as pack_pairs leaves it, scale what it returned. */       \
  void shear_sum_fixed(const float* in, const PairTap* taps, index_t count, float scale, float* acc, index_t stride, \
                       bool add);                                                                                    \
  /* Packs each row and the next, rounded to int16, into one row of pairs; returns a weighted unit's value. */       \
  float pack_pairs(index_t count, float* rows);                                                                      \
  /* lanes image rows (stride floats apart) of n pixels -> n rows of kLanes (row_stride floats apart), missing */    \
  /* lanes as 0; asks for the pixels `ahead` of them. */                                                             \
  void to_lanes(const float* plain, index_t stride, index_t n, index_t lanes, index_t ahead, float* rows,            \
                index_t row_stride);                                                                                 \
  /* n rows of kLanes -> lanes image rows. */                                                                        \
  void from_lanes(const float* rows, index_t n, index_t lanes, float* plain, index_t stride);                        \
  /* The same for some lines, line_rows rows and plane floats apart, past the caches where cache lines are */        \
  /* whole: kLanes lanes, plane and stride multiples of 16. */                                                       \
  void stream_lanes(const float* rows, index_t line_rows, index_t lines, index_t n, float* plain, index_t plane,     \
                    index_t stride);                                                                                 \
  }
CRYOLITH_FOR_EACH_VARIANT(CRYOLITH_DECLARE_SAMPLING)

}  // namespace cryolith
