// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "core/view.hpp"

namespace cryolith {

// Connected components of a mask on a device, numbered as detect::Components does, to the byte.
class DeviceComponents {
 public:
  virtual ~DeviceComponents() = default;
  virtual index_t count() const = 0;
  // The labels; extents of the mask.
  virtual void write(View3<std::int32_t> labels) const = 0;
};

// device: "emulated", "cuda", "cuda:1" ... connectivity: 6, 18 or 26. Fewer than 2^31 voxels. Holds 4.1 bytes a voxel
// of the device's memory, twice that while labels are written. The first call on a device labels a small mask as the
// CPU does; DeviceError where it does not, or where there is no such device.
std::unique_ptr<DeviceComponents> make_device_components(const std::string& device, View3<const std::uint8_t> mask,
                                                         int connectivity);

namespace emulated {
std::unique_ptr<DeviceComponents> make_device_components(View3<const std::uint8_t> mask, int connectivity);
}
namespace cuda {
std::unique_ptr<DeviceComponents> make_device_components(View3<const std::uint8_t> mask, int connectivity);
}

}  // namespace cryolith
