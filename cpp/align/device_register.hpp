// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <memory>
#include <string>

#include "align/image_stack.hpp"
#include "align/pair_images.hpp"

namespace cryolith {

// register_pairs on a device ("emulated", "cuda:1" ...): the same but for the rounding of transforms and sums. Images
// of the host go there one pair after the other; spectra stay there.
void register_pairs(const std::string& device, const ImageStack& reference, const ImageStack& moving, double max_shift,
                    View2<double> out);

// Holds pairs in the memory of a device, one after the other.
class DeviceRegister {
 public:
  virtual ~DeviceRegister() = default;
  // The next pair; what was made of the one before is no longer of use.
  virtual std::unique_ptr<PairImages> see(const PlacedImage& a, const PlacedImage& b, index_t binning) = 0;
};

// On this thread's device.
namespace emulated {
std::unique_ptr<DeviceRegister> make_device_register();
}
namespace cuda {
std::unique_ptr<DeviceRegister> make_device_register();
}

}  // namespace cryolith
