// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include "core/parallel.hpp"

namespace cryolith::detect {

// A field smoothed by Gaussians, at free places: row i of `samples` (n, 7) is the field convolved with a Gaussian of
// unit sum and standard deviation widths[i] [px] at places[i] (z, y, x) [voxels], its slopes along z, y, x and its
// second derivatives along z, y, x. Rows of the field hold nx voxels and perhaps more that are not read. It repeats
// beyond its faces, as its Fourier transform has it; the Gaussian ends at 4.5 standard deviations and a voxel. Sums
// stand for integrals: from a width of 0.7 px on to 2e-4. O(widths^3) a place.
void gaussian_samples(const Cpu& cpu, View3<const float> field, index_t nx, View2<const double> places,
                      View1<const double> widths, View2<double> samples);

// Adds to `volume` blobs heights[i] exp(-r^2 / (2 widths[i]^2)) about places[i] (z, y, x) [voxels], cut at five
// standard deviations and at the faces, the last one at x = nx. O(widths^3) a place.
void add_gaussians(const Cpu& cpu, View2<const double> places, View1<const double> widths, View1<const double> heights,
                   View3<float> volume, index_t nx);

}  // namespace cryolith::detect
