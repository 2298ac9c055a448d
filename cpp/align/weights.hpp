// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include "align/band.hpp"

namespace cryolith {

constexpr double kSignificant = 3.0;  // sigma at which images are taken to agree

// out[r] = sum of `in` over the entries within 15 % of r, at least one to each side; entry 0 is left out.
std::vector<double> neighbour_sums(const std::vector<double>& in);

inline constexpr double kLower = 0.64;

// What a ring is worth for a shift.
struct RingWeights {
  std::vector<float> weight;  // of the correlation, the largest 1
  double scale = 0;           // by which `weight` is too small
  double top = 0;             // frequency of the highest ring of any weight
  double ratio = 0;           // of signal to noise there
  double lower_ratio = 0;     // the same at kLower times that frequency
};

// Variance of the slope of the weighted correlation, in the units of its bend times `scale`: in each ring
// weight^2 (aa bb - ab^2), which is the information r^2 / (1 + 2 r) of eq. 6 where weights are those of eq. 3.
std::vector<double> slope_variance(const Band& band, const RingWeights& weights, const RingSums& sums);

// The height by which a window's own bend is to be multiplied: sum of S d(w f) / df along an axis, w the weights, S the
// cross-power. For constant weights it is the correlation's (design/012-registration.md, eq. 9).
double window_height(const RingWeights& weights, const RingSums& sums);

// Weights for `frames` images of one scene whose rings have power `power` (mean of the images) and cross-power `cross`
// (mean of the pairs), sums: weight r / (N (1 + frames r)), information r^2 / (1 + frames r) with signal over noise r
// and noise N as fit_rings gives them (design/012-registration.md, eqs. 4 and 6; for two images Hannan and Thomson's
// processor). No weights where the common signal is below 3 sigma, and none beyond the frequency up to which 99 % of
// the information lies. `independent` is the part of the coefficients that window and padding leave
// independent.
RingWeights ring_weights(const Band& band, const std::vector<double>& power, const std::vector<double>& cross,
                         double frames, double independent);

}  // namespace cryolith
