// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "core/view.hpp"
#include "projection/plan.hpp"

namespace cryolith {

// Filters the stretched rows of a plan on a device, as RowFilter does those on the CPU: weighted back-projection is
// DevicePair::backproject with it as the stage. Make once, run often: transforms and spectra stay on the device.
class DeviceFilter {
 public:
  virtual ~DeviceFilter() = default;
  virtual void apply(float* rows) = 0;  // in the memory of the device
};

// lengths: of the transform of each tilt (filter_lengths); gains as RowFilter's. Of this thread's device.
namespace emulated {
std::unique_ptr<DeviceFilter> make_device_filter(const ProjectionPlan& plan, const std::vector<index_t>& lengths,
                                                 View2<const float> gains);
}
namespace cuda {
std::unique_ptr<DeviceFilter> make_device_filter(const ProjectionPlan& plan, const std::vector<index_t>& lengths,
                                                 View2<const float> gains);
}

// The same for a device by its name: "emulated", "cuda", "cuda:1" ... The first of each device is made after it has
// filtered and back-projected small images as the CPU does; DeviceError where it does not, where there is no such
// device, or no FFT library for it.
std::unique_ptr<DeviceFilter> make_device_filter(const std::string& device, const ProjectionPlan& plan,
                                                 const std::vector<index_t>& lengths, View2<const float> gains);

}  // namespace cryolith
