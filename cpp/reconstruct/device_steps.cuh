// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// DeviceSteps for the device that this file is compiled for.
#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "core/device_array.hpp"
#include "reconstruct/device_steps.hpp"
#include "reconstruct/steps_cuda.cuh"

namespace cryolith::CRYOLITH_DEVICE {

class StepsHere : public DeviceSteps {
 public:
  ResidualSums weigh_residual(View3<const float> measured, View3<const float> weights, View3<const float> gain,
                              View3<float> projected) override {
    return residual(sums(projected, WeighResidual{measured.data, weights.data, gain.data, projected.data}));
  }
  ResidualSums extrapolate_residual(View3<const float> measured, View3<const float> weights,
                                    View3<const float> projected, float momentum, View3<float> earlier) override {
    return residual(
        sums(earlier, ExtrapolateResidual{measured.data, weights.data, projected.data, momentum, earlier.data}));
  }
  ResidualSums poisson_ratio(View3<const float> measured, View3<const float> weights, float least,
                             View3<float> projected) override {
    return residual(sums(projected, PoissonRatio{measured.data, weights.data, least, projected.data}));
  }
  ExactSum weighted_sum(View3<const float> weights, View3<const float> values) override {
    return sums(values, WeightedSum{weights.data, values.data})[0];
  }
  ExactSum weighted_square(View3<const float> weights, View3<const float> values) override {
    return sums(values, WeightedSquare{weights.data, values.data})[0];
  }
  ExactSum subtract_projection(View3<const float> weights, float step, View3<float> residual,
                               View3<float> projected) override {
    return sums(residual, SubtractProjection{weights.data, step, residual.data, projected.data})[0];
  }
  void update_volume(View1<const float> correction, View1<const float> voxel_weights, float step, Bounds bounds,
                     View1<float> volume) override {
    each(volume, UpdateVolume{correction.data, voxel_weights.data, step, bounds, volume.data});
  }
  void multiply_volume(View1<const float> correction, View1<const float> voxel_weights, Bounds bounds,
                       View1<float> volume) override {
    each(volume, MultiplyVolume{correction.data, voxel_weights.data, bounds, volume.data});
  }
  ExactSum free_descent(View3<const float> volume, double damping, Bounds bounds, View3<float> descent) override {
    return sums(descent, FreeDescent{volume.data, static_cast<float>(damping), bounds, descent.data})[0];
  }
  DirectionSums conjugate_direction(View3<const float> descent, float factor, View3<float> direction) override {
    auto [square, slope] = sums(direction, ConjugateDirection{descent.data, factor, direction.data});
    return {std::move(square), std::move(slope)};
  }
  index_t walk_volume(View3<const float> direction, float step, Bounds bounds, View3<float> volume) override {
    const auto stopped = sums(volume, WalkVolume{direction.data, step, bounds, volume.data});
    return static_cast<index_t>(stopped[0].value());
  }
  void invert_sums(View1<float> sums) override { each(sums, InvertSums{{sums.data}}); }
  void fill(float value, View1<float> out) override { each(out, Fill{value, out.data}); }
  void copy(View1<const float> from, View1<float> out) override { each(out, Copy{from.data, out.data}); }
  void multiply(View1<const float> by, View1<float> out) override { each(out, Multiply{by.data, out.data}); }
  void divide(float divisor, View1<float> out) override { each(out, Divide{{out.data}, divisor}); }
  void raise_to(View1<const float> least, View1<float> out) override { each(out, RaiseTo{least.data, out.data}); }
  void graze(View1<const float> sums, float least, View1<float> weights) override {
    each(weights, Graze{sums.data, least, weights.data});
  }
  void scale(float factor, float upper, View1<float> out) override { each(out, Scale{{out.data}, factor, upper}); }
  void reciprocal(float least, View1<float> out) override { each(out, Reciprocal{{out.data}, least}); }
  void take(View1<const index_t> places, View1<const float> from, View1<float> values) override {
    each(values, Take{places.data, from.data, values.data});
  }
  void put(View1<const index_t> places, View1<const float> values, View1<float> out) override {
    each(values, Put{places.data, values.data, out.data});
  }
  void ascend_dual(const Variation& variation, View3<const float> metric, View3<const float> volume,
                   View<float, 4> dual) override {
    each_voxel(volume, AscendDual{variation, metric.data, volume.data, dual.data});
  }
  void primal_from_dual(const Variation& variation, View3<const float> metric, View3<const float> z,
                        View<const float, 4> dual, Bounds bounds, View3<float> volume) override {
    each_voxel(volume, PrimalFromDual{variation, metric.data, z.data, dual.data, bounds, volume.data});
  }
  void gradient_step(View1<const float> ahead, View1<const float> metric, View1<float> z) override {
    each(z, GradientStep{ahead.data, metric.data, z.data});
  }
  ExactSum uphill(View3<const float> ahead, View3<const float> volume, View3<const float> earlier) override {
    return sums(volume, Uphill{ahead.data, volume.data, earlier.data})[0];
  }
  void move_ahead(float momentum, View1<const float> volume, View1<float> earlier, View1<float> ahead) override {
    each(ahead, MoveAhead{momentum, volume.data, earlier.data, ahead.data});
  }
  ExactSum add_roughness(double factor, View3<const float> volume, View3<float> descent) override {
    const AddRoughness body{static_cast<float>(factor), volume.data, descent.data};
    return sums_where<1>(volume, InVolume<AddRoughness>{body, extent(volume)})[0];
  }

