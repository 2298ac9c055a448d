// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <memory>

#include "core/parallel.hpp"
#include "core/view.hpp"
#include "projection/plan.hpp"

namespace cryolith {

// The projector pair of a plan on a device: the same operator as project() and backproject(), to rounding. Make once,
// run often: its tables stay on the device.
class DevicePair {
 public:
  virtual ~DevicePair() = default;
  virtual void project(const Cpu& cpu, View3<const float> volume, View3<float> images, bool add) = 0;
  virtual void backproject(const Cpu& cpu, View3<const float> images, View3<float> volume) = 0;
};

namespace emulated {
std::unique_ptr<DevicePair> make_device_pair(const ProjectionPlan& plan);
}
namespace cuda {
std::unique_ptr<DevicePair> make_device_pair(const ProjectionPlan& plan);
}

}  // namespace cryolith
