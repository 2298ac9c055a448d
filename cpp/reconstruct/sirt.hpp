// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include "core/parallel.hpp"
#include "core/view.hpp"

namespace cryolith {

// One step of SIRT between the two projectors; flat views of equal length throughout. A fused pass each: these loops
// are memory traffic, and NumPy would make six passes of them.

struct ResidualSums {
  double residual, data;  // sum of (b - Ax)^2 and of b^2
};

// projected <- ray_weights (measured - projected); the sums run over rays with a weight above 0.
ResidualSums weigh_residual(const Cpu& cpu, View1<const float> measured, View1<const float> ray_weights,
                            View1<float> projected);

// volume <- max(lower, volume + voxel_weights correction).
void update_volume(const Cpu& cpu, View1<const float> correction, View1<const float> voxel_weights, float lower,
                   View1<float> volume);

// sums <- 1 / max(sums, 1) where sums > 1/2, else 0: a ray (voxel) that meets less than half a voxel (ray) says
// nothing.
void invert_sums(const Cpu& cpu, View1<float> sums);

}  // namespace cryolith
