// SPDX-License-Identifier: BSD-3-Clause
#include "projection/device_pair.hpp"

#include <cmath>
#include <vector>

#include "core/error.hpp"
#include "cuda/devices.hpp"
#include "projection/backproject.hpp"
#include "projection/project.hpp"

namespace cryolith {
namespace {

std::unique_ptr<DevicePair> make(const std::string& device, const ProjectionPlan& plan) {
  return is_emulated(device) ? emulated::make_device_pair(plan) : cuda::make_device_pair(plan);
}

// Values in [-0.5, 0.5) without a pattern, the same everywhere.
std::vector<float> scattered(index_t n) {
  std::vector<float> out(static_cast<std::size_t>(n));
  std::uint32_t state = 1;
  for (float& v : out) {
    state = state * 1664525u + 1013904223u;
    v = static_cast<float>(state >> 8) * 0x1p-24f - 0.5f;
  }
  return out;
}

// Throws where `found` is further from `wanted` than float32 sums of a few terms explain. NaN is further.
void require_near(const std::vector<float>& found, const std::vector<float>& wanted, const char* what) {
  double off = 0.0, size = 0.0;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    off += std::pow(static_cast<double>(found[i]) - wanted[i], 2);
    size += std::pow(static_cast<double>(wanted[i]), 2);
  }
  const double relative = std::sqrt(off / size);
  if (!(relative < 1e-6))
    throw DeviceError(std::string(what) + " is " + std::to_string(relative) + " off the CPU's, relative");
}

// Odd extents, tilts of both banks, an axis near an image axis: every kernel of the pair runs.
void test_pair(const std::string& device) {
  const VolumeShape v{21, 70, 37};
  const ImageShape image{75, 41};
  std::vector<TiltPose> poses;
  for (int t = 0; t < 7; ++t) {
    const double a = 0.35 * (t - 3);
    poses.push_back({std::cos(a), std::sin(a), std::cos(0.02), std::sin(0.02), 0.3, 0.2 * t, 0.25});
  }
  const ProjectionPlan plan(poses, v, image);
  const auto pair = make(device, plan);
  const auto tilts = static_cast<index_t>(poses.size());
  const auto voxels = scattered(v.nz * v.ny * v.nx), pixels = scattered(tilts * image.height * image.width);
  std::vector<float> back(voxels.size(), NAN), wanted_back(voxels.size()), forth(pixels.size(), NAN),
      wanted_forth(pixels.size());
  const View3<const float> volume{voxels.data(), {v.nz, v.ny, v.nx}};
  const View3<const float> images{pixels.data(), {tilts, image.height, image.width}};
  const Cpu cpu{1};
  backproject(cpu, plan, images, {wanted_back.data(), {v.nz, v.ny, v.nx}});
  pair->backproject(cpu, images, {back.data(), {v.nz, v.ny, v.nx}});
  require_near(back, wanted_back, "back-projection");
  project(cpu, plan, volume, {wanted_forth.data(), {tilts, image.height, image.width}});
  pair->project(cpu, volume, {forth.data(), {tilts, image.height, image.width}}, false);
  require_near(forth, wanted_forth, "projection");
}

// Each call may come from another thread of the process, to which the device has to be named anew.
class NamedPair : public DevicePair {
 public:
  NamedPair(const std::string& device, const ProjectionPlan& plan) : device_(device) {
    on_device([&] { pair_ = make(device_, plan); });
  }
  ~NamedPair() override = default;
  void project(const Cpu& cpu, View3<const float> volume, View3<float> images, bool add) override {
    on_device([&] { pair_->project(cpu, volume, images, add); });
  }
  void backproject(const Cpu& cpu, View3<const float> images, View3<float> volume,
                   const DeviceRowStage& stage) override {
    on_device([&] { pair_->backproject(cpu, images, volume, stage); });
  }

 private:
  void on_device(const std::function<void()>& body) {
    with_device(device_, {"projector pair", [&] { test_pair(device_); }}, body);
  }
  std::string device_;
  std::unique_ptr<DevicePair> pair_;
};

}  // namespace

std::unique_ptr<DevicePair> make_device_pair(const std::string& device, const ProjectionPlan& plan) {
  return std::make_unique<NamedPair>(device, plan);
}

}  // namespace cryolith
