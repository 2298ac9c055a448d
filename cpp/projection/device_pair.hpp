// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "core/parallel.hpp"
#include "core/view.hpp"
#include "projection/plan.hpp"

namespace cryolith {

// What is done to the stretched rows between sampling and summing, [block of y][row][columns of a block] in the memory
// of the device: filters.
using DeviceRowStage = std::function<void(float* rows)>;

// The projector pair of a plan on a device: the same operator as project() and backproject(), to rounding. Make once,
// run often: its tables stay on the device.
class DevicePair {
 public:
  virtual ~DevicePair() = default;
  // With `add`, the projections are added to whatever `images` holds.
  virtual void project(const Cpu& cpu, View3<const float> volume, View3<float> images, bool add) = 0;
  virtual void backproject(const Cpu& cpu, View3<const float> images, View3<float> volume,
                           const DeviceRowStage& stage = {}) = 0;
  // The same for arrays in the memory of the device.
  virtual void project_there(const Cpu& cpu, View3<const float> volume, View3<float> images, bool add) = 0;
  virtual void backproject_there(const Cpu& cpu, View3<const float> images, View3<float> volume,
                                 const DeviceRowStage& stage = {}) = 0;
};

// device: "emulated", "cuda", "cuda:1" ... The plan has to outlive the pair. The first pair of a device is made after
// it has computed a small phantom as the CPU does; DeviceError where it does not, or where there is no such device.
std::unique_ptr<DevicePair> make_device_pair(const std::string& device, const ProjectionPlan& plan);

namespace emulated {
std::unique_ptr<DevicePair> make_device_pair(const ProjectionPlan& plan);
}
namespace cuda {
std::unique_ptr<DevicePair> make_device_pair(const ProjectionPlan& plan);
}

}  // namespace cryolith
