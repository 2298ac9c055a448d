// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include "core/parallel.hpp"
#include "core/view.hpp"
#include "reconstruct/steps.hpp"
#include "reconstruct/variation.kernel.hpp"

namespace cryolith {

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
