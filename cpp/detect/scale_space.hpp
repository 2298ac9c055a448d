// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <complex>
#include <vector>

#include "core/fft.hpp"
#include "core/parallel.hpp"
#include "detect/maxima.hpp"

namespace cryolith::detect {

// Filters that differ by a Gaussian only: scale i of a field is gains[i] times the inverse transform of
// base(k) exp(-decays[i] |k|^2 / 2), k in radians per voxel, decays in px^2. `base` is a half spectrum (nz, ny,
// nx / 2 + 1).
struct ScaleSpace {
  View3<const std::complex<float>> base;
  index_t nx;
  View1<const double> decays, gains;
  View<float, 4> fields;  // scratch (up to 3 scales, nz, ny, 2 (nx / 2 + 1)): fresh pages took a third of the time
};

// exp(-decay k^2 / 2) of the first `terms` terms of an axis of n voxels, in the order of the transform.
std::vector<float> axis_gaussian(index_t n, index_t terms, double decay);

// The extrema beyond `threshold` over place and scale, as scale_maxima says, scale after scale. Three scales are in
// memory at once. share[i] is the part of the voxels inside the margin where scale i lies within `middle` of 0.
// O(scales n log n).
std::vector<Peak> scale_space_maxima(const Cpu& cpu, const ScaleSpace& space, index_t margin, float threshold,
                                     float middle, View1<double> share);

// Replaces the half spectrum `rest` by base - rest weight, all of one shape: what is left of a filtered volume once a
// model behind the same filter is taken out, in one pass through memory.
void subtract_weighted(const Cpu& cpu, View3<const std::complex<float>> base, View3<const float> weight,
                       View3<std::complex<float>> rest);

// Sums over all of Fourier space of real, even `weight` (nz, ny, nx / 2 + 1), in bins of |k|: column 0 of `sums` (bins,
// 7) is the sum, 1 to 6 are those of weight times kz kz, ky ky, kx kx, kz ky, kz kx, ky kx. The bins are equally wide
// and reach to the corner, sqrt(3) pi; `sums` may have column 0 alone. With them the variance, the response and the
// roughness of every filter above are sums over bins. The frequency n / 2 of an even axis is as much negative as
// positive: its products are 0.
void spectrum_sums(const Cpu& cpu, View3<const float> weight, index_t nx, View2<double> sums);

}  // namespace cryolith::detect
