// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include "align/band.hpp"

namespace cryolith {

constexpr double kSignificant = 3.0;  // sigma at which images are taken to agree

// out[r] = sum of `in` over the entries within 15 % of r, at least one to each side; entry 0 is left out.
std::vector<double> neighbour_sums(const std::vector<double>& in);

// Means over the rings within 15 % in frequency (at least one to each side) of sums over rings. A ring alone is too
// noisy: weights from it would prefer frequencies whose noise happens to agree.
std::vector<double> smoothed_means(const Band& band, const std::vector<double>& sums);

// What a ring is worth for a shift.
struct RingWeights {
  std::vector<float> weight;  // of the correlation, the largest 1
  double scale = 0;           // by which `weight` is too small
  double top = 0;             // frequency of the highest ring of any weight
  double ratio = 0;           // of signal to noise there
  // Part of the correlation's bend that is signal: weights follow the noise a little, and agree with it too well.
  double certain = 1;
};

// Variance of the slope of the weighted correlation, in the units of its bend times `scale`: in each ring
// weight^2 (aa bb - ab^2), which is the information r^2 / (1 + 2 r) of eq. 6 where weights are those of eq. 3.
std::vector<double> slope_variance(const Band& band, const RingWeights& weights, const RingSums& sums);

// Weights for `frames` images of one scene with mean power `power` (signal and noise; smoothed means) and cross-power
// `cross` (a sum; with its mean S and r = S / (power - S)): weight r / ((power - S) (1 + frames r)), information
// r^2 / (1 + frames r) (design/012-registration.md, eqs. 4 and 6; for two images Hannan and Thomson's processor). A
// ring counts where its cross-power stands 3 sigma above that of noise. `independent` is the part of the coefficients
// that window and padding leave independent; rings above `top` [cycles/px] have no weight.
RingWeights ring_weights(const Band& band, const std::vector<double>& power, const std::vector<double>& cross,
                         double frames, double independent, double top);

}  // namespace cryolith
