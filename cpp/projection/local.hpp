// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include "core/parallel.hpp"
#include "core/view.hpp"

namespace cryolith {

// Where the pixels of straightened images lie in those that were taken: each pixel's displacement (row, column), given
// at nodes `spacing` pixels apart, the first at pixel (0, 0), and linear in between.
struct LocalField {
  View<const float, 4> nodes;  // (n_tilts, 2, node rows, node columns) [px]
  index_t spacing;
};

// out[t][r][c] = image t at (r, c) + displacement, by the kernel of sampling.hpp along either axis; 0 outside.
// ArgumentError where the nodes do not cover the images or are not finite and below 1e6.
void straighten(const Cpu& cpu, const LocalField& field, View3<const float> images, View3<float> out);
// The transpose: sets out[t] to what straight images leave in those that are taken.
void bend(const Cpu& cpu, const LocalField& field, View3<const float> straight, View3<float> out);

// Bytes that either holds.
index_t local_scratch_bytes(index_t height, index_t width, index_t threads);

}  // namespace cryolith
