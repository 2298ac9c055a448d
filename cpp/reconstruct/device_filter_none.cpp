// SPDX-License-Identifier: BSD-3-Clause
// In place of device_filter_cuda.cu where no CUDA compiler was found.
#include "core/error.hpp"
#include "reconstruct/device_filter.hpp"

namespace cryolith::cuda {

std::unique_ptr<DeviceFilter> make_device_filter(index_t, const std::vector<index_t>&, View2<const float>) {
  throw DeviceError("cuda: this build of cryolith has no CUDA code");
}

}  // namespace cryolith::cuda
