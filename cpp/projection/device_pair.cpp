// SPDX-License-Identifier: BSD-3-Clause
#include "projection/device_pair.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <utility>

#include "core/buffer.hpp"
#include "core/error.hpp"
#include "cuda/devices.hpp"
#include "projection/backproject.hpp"
#include "projection/project.hpp"
#include "projection/turned_images.hpp"

namespace cryolith {
namespace {

std::unique_ptr<DevicePair> make_pair_on(const std::string& device, const ProjectionPlan& plan) {
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

index_t free_bytes(const std::string& device) {
  return is_emulated(device) ? emulated::free_device_memory() : cuda::free_device_memory();
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
  const auto pair = make_pair_on(device, plan);
  const auto tilts = static_cast<index_t>(poses.size());
  const auto voxels = scattered(v.nz * v.ny * v.nx), pixels = scattered(tilts * image.height * image.width);
  std::vector<float> found_back(voxels.size()), wanted_back(voxels.size()), found_forth(pixels.size()),
      wanted_forth(pixels.size());
  const DeviceTensor volume(device, element_type<float>(), {v.nz, v.ny, v.nx}),
      images(device, element_type<float>(), {tilts, image.height, image.width});
  const Cpu cpu{1};
  images.write(pixels.data());
  pair->backproject(images, volume);
  volume.read(found_back.data());
  backproject(cpu, plan, {pixels.data(), {tilts, image.height, image.width}}, {wanted_back.data(), {v.nz, v.ny, v.nx}});
  require_near(found_back, wanted_back, "back-projection");
  volume.write(voxels.data());
  images.write(found_forth.data());
  pair->project(volume, images);
  images.read(found_forth.data());
  project(cpu, plan, {voxels.data(), {v.nz, v.ny, v.nx}}, {wanted_forth.data(), {tilts, image.height, image.width}});
  require_near(found_forth, wanted_forth, "projection");
}

}  // namespace

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
  pairs_.resize(devices_.size());
  for (std::size_t i = 0; i < devices_.size(); ++i)
    on_device(i, [&] {
      try {
        pairs_[i] = make_pair_on(devices_[i], straight_plan(plan_));
      } catch (const DeviceOutOfMemory&) {
        cut_in_slabs(plan_, 1, free_bytes(devices_[i]), 0);  // says what would fit
        throw;
      }
    });
}
DevicesPair::~DevicesPair() = default;

// Each call may come from another thread of the process, to which the device has to be named anew.
void DevicesPair::on_device(std::size_t device, const std::function<void()>& body) const {
  const std::string& name = devices_[device];
  with_device(name, {"projector pair", [&] { test_pair(name); }}, body);
}

SlabCut DevicesPair::slabs() const {
  index_t bytes = max_bytes_ > 0 ? max_bytes_ : std::numeric_limits<index_t>::max();
  for (std::size_t i = 0; i < devices_.size(); ++i)
    // The tables are there already; a tenth is left to others, and to what the device's allocator cannot use.
    on_device(
        i, [&] { bytes = std::min(bytes, free_bytes(devices_[i]) / 10 * 9 + pair_table_bytes(straight_plan(plan_))); });
  return cut_in_slabs(plan_, static_cast<int>(devices_.size()), bytes, 0);
}

// Memory that was free may be so no more: then smaller slabs.
std::vector<std::unique_ptr<SlabWorker>> DevicesPair::make_workers(SlabCut& cut, Direction direction) const {
  for (;;) {
    std::vector<std::unique_ptr<SlabWorker>> workers(devices_.size());
    try {
      const PairSizes sizes = pair_sizes(straight_plan(plan_), cut.rows);
      for (std::size_t i = 0; i < devices_.size(); ++i)
        on_device(i, [&] { workers[i] = pairs_[i]->slab_worker(sizes, cut.slots, direction); });
      return workers;
    } catch (const DeviceOutOfMemory&) {
      if (cut.rows <= kDeviceColumns && cut.slots == 1) throw;
    }
    workers.clear();
    if (cut.rows <= kDeviceColumns)
      cut.slots = 1;
    else
      cut = cut_in_slabs(plan_, static_cast<int>(devices_.size()), std::numeric_limits<index_t>::max(), cut.rows / 2);
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
    stopping([&] { on_device(device, [&] { workers[device]->run(job); }); });
  });
}

