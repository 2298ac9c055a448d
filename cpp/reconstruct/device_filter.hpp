// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/view.hpp"
#include "projection/device_pair.hpp"
#include "projection/plan.hpp"

namespace cryolith {

// The samples of a tilt's rows that lie over its image, for the 2 kLanes volume rows that a filter of the CPU sees at
// once: a line holds these alone.
struct SampleRange {
  std::int32_t begin, end;
};

// Filters the stretched rows of a plan on a device, as RowFilter does those on the CPU: weighted back-projection is
// DevicePair::backproject with it as the stage. Make once, run often: transforms and spectra stay on the device.
class DeviceFilter {
 public:
  virtual ~DeviceFilter() = default;
  // Rows in the memory of the device, of the plan for which it was made or of a slab of it. One at a time: what is
  // under way in a stream has to be waited for.
  virtual void apply(const ProjectionPlan& plan, float* rows) = 0;
};

// For slabs of up to `volume_rows` rows of the volume. lengths: of the transform of each tilt (filter_lengths); gains
// as RowFilter's. Of this thread's device.
namespace emulated {
std::unique_ptr<DeviceFilter> make_device_filter(index_t volume_rows, const std::vector<index_t>& lengths,
                                                 View2<const float> gains);
}
namespace cuda {
std::unique_ptr<DeviceFilter> make_device_filter(index_t volume_rows, const std::vector<index_t>& lengths,
                                                 View2<const float> gains);
}

// The same for a device by its name: "emulated", "cuda", "cuda:1" ... The first of each device is made after it has
// filtered and back-projected small images as the CPU does; DeviceError where it does not, where there is no such
// device, or no FFT library for it.
std::unique_ptr<DeviceFilter> make_device_filter(const std::string& device, index_t volume_rows,
                                                 const std::vector<index_t>& lengths, View2<const float> gains);

// Filters for slabs. They refer to lengths and gains, and count their memory without what cuFFT takes for itself, which
// it says when it has taken it.
SlabStage filter_stage(const std::vector<index_t>& lengths, View2<const float> gains);

}  // namespace cryolith
