// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include "core/parallel.hpp"
#include "core/view.hpp"

namespace cryolith {

// out(p) = array at map (p, 1), map (axes, axes + 1) row-major, pixels counted from the first; interpolated by the
// separable windowed sinc of the projector (design/003-projector.md), zero outside. O(output 8^axes).
void warp_image(const Cpu& cpu, View2<const float> image, View2<const double> map, View2<float> out);
void warp_volume(const Cpu& cpu, View3<const float> volume, View2<const double> map, View3<float> out);

// Log-polar samples of a half spectrum `power` (ny, nx / 2 + 1) in the order of rfft2, of an image nx wide; bilinear.
// Row i of `out` (angles, radii) looks along the angle -pi/2 + i pi / angles, from +x to +y; sample j lies at
// low (high / low)^(j / (radii - 1)) cycles/px. O(output).
void log_polar(const Cpu& cpu, View2<const float> power, index_t nx, double low, double high, View2<float> out);

// Sums over all points x of two filtered arrays a and b, of which b is to be moved by a small affine displacement with
// terms phi = e_i m, m in {1, coordinates}. With d arrays' axes and gradients da, db (design/016-transforms.md, eqs. 3
// and 4), `out` takes
//   slopes (d, 1 + d):                   sum of m (d_i a b - d_i b a) / 2,
//   bends (d (d + 1) / 2, (1 + d) (2 + d) / 2):  sum of m n (d_i a d_j b + d_j a d_i b) / 2, i <= j, m <= n.
// `a` and `b` (1 + d, nz, ny, nx) hold value and gradients along the axes; d = 3, or 2 with nz = 1. Point k of an axis
// has the coordinate origin + k spacing, `axes` (d, 2). O(points).
void displacement_sums(const Cpu& cpu, const View<const float, 4>& a, const View<const float, 4>& b,
                       View2<const double> axes, View1<double> out);

}  // namespace cryolith
