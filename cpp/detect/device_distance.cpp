// SPDX-License-Identifier: BSD-3-Clause
#include "detect/device_distance.hpp"

#include <cstring>
#include <vector>

#include "core/error.hpp"
#include "cuda/devices.hpp"
#include "cuda/self_test.hpp"

namespace cryolith {
namespace {

template <class Value>
void measure(const std::string& device, View3<const Value> values, const detect::DistanceOptions& options,
             View3<float> out) {
  const detect::DistancePlan plan = detect::distance_plan<Value>(values.extent, options);
  if (is_emulated(device))
    emulated::device_distance(values, plan, out);
  else
    cuda::device_distance(values, plan, out);
}

template <class Value>
void test_distance(const std::string& device, const std::vector<Value>& values, const index_t (&extent)[3],
                   const detect::DistanceOptions& options) {
  const View3<const Value> in{values.data(), {extent[0], extent[1], extent[2]}};
  std::vector<float> found(values.size()), wanted(values.size());
  detect::distance(Cpu{1}, in, options, {wanted.data(), {extent[0], extent[1], extent[2]}});
  measure<Value>(device, in, options, {found.data(), {extent[0], extent[1], extent[2]}});
  if (std::memcmp(found.data(), wanted.data(), 4 * found.size()) != 0) throw DeviceError("distances are not the CPU's");
}

// A few voxels of background, then labels: every kernel, in extents that fill no block.
void test_distances(const std::string& device) {
  const index_t extent[3] = {9, 11, 43};
  const auto n = static_cast<std::size_t>(extent[0] * extent[1] * extent[2]);
  std::vector<std::uint8_t> mask(n);
  std::vector<std::int32_t> labels(n);
  Scatter scatter;
  for (std::size_t i = 0; i < n; ++i) {
    mask[i] = scatter.bits() >> 24 != 0;
    labels[i] = static_cast<std::int32_t>(i / 29 % 3);
  }
  test_distance(device, mask, extent, {{2, 1, 1}, false, false});
  test_distance(device, labels, extent, {{1.3, 0.7, 0.45}, true, false});
  test_distance(device, labels, extent, {{1, 1, 1}, false, true});
  test_distance(device, mask, extent, {{1, 1, 1}, false, true});
}

}  // namespace

template <class Value>
void device_distance(const std::string& device, View3<const Value> values, const detect::DistanceOptions& options,
                     View3<float> out) {
  for (int i = 0; i < 3; ++i)
    require(out.extent[i] == values.extent[i], "out: found ", out.extent[i], " elements along axis ", i, ", expected ",
            values.extent[i], " as in values");
  with_device(device, {"distance", [&] { test_distances(device); }},
              [&] { measure<Value>(device, values, options, out); });
}

template void device_distance(const std::string&, View3<const std::uint8_t>, const detect::DistanceOptions&,
                              View3<float>);
template void device_distance(const std::string&, View3<const std::int32_t>, const detect::DistanceOptions&,
                              View3<float>);

}  // namespace cryolith
