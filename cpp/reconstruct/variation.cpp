// SPDX-License-Identifier: BSD-3-Clause
#include "reconstruct/variation.hpp"

#include "reconstruct/bodies.hpp"

namespace cryolith {

void ascend_dual(const Cpu& cpu, const Variation& variation, View3<const float> metric, View3<const float> volume,
                 View<float, 4> dual) {
  sum_voxels(cpu, volume.extent, AscendDual{variation, metric.data, volume.data, dual.data});
}

void primal_from_dual(const Cpu& cpu, const Variation& variation, View3<const float> metric, View3<const float> z,
                      View<const float, 4> dual, Bounds bounds, View3<float> volume) {
  sum_voxels(cpu, volume.extent, PrimalFromDual{variation, metric.data, z.data, dual.data, bounds, volume.data});
}

void gradient_step(const Cpu& cpu, View1<const float> ahead, View1<const float> metric, View1<float> z) {
  for_elements(cpu, z.extent[0], GradientStep{ahead.data, metric.data, z.data});
}

ExactSum uphill(const Cpu& cpu, View3<const float> ahead, View3<const float> volume, View3<const float> earlier) {
  return sum_elements(cpu, volume.extent, Uphill{ahead.data, volume.data, earlier.data})[0];
}

void move_ahead(const Cpu& cpu, float momentum, View1<const float> volume, View1<float> earlier, View1<float> ahead) {
  for_elements(cpu, volume.extent[0], MoveAhead{momentum, volume.data, earlier.data, ahead.data});
}

ExactSum add_roughness(const Cpu& cpu, double factor, View3<const float> volume, View3<float> descent) {
  return sum_voxels(cpu, volume.extent, AddRoughness{static_cast<float>(factor), volume.data, descent.data})[0];
}

}  // namespace cryolith
