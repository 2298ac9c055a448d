// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// Plain data and constants shared with warp_sum.cpp, which is compiled once per instruction set: no containers here.
#include <cstdint>

#include "core/dispatch.hpp"
#include "core/view.hpp"

namespace cryolith {

// Tile that one run sums: 10 sums, 3 weights and what is passing by fill the registers of AVX2. From L1, spread rows:
// 15.5 G updates/s, 12 x 8 and 5 x 16 15, 8 x 8 14.5, 8 x 16, whose sums spill, 12.5 (Zen 4).
inline constexpr index_t kWarpRows = 10, kWarpLanes = 8;

// Adds the array at `offset` (in floats), interpolated linearly between rows and between neighbours.
struct WarpTap {
  std::int32_t offset;
  float row, lane;
};

// Floats from one row to the next: an odd number of cache lines, or rows would meet in few cache sets.
inline constexpr index_t odd_lines(index_t floats) { return ((floats + 15) / 16 | 1) * 16; }

// Spread rows: blocks of 8 floats, each followed by the 8 that come next: a cache line. A vector that begins anywhere
// in a block, and the one that begins a float later, lie in one line: without this half of the loads need two.
inline constexpr index_t spread(index_t lane) { return 2 * lane - lane % 8; }
// Floats from one spread row of `lanes` to the next: an odd number of lines, or rows would meet in few cache sets.
inline constexpr index_t spread_stride(index_t lanes) { return ((lanes + 7) / 8 | 1) * 16; }

#define CRYOLITH_DECLARE_WARP_SUM(ns)                                                                                \
  namespace ns {                                                                                                     \
  /* out[r][x] (+)= sum over taps of the bilinear mean of the spread rows in[offset + (r or r + 1) stride] at x and  \
   * x + 1, r < kWarpRows, x < kWarpLanes. `in` is aligned to a line. */                                             \
  void warp_sum(const float* in, index_t stride, const WarpTap* taps, index_t count, float* out, index_t out_stride, \
                bool add);                                                                                           \
  /* Copies rows of `lanes` floats to spread rows; reads up to 15 floats beyond. */                                  \
  void spread_rows(const float* from, index_t stride, index_t rows, index_t lanes, float* to, index_t to_stride);    \
  /* to[c][r] (+)= from[r][c], rows x columns of `from`. */                                                          \
  void transpose(const float* from, index_t stride, index_t rows, index_t columns, float* to, index_t to_stride,     \
                 bool add);                                                                                          \
  }
CRYOLITH_FOR_EACH_VARIANT(CRYOLITH_DECLARE_WARP_SUM)

}  // namespace cryolith
