// SPDX-License-Identifier: BSD-3-Clause
#include "detect/device_scale_space.hpp"

#include <cmath>

#include "core/error.hpp"
#include "cuda/devices.hpp"
#include "cuda/self_test.hpp"
#include "detect/scale_space.hpp"

namespace cryolith {
namespace {

std::vector<detect::Peak> found_on(const std::string& device, const DeviceScaleSpace& space, View1<double> share) {
  return is_emulated(device) ? emulated::scale_space_maxima(space, share) : cuda::scale_space_maxima(space, share);
}

// Noise of which three scales show some dozens of extrema.
void test_scale_space(const std::string& device) {
  const index_t nz = 11, ny = 13, nx = 40, terms = nx / 2 + 1;
  std::vector<std::complex<float>> base(static_cast<std::size_t>(nz * ny * terms));
  Scatter scatter;
  for (auto& v : base) v = {scatter.value(), scatter.value()};
  const double decays[] = {1, 2, 4}, gains[] = {300, 500, 850};
  const View3<const std::complex<float>> spectrum{base.data(), {nz, ny, terms}};
  double share[3], wanted_share[3];
  const auto found = found_on(device, {spectrum, nx, {decays, {3}}, {gains, {3}}, 1, 0.5f, 0.1f}, {share, {3}});
  std::vector<float> fields(static_cast<std::size_t>(3 * nz * ny * 2 * terms));
  const detect::ScaleSpace on_cpu{spectrum, nx, {decays, {3}}, {gains, {3}}, {fields.data(), {3, nz, ny, 2 * terms}}};
  const auto wanted = detect::scale_space_maxima(Cpu{1}, on_cpu, 1, 0.5f, 0.1f, {wanted_share, {3}});
  double off = found.size() == wanted.size() && !wanted.empty() ? 0 : NAN;
  for (std::size_t i = 0; i < wanted.size() && !std::isnan(off); ++i)
    off = std::max(off, std::abs(found[i].height - wanted[i].height));
  if (!(off < 1e-5))
    throw DeviceError("scale space has " + std::to_string(found.size()) + " extrema, " + std::to_string(off) +
                      " off the CPU's " + std::to_string(wanted.size()));
}

}  // namespace

std::vector<detect::Peak> scale_space_maxima(const std::string& device, const DeviceScaleSpace& space,
                                             View1<double> share) {
  const index_t scales = space.decays.extent[0];
  require(space.base.extent[2] == space.nx / 2 + 1, "base: found ", space.base.extent[2], " terms along x, expected ",
          space.nx / 2 + 1, " for ", space.nx, " voxels");
  require(scales >= 1, "decays: found none, expected one or more");
  require(space.gains.extent[0] == scales && share.extent[0] == scales, "gains, share: found ", space.gains.extent[0],
          " and ", share.extent[0], " numbers, expected ", scales, " as in decays");
  require(space.margin >= 1, "margin: found ", space.margin, ", expected 1 or more");
  for (const index_t n : {space.base.extent[0], space.base.extent[1], space.nx})
    require(n > 2 * space.margin && n <= 65535, "margin: found ", space.margin, " for an axis of ", n,
            " voxels, expected less than half of it, and at most 65535 voxels");
  std::vector<detect::Peak> out;
  with_device(device, {"scale space", [&] { test_scale_space(device); }},
              [&] { out = found_on(device, space, share); });
  return out;
}

}  // namespace cryolith
