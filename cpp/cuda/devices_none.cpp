// SPDX-License-Identifier: BSD-3-Clause
// In place of devices_cuda.cu where no CUDA compiler was found.
#include "core/error.hpp"
#include "cuda/devices.hpp"

namespace cryolith {

std::vector<CudaDevice> cuda_devices(std::string& why) {
  why = "this build of cryolith has no CUDA code";
  return {};
}

namespace cuda {
int current_device() { return 0; }
void use_device(int) { throw DeviceError("cuda: this build of cryolith has no CUDA code"); }
}  // namespace cuda

}  // namespace cryolith