 private:
  static VolumeExtent extent(const View3<const float>& v) { return {v.extent[0], v.extent[1], v.extent[2]}; }
  static ResidualSums residual(std::array<ExactSum, 2> sums) { return {std::move(sums[0]), std::move(sums[1])}; }

  template <class Body>
  static void each(const View1<const float>& of, const Body& body) {
    if (of.size() > 0) launch({blocks_for(of.size(), EachElement<Body>::kPart)}, 0, EachElement<Body>{body, of.size()});
  }
  template <class Body>
  static void each_voxel(const View3<const float>& of, const Body& body) {
    const VolumeExtent e = extent(of);
    require(e.nz <= 65535 && e.ny * e.nx < index_t{1} << 31, "volume: found ", e.nz, " x ", e.ny, " x ", e.nx,
            " voxels, expected at most 65535 planes of less than 2^31 on a device");
    if (of.size() > 0)
      launch({blocks_for(e.ny * e.nx, EachVoxel<Body>::kThreads), static_cast<unsigned>(e.nz)}, 0,
             EachVoxel<Body>{body, e});
  }
  template <class Body>
  std::array<ExactSum, Body::kSums> sums(const View3<const float>& of, const Body& body) {
    return sums_where<Body::kSums>(of, InRows<Body>{body, extent(of)});
  }
  template <int kSums, class Where>
  std::array<ExactSum, kSums> sums_where(const View3<const float>& of, const Where& where) {
    std::array<ExactSum, kSums> out;
    const index_t rows = of.extent[0] * of.extent[1], groups = AddRowSums::groups_of(rows);
    if (of.size() == 0) return out;
    if (!of_rows_ || of_rows_->size() < kSums * rows) of_rows_.emplace(kSums * rows);
    launch({blocks_for(rows, SumRows<Where, kSums>::kRows)}, 0,
           SumRows<Where, kSums>{where, rows, of.extent[2], of_rows_->data()});
    launch({static_cast<unsigned>(groups), kSums}, 0, AddRowSums{of_rows_->data(), rows, groups, of_groups_.data()});
    std::vector<double> parts(static_cast<std::size_t>(kSums * groups * 2));
    of_groups_.read(0, parts.data(), kSums * groups * 2);
    const std::size_t each = parts.size() / kSums;
    for (std::size_t i = 0; i < parts.size(); ++i) out[i / each] += parts[i];
    return out;
  }

  std::optional<DeviceArray<double>> of_rows_;
  DeviceArray<double> of_groups_{2 * 2 * AddRowSums::groups_of(std::numeric_limits<std::int32_t>::max())};
};

std::unique_ptr<DeviceSteps> make_device_steps() { return std::make_unique<StepsHere>(); }

}  // namespace cryolith::CRYOLITH_DEVICE
