// SPDX-License-Identifier: BSD-3-Clause
// In place of device_components_cuda.cu where no CUDA compiler was found.
#include "core/error.hpp"
#include "detect/device_components.hpp"

namespace cryolith::cuda {

std::unique_ptr<DeviceComponents> make_device_components(View3<const std::uint8_t>, int) {
  throw DeviceError("cuda: this build of cryolith has no CUDA code");
}

}  // namespace cryolith::cuda
