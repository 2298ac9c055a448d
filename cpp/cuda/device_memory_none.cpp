// SPDX-License-Identifier: BSD-3-Clause
// In place of device_memory_cuda.cu where no CUDA compiler was found.
#include "cuda/device_tensor.hpp"

namespace cryolith::cuda {

std::shared_ptr<DeviceMemory> make_device_memory(index_t) {
  throw DeviceError("cuda: this build of cryolith has no CUDA code");
}
std::shared_ptr<DeviceMemory> borrow_device_memory(void*, index_t) {
  throw DeviceError("cuda: this build of cryolith has no CUDA code");
}
index_t free_device_memory() { throw DeviceError("cuda: this build of cryolith has no CUDA code"); }

}  // namespace cryolith::cuda
