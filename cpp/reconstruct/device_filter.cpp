// SPDX-License-Identifier: BSD-3-Clause
#include "reconstruct/device_filter.hpp"

#include <algorithm>
#include <cmath>

#include "core/error.hpp"
#include "cuda/device_tensor.hpp"
#include "cuda/devices.hpp"
#include "projection/device_pair.hpp"
#include "reconstruct/filter.hpp"

namespace cryolith {
namespace {

std::unique_ptr<DeviceFilter> make(const std::string& device, const ProjectionPlan& plan,
                                   const std::vector<index_t>& lengths, View2<const float> gains) {
  return is_emulated(device) ? emulated::make_device_filter(plan, lengths, gains)
                             : cuda::make_device_filter(plan, lengths, gains);
}
std::unique_ptr<DevicePair> make_pair(const std::string& device, const ProjectionPlan& plan) {
  return is_emulated(device) ? emulated::make_device_pair(plan) : cuda::make_device_pair(plan);
}

// An axis near an image axis and tilts of both banks, so that rows of several lengths begin in several places.
void test_filter(const std::string& device) {
  const VolumeShape v{9, 70, 37};
  const ImageShape image{75, 41};
  std::vector<TiltPose> poses;
  for (int t = 0; t < 3; ++t) {
    const double a = -0.9 + 0.6 * t;
    poses.push_back({std::cos(a), std::sin(a), std::cos(0.02), std::sin(0.02), 0.3, 0.2 * t, 0.25});
  }
  const ProjectionPlan plan(poses, v, image);
  const std::vector<index_t> lengths = filter_lengths(plan);
  const index_t most = std::ranges::max(lengths) / 2 + 1, tilts = plan.tilts();
  std::vector<float> spectrum(static_cast<std::size_t>(tilts * most)),
      pixels(static_cast<std::size_t>(tilts * image.height * image.width)),
      found(static_cast<std::size_t>(v.nz * v.ny * v.nx), NAN), wanted(found.size());
  for (std::size_t k = 0; k < spectrum.size(); ++k)
    spectrum[k] = static_cast<float>(k % static_cast<std::size_t>(most));
  for (std::size_t i = 0; i < pixels.size(); ++i)
    pixels[i] = static_cast<float>(std::sin(1.7 * static_cast<double>(i)));
  const View2<const float> gains{spectrum.data(), {tilts, most}};
  const View3<const float> images{pixels.data(), {tilts, image.height, image.width}};
  RowFilter rows(lengths, gains, 1);
  filtered_backproject(Cpu{1}, plan, rows, images, {wanted.data(), {v.nz, v.ny, v.nx}});
  const auto filter = make(device, plan, lengths, gains);
  const DeviceTensor there(device, element_type<float>(), {tilts, image.height, image.width}),
      volume(device, element_type<float>(), {v.nz, v.ny, v.nx});
  there.write(pixels.data());
  make_pair(device, plan)->backproject(there, volume, [&](float* r) { filter->apply(r); });
  volume.read(found.data());
  double off = 0.0, size = 0.0;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    off += std::pow(static_cast<double>(found[i]) - wanted[i], 2);
    size += std::pow(static_cast<double>(wanted[i]), 2);
  }
  const double relative = std::sqrt(off / size);
  if (!(relative < 2e-6))  // transforms of two libraries
    throw DeviceError("weighted back-projection is " + std::to_string(relative) + " off the CPU's, relative");
}

}  // namespace

std::unique_ptr<DeviceFilter> make_device_filter(const std::string& device, const ProjectionPlan& plan,
                                                 const std::vector<index_t>& lengths, View2<const float> gains) {
  std::unique_ptr<DeviceFilter> out;
  with_device(device, {"row filter", [&] { test_filter(device); }}, [&] { out = make(device, plan, lengths, gains); });
  return out;
}

}  // namespace cryolith
