// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// Rows of scale space, compiled once per instruction set: no containers here.
#include <cstdint>

#include "core/dispatch.hpp"
#include "core/view.hpp"

namespace cryolith::detect {

inline constexpr index_t kChunk = 32;  // voxels of a row that are looked at together: most hold nothing

// A Gaussian along one axis, its first and second derivative with respect to its place.
struct Weights {
  const double *value, *slope, *bend;
};

#define CRYOLITH_DECLARE_SCALE(ns)                                                                                   \
  namespace ns {                                                                                                     \
  /* n complex numbers times real factors, times `gain`. */                                                          \
  void scale_row(const float* from, const float* factors, float gain, index_t n, float* to);                         \
  /* base - rest * factors, for n complex numbers and real factors, in place of `rest`. */                           \
  void rest_row(const float* base, const float* factors, index_t n, float* rest);                                    \
  /* Magnitudes as integers: largest[i] of chunk i; returns how many are below `low`. */                             \
  index_t survey_row(const float* row, index_t n, std::int32_t low, std::int32_t* largest);                          \
  /* Sums over rows y of n voxels each, times value[y], slope[y] and bend[y]: sums[0..n), [n..2n), [2n..3n). */      \
  void weigh_rows(const float* const* rows, index_t count, index_t n, const Weights& weights, double* sums);         \
  /* Rows of a half spectrum at (kz, ky), (kz, -ky), (-kz, ky), (-kz, -ky): sums[0..n) of all, and with the signs of \
   */                                                                                                                \
  /* kz ky, kz and ky. */                                                                                            \
  void fold_rows(const float* const* rows, index_t n, float* sums);                                                  \
  }
CRYOLITH_FOR_EACH_VARIANT(CRYOLITH_DECLARE_SCALE)
#undef CRYOLITH_DECLARE_SCALE

}  // namespace cryolith::detect
