// SPDX-License-Identifier: BSD-3-Clause
#include "projection/device_pair.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "core/error.hpp"
#include "cuda/device_tensor.hpp"
#include "cuda/devices.hpp"
#include "cuda/self_test.hpp"
#include "projection/backproject.hpp"
#include "projection/project.hpp"

namespace cryolith {
namespace {

std::unique_ptr<DevicePair> make(const std::string& device, const ProjectionPlan& plan) {
  return is_emulated(device) ? emulated::make_device_pair(plan) : cuda::make_device_pair(plan);
}

index_t free_bytes(const std::string& device) {
  index_t out = 0;
  with_device(device, [&] { out = is_emulated(device) ? emulated::free_device_memory() : cuda::free_device_memory(); });
  return out;
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
  require_near(back, wanted_back, 1e-6, "back-projection");
  project(cpu, plan, volume, {wanted_forth.data(), {tilts, image.height, image.width}});
  pair->project(cpu, volume, {forth.data(), {tilts, image.height, image.width}}, false);
  require_near(forth, wanted_forth, 1e-6, "projection");
}

// Each call may come from another thread of the process, to which the device has to be named anew.
class NamedPair : public DevicePair {
 public:
  NamedPair(const std::string& device, const ProjectionPlan& plan) : device_(device), straight_(straight_plan(plan)) {
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
  void project_there(const Cpu& cpu, View3<const float> volume, View3<float> images, bool add) override {
    on_whole([&] { pair_->project_there(cpu, volume, images, add); });
  }
  void backproject_there(const Cpu& cpu, View3<const float> images, View3<float> volume,
                         const DeviceRowStage& stage) override {
    on_whole([&] { pair_->backproject_there(cpu, images, volume, stage); });
  }
  std::unique_ptr<SlabWorker> slab_worker(const PairSizes& sizes, int slots, Direction direction) override {
    std::unique_ptr<SlabWorker> out;
    on_device([&] { out = pair_->slab_worker(sizes, slots, direction); });
    return out;
  }
  index_t table_bytes() const override { return pair_->table_bytes(); }

 private:
  // With arrays that stay there.
  void on_whole(const std::function<void()>& body) {
    try {
      on_device(body);
    } catch (const DeviceOutOfMemory& error) {
      const PairSizes sizes = pair_sizes(straight_);
      const index_t mib = ((sizes.rows + sizes.work) * index_t{sizeof(float)} >> 20) + 1;
      throw DeviceOutOfMemory(device_ + ": the pair takes " + std::to_string(mib) +
                              " MiB beside its arrays; arrays of the host would fit, which go through in slabs (" +
                              error.what() + ")");
    }
  }
  void on_device(const std::function<void()>& body) {
    with_device(device_, {"projector pair", [&] { test_pair(device_); }}, body);
  }
  std::string device_;
  const ProjectionPlan& straight_;
  std::unique_ptr<DevicePair> pair_;
};

}  // namespace

std::unique_ptr<DevicePair> make_device_pair(const std::string& device, const ProjectionPlan& plan) {
  return std::make_unique<NamedPair>(device, plan);
}

DevicesPair::DevicesPair(const std::vector<std::string>& devices, const ProjectionPlan& plan, index_t max_bytes)
    : plan_(plan), max_bytes_(max_bytes) {
  require(!devices.empty(), "device: found none, expected at least one");
  require(max_bytes >= 0, "max_memory: found ", max_bytes, " bytes, expected at least 1, or 0 for what is free");
  for (const std::string& device : devices) {
    const std::string name = device_name(device);
    require(std::find(devices_.begin(), devices_.end(), name) == devices_.end(), "device: found ", name,
            " twice, expected each once");
    devices_.push_back(name);
  }
  for (const std::string& device : devices_) try {
      pairs_.push_back(make_device_pair(device, plan));
    } catch (const DeviceOutOfMemory&) {
      cut_in_slabs(plan_, 1, free_bytes(device), 0, 0);  // says what would fit
      throw;
    }
}
DevicesPair::~DevicesPair() = default;

SlabCut DevicesPair::slabs() const {
  index_t bytes = max_bytes_ > 0 ? max_bytes_ : std::numeric_limits<index_t>::max();
  const index_t tables = pairs_.front()->table_bytes();  // are there already
  for (const std::string& device : devices_)             // a tenth is left to others, and to what allocators cannot use
    bytes = std::min(bytes, free_bytes(device) / 10 * 9 + tables);
  return cut_in_slabs(plan_, static_cast<int>(devices_.size()), bytes, tables, 0);
}

// Memory that was free may be so no more: then smaller slabs.
std::vector<std::unique_ptr<SlabWorker>> DevicesPair::make_workers(SlabCut& cut, Direction direction) const {
  for (;;) {
    std::vector<std::unique_ptr<SlabWorker>> workers(devices_.size());
    try {
      const PairSizes sizes = pair_sizes(straight_plan(plan_), cut.rows);
      for (std::size_t i = 0; i < devices_.size(); ++i)
        workers[i] = pairs_[i]->slab_worker(sizes, cut.slots, direction);
      return workers;
    } catch (const DeviceOutOfMemory&) {
      if (cut.rows <= kDeviceColumns && cut.slots == 1) throw;
    }
    workers.clear();
    if (cut.rows <= kDeviceColumns)
      cut.slots = 1;
    else
      cut = cut_in_slabs(plan_, static_cast<int>(devices_.size()), std::numeric_limits<index_t>::max(),
                         pairs_.front()->table_bytes(), cut.rows / 2);
  }
}

void DevicesPair::run_slabs(const Cpu& cpu, Direction direction, View3<const float> in, View3<float> out) const {
  SlabCut cut = slabs();
  const auto workers = make_workers(cut, direction);
  SlabJob job(cpu, static_cast<int>(devices_.size()), plan_, cut.rows, direction, in, out);
  const auto stopping = [&job](const std::function<void()>& body) {
    try {
      body();
    } catch (...) {
      job.stop();
      throw;
    }
  };
  // One thread a device; the caller's watches, and is stopped by what the watching throws.
  const Cpu watched{static_cast<int>(devices_.size()), nullptr, [&] {
                      stopping([&] {
                        if (cpu.cancel != nullptr && cpu.cancel->cancelled()) throw Cancelled();
                        if (cpu.poll) cpu.poll();
                      });
                    }};
  parallel_for(watched, std::max<index_t>(2, std::ssize(devices_)), [&](index_t i, int) {
    if (i >= std::ssize(devices_)) return;  // a second block for one device: only then does the caller watch
    const auto device = static_cast<std::size_t>(i);
    stopping([&] { with_device(devices_[device], [&] { workers[device]->run(job); }); });
  });
}

void DevicesPair::project(const Cpu& cpu, View3<const float> volume, View3<float> images, bool add) const {
  if (!add) std::fill_n(images.data, images.size(), 0.0f);
  run_slabs(cpu, Direction::project, volume, images);
}

void DevicesPair::backproject(const Cpu& cpu, View3<const float> images, View3<float> volume) const {
  run_slabs(cpu, Direction::backproject, images, volume);
}

}  // namespace cryolith
