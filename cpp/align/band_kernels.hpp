// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// The loops over the coefficients of a band, compiled once per instruction set. A row is planar: `n` real parts and `n`
// imaginary parts, n a multiple of kBandLanes, zero past its end; no loop has a tail.
#include <cstdint>

#include "core/dispatch.hpp"
#include "core/view.hpp"

namespace cryolith {

inline constexpr index_t kBandLanes = 16;
inline constexpr index_t kRingCopies = 4;

struct PlanarRow {
  float *re, *im;
};
struct ConstPlanarRow {
  const float *re, *im;
};

// exp(i phase) of a coefficient of a row: along the row (cx, sx), times (cy, sy) for the row itself.
struct RowPhase {
  const float *cx, *sx;
  float cy, sy;
};

// Sums over a row of z = c exp(i phase) fx^k, k = 0, 1, 2: real and imaginary parts.
struct RowSums {
  double re[3], im[3];
};

#define CRYOLITH_DECLARE_BAND(variant)                                                                                \
  namespace variant {                                                                                                 \
  /* ring = round(|f| longest), 0 beyond top */                                                                       \
  void ring_row(float fy, const float* fx, float top, float longest, index_t n, std::uint32_t* ring);                 \
  /* to[i] = in[2 i] + i in[2 i + 1], i < n of an interleaved row; no padding needed on either side. */               \
  void split_row(const float* in, index_t n, const PlanarRow& to);                                                    \
  RowSums phase_sums(const ConstPlanarRow& c, const RowPhase& e, const float* fx, index_t n);                         \
  void add_moved(const ConstPlanarRow& f, const RowPhase& e, float sign, index_t n, const PlanarRow& to);             \
  /* to = conj(a) b weight[ring] times */                                                                             \
  void weighted_cross(const ConstPlanarRow& a, const ConstPlanarRow& b, const float* weight,                          \
                      const std::uint32_t* ring, const float* times, index_t n, const PlanarRow& to);                 \
  /* sums[ring][i % kRingCopies] += times |a|^2: in turns, as neighbours mostly share a ring and would wait for it */ \
  void ring_power(const ConstPlanarRow& a, const std::uint32_t* ring, const float* times, index_t n, double* sums);   \
  /* sums[ring][i % kRingCopies][0, 1, 2] += times |a|^2, times |b|^2, times Re(conj(a) b exp(i phase)) */            \
  void ring_sums(const ConstPlanarRow& a, const ConstPlanarRow& b, const RowPhase& e, const std::uint32_t* ring,      \
                 const float* times, index_t n, double* sums);                                                        \
  /* Whether all are finite and all whole numbers from 0: false if not, else as it was. */                            \
  void row_facts(const float* p, index_t n, bool& finite, bool& counts);                                              \
  double square_sum(const float* p, index_t n);                                                                       \
  /* at least 0 */                                                                                                    \
  float largest_value(const float* p, index_t n);                                                                     \
  /* to[i] += the sum of `binning` (1, 2 or 4) pixels, n of them */                                                   \
  void bin_row(const float* p, index_t binning, index_t n, float* to);                                                \
  double weighted_sum(const float* p, const float* w, bool stabilise, index_t n);                                     \
  /* to = wy w (p - mean), p replaced by sqrt(p + 1) if stabilise */                                                  \
  void window_row(const float* p, const float* w, float wy, float mean, bool stabilise, index_t n, float* to);        \
  }
CRYOLITH_FOR_EACH_VARIANT(CRYOLITH_DECLARE_BAND)
#undef CRYOLITH_DECLARE_BAND

}  // namespace cryolith
