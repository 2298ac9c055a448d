// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// device_distance for the device that this file is compiled for.
#include "core/device_array.hpp"
#include "detect/device_distance.hpp"
#include "detect/distance_cuda.cuh"

namespace cryolith::CRYOLITH_DEVICE {

template <Kind kKind, class Value>
void measure(View3<const Value> values, const DistanceShape& shape, View3<float> out) {
  const auto blocks = [](index_t n, index_t size) { return static_cast<unsigned>((n + size - 1) / size); };
  DeviceArray<Value> in(values.size());
  DeviceArray<float> one(values.size()), other(values.size());
  in.write(0, values.data, values.size());
  using AlongZ = ColumnSquares<kKind, Value>;
  using AlongY = SearchLines<kKind, Value, 1>;
  using AlongX = SearchLines<kKind, Value, 2>;
  launch({blocks(values.extent[1] * values.extent[2], AlongZ::kThreads)}, 0, AlongZ{shape, in.data(), one.data()});
  const Dim3 grid{blocks(shape.nx, AlongY::kAlongX), blocks(shape.ny, AlongY::kAlongY),
                  static_cast<unsigned>(shape.nz)};
  launch(grid, 0, AlongY{shape, in.data(), one.data(), other.data()});
  launch(grid, 0, AlongX{shape, in.data(), other.data(), one.data()});
  one.read(0, out.data, out.size());
}

template <class Value>
void measure_any(View3<const Value> values, const detect::DistancePlan& plan, View3<float> out) {
  const DistanceShape shape{static_cast<int>(values.extent[0]),
                            static_cast<int>(plan.ny),
                            static_cast<int>(plan.nx),
                            plan.border,
                            plan.unit,
                            {plan.square[0], plan.square[1], plan.square[2]}};
  if (plan.kind == Kind::all_labels) return measure<Kind::all_labels>(values, shape, out);
  measure<sizeof(Value) == 1 ? Kind::mask : Kind::labels>(values, shape, out);
}

void device_distance(View3<const std::uint8_t> values, const detect::DistancePlan& plan, View3<float> out) {
  measure_any(values, plan, out);
}
void device_distance(View3<const std::int32_t> values, const detect::DistancePlan& plan, View3<float> out) {
  measure_any(values, plan, out);
}

}  // namespace cryolith::CRYOLITH_DEVICE
