// SPDX-License-Identifier: BSD-3-Clause
#include "projection/device_pair.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>
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
  std::unique_ptr<SlabWorker> slab_worker(const PairSizes& sizes, int slots,
                                          const std::function<DeviceRowStage()>& make_stage) override {
    std::unique_ptr<SlabWorker> out;
    on_device([&] { out = pair_->slab_worker(sizes, slots, make_stage); });
    return out;
  }
  void run(SlabWorker& worker, SlabJob& job) override {
    on_device([&] { pair_->run(worker, job); });
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

// Slabs' memory on all devices, kept from run to run.
struct DevicesPair::Memory {
  std::recursive_mutex mutex;  // of whoever runs, or asks what it holds
  SlabCut cut;
  index_t tables = 0;  // bytes of those of all pairs that have it
  index_t tilts = 0;
  PairSizes sizes;
  std::vector<std::unique_ptr<SlabWorker>> workers;
  index_t bytes() const {  // that the workers take of each device, stages aside
    return workers.empty() ? 0 : cut.slots * (sizes.bytes() + tilts * kDeviceTiltBytes);
  }
};

DevicesPair::DevicesPair(const std::vector<std::string>& devices, const ProjectionPlan& plan, index_t max_bytes)
    : plan_(plan), devices_(device_names(devices)), max_bytes_(max_bytes), memory_(std::make_shared<Memory>()) {
  require(max_bytes >= 0, "max_memory: found ", max_bytes, " bytes, expected at least 1, or 0 for what is free");
  for (const std::string& device : devices_) try {
      pairs_.push_back(make_device_pair(device, plan));
    } catch (const DeviceOutOfMemory&) {
      cut_in_slabs(plan_, 1, free_device_memory(device), 0, 0);  // says what would fit
      throw;
    }
  memory_->tables = table_bytes();
}
DevicesPair::DevicesPair(const DevicesPair& whole, Range rows)
    : owned_(std::make_shared<const ProjectionPlan>(whole.plan_.slab(rows))),
      plan_(*owned_),
      devices_(whole.devices_),
      max_bytes_(whole.max_bytes_),
      pairs_(whole.pairs_),
      memory_(whole.memory_) {}
DevicesPair::~DevicesPair() = default;

void DevicesPair::share_memory(const DevicesPair& other) {
  memory_ = other.memory_;
  const std::lock_guard<std::recursive_mutex> lock(memory_->mutex);
  memory_->tables += table_bytes();
}

index_t DevicesPair::free_bytes() const {
  index_t bytes = std::numeric_limits<index_t>::max();
  for (const std::string& device : devices_) bytes = std::min(bytes, free_device_memory(device));
  const std::lock_guard<std::recursive_mutex> lock(memory_->mutex);
  return bytes + memory_->bytes();
}

index_t DevicesPair::scratch_bytes() const {
  const ProjectionPlan& straight = straight_plan(plan_);
  const PairSizes sizes = pair_sizes(straight);
  const index_t turned = plan_.turned() != nullptr ? sizes.images : 0;
  return (sizes.rows + sizes.work + turned) * index_t{sizeof(float)} + straight.tilts() * kDeviceTiltBytes;
}

// Bytes of each device, tables included, which are there already.
index_t DevicesPair::room() const {
  // A tenth is left to others, and to what allocators cannot use.
  const index_t bytes = free_bytes() / 10 * 9 + memory_->tables;
  return max_bytes_ > 0 ? std::min(bytes, max_bytes_) : bytes;
}

index_t DevicesPair::whole_bytes(const SlabStage& stage) const {
  return memory_->tables + pair_sizes(straight_plan(plan_)).bytes() + plan_.tilts() * kDeviceTiltBytes +
         stage.bytes(plan_.volume().ny);
}

bool DevicesPair::goes_whole(const SlabStage& stage) const {
  return owned_ == nullptr && devices_.size() == 1 && whole_bytes(stage) <= room();
}

SlabCut DevicesPair::slabs(const SlabStage* stage, index_t more) const {
  if (stage != nullptr && goes_whole(*stage)) return {plan_.volume().ny, 1, 1, whole_bytes(*stage), 0};
  return cut_in_slabs(plan_, static_cast<int>(devices_.size()), room(), memory_->tables + more, 0,
                      stage != nullptr ? stage->bytes : nullptr);
}

// Memory that was free may be so no more: then smaller slabs.
void DevicesPair::make_workers(Memory& memory, const SlabStage* stage) const {
  SlabCut& cut = memory.cut;
  for (;;) {
    memory.sizes = pair_sizes(straight_plan(plan_), cut.rows);
    memory.tilts = plan_.tilts();
    try {
      for (std::size_t i = 0; i < devices_.size(); ++i) {
        std::function<DeviceRowStage()> make_stage;
        if (stage != nullptr) make_stage = [&] { return stage->make(devices_[i], cut.rows); };
        memory.workers.push_back(pairs_[i]->slab_worker(memory.sizes, cut.slots, make_stage));
      }
      return;
    } catch (const DeviceOutOfMemory&) {
      memory.workers.clear();
      if (cut.rows <= kDeviceColumns && cut.slots == 1) throw;
    } catch (...) {
      memory.workers.clear();
      throw;
    }
    if (cut.rows <= kDeviceColumns)
      cut.slots = 1;
    else
      cut = cut_in_slabs(plan_, static_cast<int>(devices_.size()), std::numeric_limits<index_t>::max(), memory_->tables,
                         cut.rows / 2, stage != nullptr ? stage->bytes : nullptr);
  }
}

// Takes what the memory holds, where it holds enough.
void DevicesPair::prepare(Memory& memory, const SlabStage* stage) const {
  const index_t rows = memory.cut.rows, ny = plan_.volume().ny;
  const bool fits = memory.workers.size() == devices_.size() && (rows % kDeviceColumns == 0 || rows >= ny) &&
                    memory.tilts >= plan_.tilts() &&
                    memory.sizes.hold(pair_sizes(straight_plan(plan_), std::min(rows, ny)));
  if (fits) return;
  memory.workers.clear();
  memory.cut = slabs(stage);
  make_workers(memory, stage);
}

void DevicesPair::run_slabs(const Cpu& cpu, Direction direction, View3<const float> in, View3<float> out,
                            Memory& memory, const SlabStage* stage) const {
  const std::lock_guard<std::recursive_mutex> lock(memory.mutex);
  try {
    prepare(memory, stage);
    SlabJob job(cpu, static_cast<int>(devices_.size()), plan_, memory.cut.rows, direction, in, out);
    run_on_each(
        cpu, std::ssize(devices_), [&job] { job.stop(); },
        [&](index_t i) {
          const auto device = static_cast<std::size_t>(i);
          pairs_[device]->run(*memory.workers[device], job);
        });
  } catch (...) {
    memory.workers.clear();  // with what was under way
    throw;
  }
}

void DevicesPair::project(const Cpu& cpu, View3<const float> volume, View3<float> images, bool add) const {
  if (!add) std::fill_n(images.data, images.size(), 0.0f);
  run_slabs(cpu, Direction::project, volume, images, *memory_, nullptr);
}

void DevicesPair::backproject(const Cpu& cpu, View3<const float> images, View3<float> volume,
                              const SlabStage* stage) const {
  if (stage != nullptr && goes_whole(*stage)) try {
      return pairs_.front()->backproject(cpu, images, volume, stage->make(devices_.front(), plan_.volume().ny));
    } catch (const DeviceOutOfMemory&) {  // slabs are smaller
    }
  Memory passing;
  run_slabs(cpu, Direction::backproject, images, volume, stage != nullptr ? passing : *memory_, stage);
}

}  // namespace cryolith
