// SPDX-License-Identifier: BSD-3-Clause
#include "align/device_register.hpp"

#include <cmath>
#include <vector>

#include "core/error.hpp"
#include "cuda/devices.hpp"
#include "cuda/self_test.hpp"

namespace cryolith {
namespace {

void register_on(const std::string& device, const ImageStack& reference, const ImageStack& moving, double max_shift,
                 View2<double> out) {
  const auto here = is_emulated(device) ? emulated::make_device_register() : cuda::make_device_register();
  const auto make = [&](index_t i, index_t binning) {
    return here->see(reference[i], reference.resident, moving[i], moving.resident, binning);
  };
  // One thread: the device is this one's.
  register_images(Cpu{1}, reference.images.extent[0], reference.images.extent[1], reference.images.extent[2], max_shift,
                  make, out);
}

// A smooth scene of counts, moved by whole pixels, with holes.
void test_register(const std::string& device) {
  constexpr index_t ny = 44, nx = 52;
  std::vector<float> scene(static_cast<std::size_t>(ny * nx)), moved(scene.size());
  Scatter scatter;
  float waves[8][3];
  for (auto& wave : waves)
    for (float& v : wave) v = scatter.value();
  for (index_t y = 0; y < ny; ++y)
    for (index_t x = 0; x < nx; ++x)
      for (const bool second : {false, true}) {
        const float v = static_cast<float>(y) - (second ? 2.0f : 0.0f),
                    u = static_cast<float>(x) + (second ? 3.0f : 0.0f);
        float sum = 0;
        for (const auto& wave : waves) sum += std::sin(wave[0] * v + wave[1] * u + 6 * wave[2]);
        (second ? moved : scene)[static_cast<std::size_t>(y * nx + x)] =
            std::round(40 + 8 * sum + 12 * scatter.value());
      }
  scene[5 * nx + 7] = NAN;
  const auto stack = [&](const std::vector<float>& of) { return View3<const float>{of.data(), {1, ny, nx}}; };
  double found[kRegisterColumns], wanted[kRegisterColumns];
  register_on(device, {stack(scene)}, {stack(moved)}, 0, {found, {1, kRegisterColumns}});
  register_pairs(Cpu{1}, stack(scene), stack(moved), 0, {wanted, {1, kRegisterColumns}});
  double off = 0;
  for (int k = 0; k < kPeak + 1; ++k) off = std::max(off, std::abs(found[k] - wanted[k]));
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
  for (int k = 1; k < 3; ++k)
    require(reference.images.extent[k] <= 32767, "reference: found ", reference.images.extent[k],
            " pixels along an axis, expected at most 32767 on a device");
  with_device(device, {"registration", [&] { test_register(device); }},
              [&] { register_on(device, reference, moving, max_shift, out); });
}

}  // namespace cryolith
