// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include "core/error.hpp"
#include "core/parallel.hpp"
#include "core/view.hpp"
#include "reconstruct/steps.hpp"
#include "reconstruct/variation.kernel.hpp"

namespace cryolith {

// The dual of a volume that is held in one array of three times as many planes.
inline View<float, 4> dual_view(View3<float> planes, const View3<float>& volume) {
  require(planes.extent[0] == 3 * volume.extent[0] && planes.size() == 3 * volume.size(), "dual: found ",
          planes.extent[0], " planes, expected ", 3 * volume.extent[0], " of the volume's");
  View<float, 4> out;
  out.data = planes.data;
  out.extent[0] = 3;
  for (int i = 0; i < 3; ++i) out.extent[i + 1] = volume.extent[i];
  return out;
}

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
