// SPDX-License-Identifier: BSD-3-Clause
// In place of device_pair_cuda.cu where no CUDA compiler was found.
#include "core/error.hpp"
#include "projection/device_pair.hpp"

namespace cryolith::cuda {

std::unique_ptr<DevicePair> make_device_pair(const ProjectionPlan&) {
  throw DeviceError("cuda: this build of cryolith has no CUDA code");
}

}  // namespace cryolith::cuda
