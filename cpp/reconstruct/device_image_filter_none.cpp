// SPDX-License-Identifier: BSD-3-Clause
// In place of device_image_filter_cuda.cu where no CUDA compiler was found.
#include "core/error.hpp"
#include "reconstruct/device_image_filter.hpp"

namespace cryolith::cuda {

std::unique_ptr<DeviceImageFilter> make_device_image_filter(const ImageFilterSizes&, View2<const float>) {
  throw DeviceError("cuda: this build of cryolith has no CUDA code");
}

}  // namespace cryolith::cuda
