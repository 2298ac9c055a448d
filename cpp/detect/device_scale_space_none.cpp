// SPDX-License-Identifier: BSD-3-Clause
// In place of device_scale_space_cuda.cu where no CUDA compiler was found.
#include "core/error.hpp"
#include "detect/device_scale_space.hpp"

namespace cryolith::cuda {

std::vector<detect::Peak> scale_space_maxima(const DeviceScaleSpace&, View1<double>) {
  throw DeviceError("cuda: this build of cryolith has no CUDA code");
}

}  // namespace cryolith::cuda
