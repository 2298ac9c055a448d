// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/parallel.hpp"
#include "core/view.hpp"
#include "cuda/device_tensor.hpp"
#include "projection/plan.hpp"
#include "projection/slabs.hpp"

namespace cryolith {

// What a device has ready for slabs: memory for some of them at once.
class SlabWorker {
 public:
  virtual ~SlabWorker() = default;
  virtual void run(SlabJob& job) = 0;  // until no slab is left
};

// What is done to the stretched rows between sampling and summing, [block of y][row][kDeviceColumns] in the memory of
// the device: filters.
using DeviceRowStage = std::function<void(float* rows)>;

// The pair of a plan with straight images on this thread's device.
class DevicePair {
 public:
  virtual ~DevicePair() = default;
  virtual void project(const DeviceTensor& volume, const DeviceTensor& images) = 0;  // adds to the images
  virtual void backproject(const DeviceTensor& images, const DeviceTensor& volume,
                           const DeviceRowStage& stage = {}) = 0;
  virtual std::unique_ptr<SlabWorker> slab_worker(const PairSizes& sizes, int slots, Direction direction) = 0;
};

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
// device took which. Arrays on the first device stay there whole.
class DevicesPair {
 public:
  // devices: "emulated", "cuda", "cuda:1" ... The plan has to outlive the pair. `max_bytes`: that it takes of each
  // device for slabs; 0: what is free. DeviceError where there is no such device, or where it does not compute a small
  // phantom as the CPU does, which is seen to at its first use.
  DevicesPair(const std::vector<std::string>& devices, const ProjectionPlan& plan, index_t max_bytes = 0);
  ~DevicesPair();

  // With `add`, the projections are added to whatever `images` holds.
  void project(const Cpu& cpu, View3<const float> volume, View3<float> images, bool add) const;
  void backproject(const Cpu& cpu, View3<const float> images, View3<float> volume) const;
  void project(const Cpu& cpu, const DeviceTensor& volume, const DeviceTensor& images, bool add) const;
  void backproject(const Cpu& cpu, const DeviceTensor& images, const DeviceTensor& volume,
                   const DeviceRowStage& stage = {}) const;
  SlabCut slabs() const;  // of host arrays, as things stand
  const std::vector<std::string>& devices() const { return devices_; }

 private:
  void on_device(std::size_t device, const std::function<void()>& body) const;
  void on_whole(const std::function<void()>& body) const;  // on the first, with arrays that stay there
  void run_slabs(const Cpu& cpu, Direction direction, View3<const float> in, View3<float> out) const;
  std::vector<std::unique_ptr<SlabWorker>> make_workers(SlabCut& cut, Direction direction) const;
  DeviceTensor turned_tensor() const;
  void require_here(const DeviceTensor& tensor, const char* name, index_t first, index_t second, index_t third) const;

  const ProjectionPlan& plan_;
  std::vector<std::string> devices_;
  index_t max_bytes_;
  std::vector<std::unique_ptr<DevicePair>> pairs_;  // of each device
};

}  // namespace cryolith
