// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include "core/parallel.hpp"
#include "core/view.hpp"

namespace cryolith {

// What register_pairs writes for a pair, in this order.
enum RegisterColumn {
  kShiftRow,
  kShiftColumn,  // moving(p) = reference(p - shift), px
  kVarRow,
  kVarColumn,
  kCovariance,  // of the shift, px^2; infinite variances: nothing to compare
  kPeak,        // normalised correlation of the overlap, weighted as the shift is, -1 to 1
  kPlaceRow,
  kPlaceColumn,  // the shift at which the windows were put on the overlap
  kRunnerUp,     // highest other maximum of the search's correlation / the highest; its shift; the next two
  kRegisterColumns = kRunnerUp + 9
};

// Shift of each moving image (n, ny, nx) against its reference, at most max_shift px (0: half of the smaller axis), to
// `out` (n, kRegisterColumns). Pixels that are not finite are missing.
//
// Two passes. A search on binned images under fixed windows, finer where its maximum does not stand out. Then both
// windows are put on the common part of the scene, to a fraction of a pixel, and the shift is polished on the
// correlation weighted by signal and noise of each ring of frequencies (Hannan and Thomson's processor; Knapp and
// Carter 1976, eq. 25); pixels that are counts are first transformed to equal noise. The covariance is that of the
// maximum, which is the Cramer-Rao bound where structure has no direction (design/012-registration.md). Bits do not
// depend on the number of threads. O(n N log N).
void register_pairs(const Cpu& cpu, View3<const float> reference, View3<const float> moving, double max_shift,
                    View2<double> out);

}  // namespace cryolith
