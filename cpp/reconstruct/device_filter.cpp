// SPDX-License-Identifier: BSD-3-Clause
#include "reconstruct/device_filter.hpp"

#include <algorithm>
#include <cmath>

#include "core/error.hpp"
#include "cuda/devices.hpp"
#include "cuda/self_test.hpp"
#include "projection/device_pair.hpp"
#include "reconstruct/filter.hpp"

namespace cryolith {
namespace {

std::unique_ptr<DeviceFilter> make(const std::string& device, index_t volume_rows, const std::vector<index_t>& lengths,
                                   View2<const float> gains) {
  return is_emulated(device) ? emulated::make_device_filter(volume_rows, lengths, gains)
                             : cuda::make_device_filter(volume_rows, lengths, gains);
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
      pixels = scattered(tilts * image.height * image.width), found(static_cast<std::size_t>(v.nz * v.ny * v.nx), NAN),
      wanted(found.size());
  for (std::size_t k = 0; k < spectrum.size(); ++k)
    spectrum[k] = static_cast<float>(k % static_cast<std::size_t>(most));
  const View2<const float> gains{spectrum.data(), {tilts, most}};
  const View3<const float> images{pixels.data(), {tilts, image.height, image.width}};
  RowFilter rows(lengths, gains, 1);
  filtered_backproject(Cpu{1}, plan, rows, images, {wanted.data(), {v.nz, v.ny, v.nx}});
  const auto filter = make(device, v.ny, lengths, gains);
  make_pair(device, plan)
      ->backproject(Cpu{1}, images, {found.data(), {v.nz, v.ny, v.nx}},
                    [&](const ProjectionPlan& p, float* r) { filter->apply(p, r); });
  require_near(found, wanted, 2e-6, "weighted back-projection");  // transforms of two libraries
}

}  // namespace

std::unique_ptr<DeviceFilter> make_device_filter(const std::string& device, index_t volume_rows,
                                                 const std::vector<index_t>& lengths, View2<const float> gains) {
  std::unique_ptr<DeviceFilter> out;
  with_device(device, {"row filter", [&] { test_filter(device); }},
              [&] { out = make(device, volume_rows, lengths, gains); });
  return out;
}

SlabStage filter_stage(const std::vector<index_t>& lengths, View2<const float> gains) {
  const auto make_one = [&lengths, gains](const std::string& device, index_t volume_rows) -> DeviceRowStage {
    const std::shared_ptr<DeviceFilter> filter = make_device_filter(device, volume_rows, lengths, gains);
    return [filter](const ProjectionPlan& plan, float* rows) { filter->apply(plan, rows); };
  };
  const auto bytes = [&lengths, gains](index_t volume_rows) {
    const index_t columns = (volume_rows + kDeviceColumns - 1) / kDeviceColumns * kDeviceColumns;
    const index_t longest = std::ranges::max(lengths), ranges = std::ssize(lengths) * columns / (2 * kLanes);
    return index_t{sizeof(float)} * (gains.size() + columns * (2 * longest + 2)) +
           ranges * index_t{sizeof(SampleRange)};
  };
  return {make_one, bytes};
}

}  // namespace cryolith
