// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include "core/parallel.hpp"
#include "core/view.hpp"

namespace cryolith {

// Replaces pixels that stand out of their eight neighbours by more than any noise would (hot and dead pixels, X-ray
// hits) by the neighbours' median, in place; counts them in `replaced` (n). A pixel p goes if it is above the largest
// neighbour (or below the smallest) by 3 times their range and by 8 times the image's noise, sigma estimated as
// 1.2533 times the mean of |p - median|. Images (n, ny, nx) with ny, nx >= 3; NaN pixels are left and not used.
// O(pixels).
void despike(const Cpu& cpu, View3<float> images, View1<index_t> replaced);

// One axis of a separable linear map: output j = sum over k < taps of weight[j][k] input[source[j][k]].
struct AxisMap {
  View2<const float> weight;    // (outputs, taps)
  View2<const index_t> source;  // (outputs, taps), in [0, inputs)
};

// out[n] = rows . image[n] . columns^T: low-pass and reduce images (n, ny, nx) to (n, my, mx). O(n my (ny taps / my +
// mx taps)).
void reduce_images(const Cpu& cpu, View3<const float> images, const AxisMap& rows, const AxisMap& columns,
                   View3<float> out);

// out[n](r, c) = images[n] at (row, column) = map[n] (r, c, 1), map (n, 2, 3) row-major, pixels counted from the first.
// Bilinear; a sample outside the image is fill[n]. Resampling to (n, my, mx). O(output pixels).
void resample_images(const Cpu& cpu, View3<const float> images, View3<const double> map, View1<const float> fill,
                     View3<float> out);

}  // namespace cryolith
