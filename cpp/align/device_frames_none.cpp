// SPDX-License-Identifier: BSD-3-Clause
// In place of device_frames_cuda.cu where no CUDA compiler was found.
#include "align/device_frames.hpp"
#include "core/error.hpp"

namespace cryolith::cuda {

std::unique_ptr<DeviceFrameSum> make_device_frame_sum(index_t, index_t) {
  throw DeviceError("cuda: this build of cryolith has no CUDA code");
}

}  // namespace cryolith::cuda
