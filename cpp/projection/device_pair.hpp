// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/parallel.hpp"
#include "core/view.hpp"
#include "projection/plan.hpp"
#include "projection/slabs.hpp"

namespace cryolith {

// What is done to the stretched rows of a plan, or of a slab of it, between sampling and summing, [block of
// y][row][columns of a block] in the memory of the device: filters. `plan`: that of straight images.
using DeviceRowStage = std::function<void(const ProjectionPlan& plan, float* rows)>;

// Such a stage for slabs: one for each that a device holds at once, for up to `rows` rows of the volume.
struct SlabStage {
  std::function<DeviceRowStage(const std::string& device, index_t rows)> make;
  std::function<index_t(index_t rows)> bytes;  // that one takes of the device
};

// What a device has ready for slabs: memory for some of them at once.
class SlabWorker {
 public:
  virtual ~SlabWorker() = default;
};

// The projector pair of a plan on a device: the same operator as project() and backproject(), to rounding. Make once,
// run often: its tables stay on the device.
class DevicePair {
 public:
  virtual ~DevicePair() = default;
  // With `add`, the projections are added to whatever `images` holds.
  virtual void project(const Cpu& cpu, View3<const float> volume, View3<float> images, bool add) = 0;
  virtual void backproject(const Cpu& cpu, View3<const float> images, View3<float> volume,
                           const DeviceRowStage& stage = {}) = 0;
  // The same for arrays in the memory of the device.
  virtual void project_there(const Cpu& cpu, View3<const float> volume, View3<float> images, bool add) = 0;
  virtual void backproject_there(const Cpu& cpu, View3<const float> images, View3<float> volume,
                                 const DeviceRowStage& stage = {}) = 0;
  // For slabs of the plan's images, straight, in either direction. `make_stage`, where it is not empty, makes the stage
  // of each slot.
  virtual std::unique_ptr<SlabWorker> slab_worker(const PairSizes& sizes, int slots,
                                                  const std::function<DeviceRowStage()>& make_stage = {}) = 0;
  // Until no slab is left. The worker may be one that another pair made for the same device.
  virtual void run(SlabWorker& worker, SlabJob& job) = 0;
  virtual index_t table_bytes() const = 0;  // in the memory of the device
};

// device: "emulated", "cuda", "cuda:1" ... The plan has to outlive the pair. The first pair of a device is made after
// it has computed a small phantom as the CPU does; DeviceError where it does not, or where there is no such device.
std::unique_ptr<DevicePair> make_device_pair(const std::string& device, const ProjectionPlan& plan);

namespace emulated {
std::unique_ptr<DevicePair> make_device_pair(const ProjectionPlan& plan);
}
namespace cuda {
std::unique_ptr<DevicePair> make_device_pair(const ProjectionPlan& plan);
}

// The projector pair of a plan on one or several devices: the same operator as project() and backproject(), to
// rounding. Make once, run often: its tables stay on the devices.
//
// Host arrays go through in slabs, on all devices; the bits of the result depend on the slabs' size, not on which
// device took which. The memory of the slabs is kept from run to run; runs take turns.
class DevicesPair {
 public:
  // devices: "emulated", "cuda", "cuda:1" ... The plan has to outlive the pair. `max_bytes`: that it takes of each
  // device for slabs; 0: what is free. DeviceError where there is no such device, or where it does not compute a small
  // phantom as the CPU does, which is seen to at its first use.
  DevicesPair(const std::vector<std::string>& devices, const ProjectionPlan& plan, index_t max_bytes = 0);
  // Of some rows of the volume of another pair, on the pixels of their window: plan.slab(rows), with the tables and the
  // memory of that pair, whose plan has to outlive this one, too.
  DevicesPair(const DevicesPair& whole, Range rows);
  ~DevicesPair();
  // From now on both have their slabs in the same memory, and their tables count together.
  void share_memory(const DevicesPair& other);

  // With `add`, the projections are added to whatever `images` holds.
  void project(const Cpu& cpu, View3<const float> volume, View3<float> images, bool add) const;
  // With a `stage` that is done once: whole where one device holds everything, for locking pages of the host takes
  // longer than copies and kernels hide; else in slabs, in memory that is not kept.
  void backproject(const Cpu& cpu, View3<const float> images, View3<float> volume,
                   const SlabStage* stage = nullptr) const;
  // Of host arrays, as things stand; one slab without pinned memory where they go through whole. `more`: bytes of other
  // tables that are to come.
  SlabCut slabs(const SlabStage* stage = nullptr, index_t more = 0) const;
  index_t free_bytes() const;  // of the device that has the fewest, slabs' memory included
  index_t table_bytes() const { return pairs_.front()->table_bytes(); }  // of each device
  index_t scratch_bytes() const;  // that first() takes for arrays that lie there, besides tables and arrays
  const ProjectionPlan& plan() const { return plan_; }
  const std::vector<std::string>& devices() const { return devices_; }
  DevicePair& first() const { return *pairs_.front(); }  // for arrays that stay on the first device, whole

 private:
  struct Memory;
  index_t room() const;
  bool goes_whole(const SlabStage& stage) const;
  index_t whole_bytes(const SlabStage& stage) const;
  void run_slabs(const Cpu& cpu, Direction direction, View3<const float> in, View3<float> out, Memory& memory,
                 const SlabStage* stage) const;
  void prepare(Memory& memory, const SlabStage* stage) const;
  void make_workers(Memory& memory, const SlabStage* stage) const;

  std::shared_ptr<const ProjectionPlan> owned_;  // of a slab
  const ProjectionPlan& plan_;
  std::vector<std::string> devices_;
  index_t max_bytes_;
  std::vector<std::shared_ptr<DevicePair>> pairs_;  // of each device
  std::shared_ptr<Memory> memory_;
};

}  // namespace cryolith
