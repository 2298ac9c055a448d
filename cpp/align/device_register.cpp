// SPDX-License-Identifier: BSD-3-Clause
#include "align/device_register.hpp"

#include <cmath>

#include "align/test_scene.hpp"
#include "core/error.hpp"
#include "cuda/devices.hpp"

namespace cryolith {
namespace {

void register_on(const std::string& device, const ImageStack& reference, const ImageStack& moving, double max_shift,
                 View2<double> out) {
  const auto here = is_emulated(device) ? emulated::make_device_register() : cuda::make_device_register();
  const auto make = [&](index_t i, index_t binning) { return here->see(reference[i], moving[i], binning); };
  // One thread: the device is this one's.
  register_images(Cpu{1}, reference.images.extent[0], reference.images.extent[1], reference.images.extent[2], max_shift,
                  make, out);
}

// Two images of a smooth scene.
void test_register(const std::string& device) {
  const TestScene scene({{0, 0}, {2, -3}});
  double found[kRegisterColumns], wanted[kRegisterColumns];
  register_on(device, {scene.image(0)}, {scene.image(1)}, 0, {found, {1, kRegisterColumns}});
  register_pairs(Cpu{1}, scene.image(0), scene.image(1), 0, {wanted, {1, kRegisterColumns}});
  double off = 0;
  for (int k = 0; k < kPeak + 1; ++k)
    off = std::max(off, std::isnan(found[k]) ? INFINITY : std::abs(found[k] - wanted[k]));
  if (!(off < 1e-4))
    throw DeviceError("a pair lies " + std::to_string(found[0]) + ", " + std::to_string(found[1]) + " px apart, " +
                      std::to_string(off) + " off the CPU's");
}

}  // namespace

void register_pairs(const std::string& device, const ImageStack& reference, const ImageStack& moving, double max_shift,
                    View2<double> out) {
  for (int k = 0; k < 3; ++k)
    require(reference.images.extent[k] == moving.images.extent[k], "moving: found ", moving.images.extent[k],
            " along axis ", k, ", expected ", reference.images.extent[k], " as in reference");
  require_device_extent("reference", reference.images.extent[1], reference.images.extent[2]);
  with_device(device, {"registration", [&] { test_register(device); }},
              [&] { register_on(device, reference, moving, max_shift, out); });
}

}  // namespace cryolith
