// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <complex>
#include <cstdint>

#include "core/fft.hpp"
#include "core/parallel.hpp"

namespace cryolith::detect {

// Filters that differ by an anisotropic Gaussian only: field i is gains[i] times the inverse transform of
// base(k) exp(-k^T S_i k / 2), k in radians per voxel. Row i of `shapes` (n, 6) holds S_i [px^2] as zz, yy, xx, zy, zx,
// yx. `base` is a half spectrum (nz, ny, nx / 2 + 1). At the frequency n / 2 of an even axis, which is as much negative
// as positive, products with other axes are 0. Gaussians end where they are exp(-25).
struct OrientedBank {
  View3<const std::complex<float>> base;
  index_t nx;
  View2<const double> shapes;
  View1<const double> gains;
};

// At each voxel the value of the largest magnitude over all fields, and whose it is; of equal ones the first. One field
// is in memory at a time. O(filters n log n).
void oriented_maxima(const Cpu& cpu, const OrientedBank& bank, View3<float> value, View3<std::int32_t> which);

// Sums over all of Fourier space of real, even `weight` (nz, ny, nx / 2 + 1) times exp(-k^T S_i k / 2). Row i of `sums`
// (n, 1 or 28): the sum; with 28 columns also those of the six products q = (kz kz, ky ky, kx kx, kz ky, kz kx, ky kx)
// and of the 21 products of two of these, q0 q0, q0 q1, ..., q5 q5. Row i of `profile` (n, bins) holds the sum by
// |k . a_i|, or by the length of k's part across a_i where `across`, in equally wide bins of which the last takes all
// from `reach` [rad/px] on; a_i is row i of `axes` (n, 3), of length 1.
struct OrientedSums {
  View3<const float> weight;
  index_t nx;
  View2<const double> shapes, axes;
  bool across;
  double reach;
};
void oriented_sums(const Cpu& cpu, const OrientedSums& in, View2<double> sums, View2<double> profile);

// A field smoothed by anisotropic Gaussians, at free places: samples[i] is `field` convolved with the Gaussian of unit
// sum and covariance S_i (row i of `shapes`, positive definite) at places[i] (z, y, x) [voxels]. The field repeats
// beyond its faces; Gaussians end where they are exp(-10). O(ellipsoid's voxels) a place.
void oriented_samples(const Cpu& cpu, View3<const float> field, View2<const double> places, View2<const double> shapes,
                      View1<double> samples);

// A periodic field at free places: samples[i] is the sum of coefficients times cubic B-splines about their voxels, at
// places[i] (z, y, x) [voxels]. `coefficients` are the field's Fourier terms divided by (2 + cos k) / 3 along each
// axis, transformed back: values at voxels are then the field's own (Unser, Aldroubi & Eden, IEEE Trans. Signal
// Process. 41 (1993) 821). Two derivatives are continuous. O(1) a place.
void spline_samples(const Cpu& cpu, View3<const float> coefficients, View2<const double> places, View1<double> samples);

}  // namespace cryolith::detect