void DevicesPair::project(const Cpu& cpu, View3<const float> volume, View3<float> images, bool add) const {
  if (!add) std::fill_n(images.data, images.size(), 0.0f);
  run_slabs(cpu, Direction::project, volume, images);
}

void DevicesPair::backproject(const Cpu& cpu, View3<const float> images, View3<float> volume) const {
  run_slabs(cpu, Direction::backproject, images, volume);
}

void DevicesPair::require_here(const DeviceTensor& tensor, const char* name, index_t first, index_t second,
                               index_t third) const {
  require(tensor.device() == devices_.front(), name, ": found an array on ", tensor.device(), ", expected one on ",
          devices_.front());
  const auto& s = tensor.shape();
  require(s.size() == 3 && s[0] == first && s[1] == second && s[2] == third, name, ": found another shape than (",
          first, ", ", second, ", ", third, ")");
}

void DevicesPair::project(const Cpu& cpu, const DeviceTensor& volume, const DeviceTensor& images, bool add) const {
  const VolumeShape v = plan_.volume();
  const index_t tilts = plan_.tilts(), height = plan_.image().height, width = plan_.image().width;
  require_here(volume, "volume", v.nz, v.ny, v.nx);
  require_here(images, "out", tilts, height, width);
  require(volume.data() != images.data(), "out: shares memory with volume; pass a separate array");
  if (plan_.turned() == nullptr) {
    if (!add) images.clear();
    on_whole([&] { pairs_[0]->project(volume, images); });
    return;
  }
  Buffer<float> turned(turned_view(plan_, nullptr).size()), host(images.size());
  const DeviceTensor straight = turned_tensor();
  straight.clear();
  on_whole([&] { pairs_[0]->project(volume, straight); });
  straight.read(turned.data());
  if (add) images.read(host.data());
  turn_images_back(cpu, plan_, turned.data(), {host.data(), {tilts, height, width}});
  images.write(host.data());
}

void DevicesPair::backproject(const Cpu& cpu, const DeviceTensor& images, const DeviceTensor& volume,
                              const DeviceRowStage& stage) const {
  const VolumeShape v = plan_.volume();
  const index_t tilts = plan_.tilts(), height = plan_.image().height, width = plan_.image().width;
  require_here(images, "stack", tilts, height, width);
  require_here(volume, "out", v.nz, v.ny, v.nx);
  require(volume.data() != images.data(), "out: shares memory with stack; pass a separate array");
  if (plan_.turned() == nullptr) {
    on_whole([&] { pairs_[0]->backproject(images, volume, stage); });
    return;
  }
  Buffer<float> host(images.size());
  images.read(host.data());
  const Buffer<float> turned = turned_images(cpu, plan_, {host.data(), {tilts, height, width}});
  const DeviceTensor straight = turned_tensor();
  straight.write(turned.data());
  on_whole([&] { pairs_[0]->backproject(straight, volume, stage); });
}

void DevicesPair::on_whole(const std::function<void()>& body) const {
  try {
    on_device(0, body);
  } catch (const DeviceOutOfMemory& error) {
    const PairSizes sizes = pair_sizes(straight_plan(plan_));
    const index_t mib = ((sizes.rows + sizes.work) * index_t{sizeof(float)} >> 20) + 1;
    throw DeviceOutOfMemory(devices_.front() + ": the pair takes " + std::to_string(mib) +
                            " MiB beside its arrays; arrays of the host would fit, which go through in slabs (" +
                            error.what() + ")");
  }
}

// For the images of a plan that turns them.
DeviceTensor DevicesPair::turned_tensor() const {
  const View3<float> shape = turned_view(plan_, nullptr);
  return DeviceTensor(devices_.front(), element_type<float>(), {shape.extent[0], shape.extent[1], shape.extent[2]});
}

}  // namespace cryolith
