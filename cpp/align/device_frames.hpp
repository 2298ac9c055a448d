// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <memory>
#include <string>

#include "align/band.hpp"
#include "core/parallel.hpp"
#include "core/view.hpp"

namespace cryolith {

// FrameSum on a device: the same sum, to rounding of the transforms. The sum stays in the device's memory.
class DeviceFrameSum {
 public:
  virtual ~DeviceFrameSum() = default;
  virtual void add(const Cpu& cpu, View2<const float> frame, const Vec2& shift) = 0;
  virtual void write(const Cpu& cpu, View2<float> out) = 0;
};

// For frames (ny, nx). device: "emulated", "cuda:1" ...
std::unique_ptr<DeviceFrameSum> make_device_frame_sum(const std::string& device, index_t ny, index_t nx);

// On this thread's device.
namespace emulated {
std::unique_ptr<DeviceFrameSum> make_device_frame_sum(index_t ny, index_t nx);
}
namespace cuda {
std::unique_ptr<DeviceFrameSum> make_device_frame_sum(index_t ny, index_t nx);
}

}  // namespace cryolith
