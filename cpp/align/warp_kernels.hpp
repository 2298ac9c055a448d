// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// The loops of warp.cpp, compiled once per instruction set: no containers here.
#include "core/dispatch.hpp"
#include "core/view.hpp"
#include "projection/sampling.hpp"

namespace cryolith {

// Sums over a row of what displacement_sums adds up, by powers of x: slopes[i][k], k < 2; bends[i <= j][k], k < 3.
inline constexpr int kRowSlopes = 2, kRowBends = 3, kMostAxes = 3;
struct RowMoments {
  double slopes[kMostAxes][kRowSlopes], bends[kMostAxes * (kMostAxes + 1) / 2][kRowBends];
};
// Value and gradient of one row.
struct GradientRow {
  const float* of[1 + kMostAxes];
};

#define CRYOLITH_DECLARE_WARP(ns)                                                                                    \
  namespace ns {                                                                                                     \
  /* out[i] = the volume at at + i step [2^-32 voxel], i < n; zero outside. */                                       \
  void warp_row(TapTable table, const View3<const float>& volume, const index_t* at, const index_t* step, index_t n, \
                float* out);                                                                                         \
  /* axes: 2 or 3; x = first + i spacing */                                                                          \
  void row_moments(int axes, const GradientRow& a, const GradientRow& b, float first, float spacing, index_t n,      \
                   RowMoments& out);                                                                                 \
  }
CRYOLITH_FOR_EACH_VARIANT(CRYOLITH_DECLARE_WARP)
#undef CRYOLITH_DECLARE_WARP

}  // namespace cryolith
