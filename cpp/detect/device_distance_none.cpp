// SPDX-License-Identifier: BSD-3-Clause
// In place of device_distance_cuda.cu where no CUDA compiler was found.
#include "core/error.hpp"
#include "detect/device_distance.hpp"

namespace cryolith::cuda {

void device_distance(View3<const std::uint8_t>, const detect::DistancePlan&, View3<float>) {
  throw DeviceError("cuda: this build of cryolith has no CUDA code");
}
void device_distance(View3<const std::int32_t>, const detect::DistancePlan&, View3<float>) {
  throw DeviceError("cuda: this build of cryolith has no CUDA code");
}

}  // namespace cryolith::cuda
