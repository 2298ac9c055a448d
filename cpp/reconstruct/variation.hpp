// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include "core/parallel.hpp"
#include "core/view.hpp"
#include "reconstruct/steps.hpp"

namespace cryolith {

// Total variation in 3D: the sum over voxels of |D x|, D x = (a_z d_z x, a_y d_y x, a_x d_x x) the forward differences
// times a weight an axis; a difference across the volume's face is 0. The proximal map in the metric diag(1 / metric),
//   min over x of 1/2 |x - z|^2_metric + strength sum h(|D x|),   lower <= x <= upper,
// is found from its dual: x = clamp(z - metric D'q), |q| <= strength (Beck & Teboulle 2009, eq. 4.9, there with metric
// 1). h is the norm, or Huber's function: quadratic below `huber`. Voxels whose metric is 0 keep their value.
struct Variation {
  float axis[3];   // a_z, a_y, a_x
  float strength;  // above 0
  float huber;     // 0: total variation itself
};

// One projected ascent of the dual (3, nz, ny, nx): q <- proj(q + s D x), with the steps that its own voxels' metrics
// allow.
void ascend_dual(const Cpu& cpu, const Variation& variation, View3<const float> metric, View3<const float> volume,
                 View<float, 4> dual);

// volume <- clamp(z - metric D'q) where metric > 0.
void primal_from_dual(const Cpu& cpu, const Variation& variation, View3<const float> metric, View3<const float> z,
                      View<const float, 4> dual, Bounds bounds, View3<float> volume);

// z <- ahead + metric z: the gradient step, with z = A'W(b - A ahead) before.
void gradient_step(const Cpu& cpu, View1<const float> ahead, View1<const float> metric, View1<float> z);

// <ahead - x, x - earlier>: above 0 the momentum points uphill (O'Donoghue & Candes 2015, eq. 13).
ExactSum uphill(const Cpu& cpu, View3<const float> ahead, View3<const float> volume, View3<const float> earlier);

// ahead <- x + momentum (x - earlier), then earlier <- x.
void move_ahead(const Cpu& cpu, float momentum, View1<const float> volume, View1<float> earlier, View1<float> ahead);

// descent <- descent - factor D'D x, with the axis weights 1; returns |D x|^2.
ExactSum add_roughness(const Cpu& cpu, double factor, View3<const float> volume, View3<float> descent);

}  // namespace cryolith
