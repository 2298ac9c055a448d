// SPDX-License-Identifier: BSD-3-Clause
// In place of device_register_cuda.cu where no CUDA compiler was found.
#include "align/device_register.hpp"
#include "align/device_stack.hpp"
#include "core/error.hpp"

namespace cryolith::cuda {

std::unique_ptr<DeviceRegister> make_device_register() {
  throw DeviceError("cuda: this build of cryolith has no CUDA code");
}
std::unique_ptr<FrameArrays> make_device_frames(std::size_t, const Search&, const Band&) {
  throw DeviceError("cuda: this build of cryolith has no CUDA code");
}

}  // namespace cryolith::cuda
