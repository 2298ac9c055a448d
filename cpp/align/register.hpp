// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include "core/parallel.hpp"
#include "core/view.hpp"

namespace cryolith {

// Band [cycles/px] of the first search, and how far [px] the images may be apart.
struct RegisterOptions {
  double low = 0.01, high = 0.12;  // Gaussian high-pass and low-pass
  double taper = 0.1;              // fraction of each axis over which the window falls to zero
  double max_shift = 0;            // 0: half of the smaller axis
};

// What register_pairs writes for a pair, in this order.
enum RegisterColumn {
  kShiftRow,
  kShiftColumn,  // moving(p) = reference(p - shift), px
  kVarRow,
  kVarColumn,
  kCovariance,  // of the shift, px^2, from the coherence (Cramer-Rao)
  kPeak,        // normalised correlation of the overlap in the searched band, -1 to 1
  kRunnerUp,    // highest other maximum of the correlation / the highest
  kRegisterColumns
};

// Shift of each moving image (n, ny, nx) against its reference, to `out` (n, kRegisterColumns). Two passes: the maximum
// of the band-passed correlation of windowed, zero-padded images; then both windows are put on the overlap and the
// shift is polished on the maximum-likelihood weighted correlation (generalised cross-correlation with the weights of
// Hannan and Thomson 1973, coherence from rings). Variance: inverse Fisher information sum (2 pi f)^2 g / (1 - g), g
// the magnitude-squared coherence (Carter 1987, eq. 8), for the number of independent frequencies that window and
// padding leave. Bits do not depend on the number of threads. O(n N log N).
void register_pairs(const Cpu& cpu, View3<const float> reference, View3<const float> moving,
                    const RegisterOptions& options, View2<double> out);

}  // namespace cryolith
