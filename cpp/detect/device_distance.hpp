// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <cstdint>
#include <string>

#include "detect/distance.hpp"

namespace cryolith {

// detect::distance on a device: the same bytes. device: "emulated", "cuda", "cuda:1" ... Takes 8 bytes a voxel of the
// device's memory, and the values. The first call on a device measures a small volume as the CPU does; DeviceError
// where it does not, or where there is no such device.
template <class Value>
void device_distance(const std::string& device, View3<const Value> values, const detect::DistanceOptions& options,
                     View3<float> out);

#define CRYOLITH_DECLARE_DEVICE_DISTANCE(ns, Value)                                                    \
  namespace ns {                                                                                       \
  void device_distance(View3<const Value> values, const detect::DistancePlan& plan, View3<float> out); \
  }
CRYOLITH_DECLARE_DEVICE_DISTANCE(emulated, std::uint8_t)
CRYOLITH_DECLARE_DEVICE_DISTANCE(emulated, std::int32_t)
CRYOLITH_DECLARE_DEVICE_DISTANCE(cuda, std::uint8_t)
CRYOLITH_DECLARE_DEVICE_DISTANCE(cuda, std::int32_t)
#undef CRYOLITH_DECLARE_DEVICE_DISTANCE

}  // namespace cryolith
