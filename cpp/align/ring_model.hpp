// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include "align/band.hpp"

namespace cryolith {

// Power of signal and noise of each ring; 0 where a ring holds no coefficient.
struct RingModel {
  std::vector<double> signal, noise;
  double significance = 0;  // of the common signal, in standard deviations
};

// Signal and noise of `frames` images of one scene from `power` (mean of the images) and `cross` (mean of the pairs),
// sums over rings. Estimates of single rings would agree with the noise that a shift is then found in; so few numbers
// describe all of them: the noise is white, the logarithm of the signal a parabola in that of the frequency, both
// fitted by maximum likelihood (the sum of the images over their root has power frames S + N, what is orthogonal to it
// N; each mean of m independent coefficients is a Gamma variable; P. Whittle, Ark. Mat. 2 (1953) 423). Rings beside
// each other that contradict this by more than 3 sigma, as those of a crystal do, keep their own ratio to it.
RingModel fit_rings(const Band& band, const std::vector<double>& power, const std::vector<double>& cross, double frames,
                    double independent);

}  // namespace cryolith
