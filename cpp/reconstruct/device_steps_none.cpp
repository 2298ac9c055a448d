// SPDX-License-Identifier: BSD-3-Clause
// In place of device_steps_cuda.cu where no CUDA compiler was found.
#include "core/error.hpp"
#include "reconstruct/device_steps.hpp"

namespace cryolith::cuda {

std::unique_ptr<DeviceSteps> make_device_steps() { throw DeviceError("cuda: this build of cryolith has no CUDA code"); }

}  // namespace cryolith::cuda
