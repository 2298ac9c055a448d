// SPDX-License-Identifier: BSD-3-Clause
#include "reconstruct/steps.hpp"

#include <utility>

#include "reconstruct/bodies.hpp"

namespace cryolith {
namespace {

ResidualSums residual_sums(std::array<ExactSum, 2> sums) { return {std::move(sums[0]), std::move(sums[1])}; }

}  // namespace

ResidualSums weigh_residual(const Cpu& cpu, View3<const float> measured, View3<const float> weights,
                            View3<const float> gain, View3<float> projected) {
  return residual_sums(
      sum_elements(cpu, projected.extent, WeighResidual{measured.data, weights.data, gain.data, projected.data}));
}

ResidualSums extrapolate_residual(const Cpu& cpu, View3<const float> measured, View3<const float> weights,
                                  View3<const float> projected, float momentum, View3<float> earlier) {
  return residual_sums(sum_elements(
      cpu, earlier.extent, ExtrapolateResidual{measured.data, weights.data, projected.data, momentum, earlier.data}));
}

ResidualSums poisson_ratio(const Cpu& cpu, View3<const float> measured, View3<const float> weights, float least,
                           View3<float> projected) {
  return residual_sums(
      sum_elements(cpu, projected.extent, PoissonRatio{measured.data, weights.data, least, projected.data}));
}

ExactSum weighted_sum(const Cpu& cpu, View3<const float> weights, View3<const float> values) {
  return sum_elements(cpu, values.extent, WeightedSum{weights.data, values.data})[0];
}

ExactSum weighted_square(const Cpu& cpu, View3<const float> weights, View3<const float> values) {
  return sum_elements(cpu, values.extent, WeightedSquare{weights.data, values.data})[0];
}

ExactSum subtract_projection(const Cpu& cpu, View3<const float> weights, float step, View3<float> residual,
                             View3<float> projected) {
  return sum_elements(cpu, residual.extent, SubtractProjection{weights.data, step, residual.data, projected.data})[0];
}

void update_volume(const Cpu& cpu, View1<const float> correction, View1<const float> voxel_weights, float step,
                   Bounds bounds, View1<float> volume) {
  for_elements(cpu, volume.extent[0], UpdateVolume{correction.data, voxel_weights.data, step, bounds, volume.data});
}

void multiply_volume(const Cpu& cpu, View1<const float> correction, View1<const float> voxel_weights, Bounds bounds,
                     View1<float> volume) {
  for_elements(cpu, volume.extent[0], MultiplyVolume{correction.data, voxel_weights.data, bounds, volume.data});
}

ExactSum free_descent(const Cpu& cpu, View3<const float> volume, double damping, Bounds bounds, View3<float> descent) {
  return sum_elements(cpu, volume.extent,
                      FreeDescent{volume.data, static_cast<float>(damping), bounds, descent.data})[0];
}

DirectionSums conjugate_direction(const Cpu& cpu, View3<const float> descent, float factor, View3<float> direction) {
  auto [square, slope] = sum_elements(cpu, direction.extent, ConjugateDirection{descent.data, factor, direction.data});
  return {std::move(square), std::move(slope)};
}

index_t walk_volume(const Cpu& cpu, View3<const float> direction, float step, Bounds bounds, View3<float> volume) {
  const auto stopped = sum_elements(cpu, volume.extent, WalkVolume{direction.data, step, bounds, volume.data});
  return static_cast<index_t>(stopped[0].value());
}

void invert_sums(const Cpu& cpu, View1<float> sums) { for_elements(cpu, sums.extent[0], InvertSums{{sums.data}}); }

void fill(const Cpu& cpu, float value, View1<float> out) { for_elements(cpu, out.extent[0], Fill{value, out.data}); }

void copy(const Cpu& cpu, View1<const float> from, View1<float> out) {
  for_elements(cpu, out.extent[0], Copy{from.data, out.data});
}

void multiply(const Cpu& cpu, View1<const float> by, View1<float> out) {
  for_elements(cpu, out.extent[0], Multiply{by.data, out.data});
}

void divide(const Cpu& cpu, float divisor, View1<float> out) {
  for_elements(cpu, out.extent[0], Divide{{out.data}, divisor});
}

void raise_to(const Cpu& cpu, View1<const float> least, View1<float> out) {
  for_elements(cpu, out.extent[0], RaiseTo{least.data, out.data});
}

void graze(const Cpu& cpu, View1<const float> sums, float least, View1<float> weights) {
  for_elements(cpu, weights.extent[0], Graze{sums.data, least, weights.data});
}

void scale(const Cpu& cpu, float factor, float upper, View1<float> out) {
  for_elements(cpu, out.extent[0], Scale{{out.data}, factor, upper});
}

void reciprocal(const Cpu& cpu, float least, View1<float> out) {
  for_elements(cpu, out.extent[0], Reciprocal{{out.data}, least});
}

}  // namespace cryolith
