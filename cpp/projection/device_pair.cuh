// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// DevicePair for the device that this file is compiled for.
#include <algorithm>
#include <memory>

#include "core/buffer.hpp"
#include "projection/device_pair.hpp"
#include "projection/device_slabs.cuh"
#include "projection/turned_images.hpp"

namespace cryolith::CRYOLITH_DEVICE {

// The pair of a plan whose axes lie along or near the image axes.
class StraightPair : public DevicePair {
 public:
  explicit StraightPair(const ProjectionPlan& plan) : plan_(plan), tables_(std::make_unique<PairTables>(plan)) {}

  void backproject(const Cpu& cpu, View3<const float> images, View3<float> volume,
                   const DeviceRowStage& stage) override {
    const DeviceArray<float> in = upload(images), out(volume.size());
    backproject_there(cpu, there(in, images), there(out, volume), stage);
    out.read(0, volume.data, volume.size());
  }
  void backproject_there(const Cpu&, View3<const float> images, View3<float> volume,
                         const DeviceRowStage& stage) override {
    PairScratch scratch(plan_.tilts(), pair_sizes(plan_));
    PairRun(plan_, *tables_, scratch).backproject(images.data, volume.data, stage);
    wait_for_stream();  // what went wrong is found here, not by who comes next
  }
  void project(const Cpu& cpu, View3<const float> volume, View3<float> images, bool add) override {
    const DeviceArray<float> in = upload(volume);
    DeviceArray<float> out(images.size());
    if (add) out.write(0, images.data, images.size());
    project_there(cpu, there(in, volume), there(out, images), add);
    out.read(0, images.data, images.size());
  }
  void project_there(const Cpu&, View3<const float> volume, View3<float> images, bool add) override {
    PairScratch scratch(plan_.tilts(), pair_sizes(plan_));
    if (!add) Memory(images.data, images.size() * index_t{sizeof(float)}).clear();
    PairRun(plan_, *tables_, scratch).project(volume.data, images.data);
    wait_for_stream();
  }
  std::unique_ptr<SlabWorker> slab_worker(const PairSizes& sizes, int slots,
                                          const std::function<DeviceRowStage()>& make_stage) override {
    return std::make_unique<StreamingWorker>(plan_.tilts(), sizes, slots, make_stage);
  }
  void run(SlabWorker& worker, SlabJob& job) override { static_cast<StreamingWorker&>(worker).run(job, *tables_); }
  index_t table_bytes() const override { return tables_->bytes(); }

 private:
  static DeviceArray<float> upload(View3<const float> host) {
    DeviceArray<float> out(host.size());
    out.write(0, host.data, host.size());
    return out;
  }
  // An array of the shape of one in the host's memory.
  template <class T>
  static View3<T> there(const DeviceArray<float>& a, View3<T> host) {
    host.data = a.data();
    return host;
  }

  const ProjectionPlan& plan_;
  std::unique_ptr<const PairTables> tables_;
};

// Images whose axis lies elsewhere are turned on the CPU, as project() and backproject() do.
class TurnedPair : public DevicePair {
 public:
  explicit TurnedPair(const ProjectionPlan& plan) : plan_(plan), inner_(*plan.turned()) {}
  void backproject(const Cpu& cpu, View3<const float> images, View3<float> volume,
                   const DeviceRowStage& stage) override {
    Buffer<float> turned = turned_images(cpu, plan_, images);
    inner_.backproject(cpu, turned_view(plan_, turned.data()), volume, stage);
  }
  void project(const Cpu& cpu, View3<const float> volume, View3<float> images, bool add) override {
    Buffer<float> turned(turned_view(plan_, nullptr).size());
    inner_.project(cpu, volume, turned_view(plan_, turned.data()), false);
    if (!add) std::fill_n(images.data, images.size(), 0.0f);
    turn_images_back(cpu, plan_, turned.data(), images);
  }
  void backproject_there(const Cpu& cpu, View3<const float> images, View3<float> volume,
                         const DeviceRowStage& stage) override {
    Buffer<float> here(images.size());
    Memory(const_cast<float*>(images.data), bytes(images)).read(0, here.data(), bytes(images));
    images.data = here.data();
    const Buffer<float> turned = turned_images(cpu, plan_, images);
    const View3<float> view = turned_view(plan_, nullptr);
    const DeviceArray<float> in(view.size());
    Memory(in.data(), bytes(view)).write(0, turned.data(), bytes(view));
    inner_.backproject_there(cpu, {in.data(), {view.extent[0], view.extent[1], view.extent[2]}}, volume, stage);
  }
  void project_there(const Cpu& cpu, View3<const float> volume, View3<float> images, bool add) override {
    const View3<float> view = turned_view(plan_, nullptr);
    const DeviceArray<float> out(view.size());
    inner_.project_there(cpu, volume, {out.data(), {view.extent[0], view.extent[1], view.extent[2]}}, false);
    Buffer<float> turned(view.size()), here(images.size());
    out.read(0, turned.data(), view.size());
    Memory there(images.data, bytes(images));
    if (add)
      there.read(0, here.data(), bytes(images));
    else
      std::fill_n(here.data(), images.size(), 0.0f);
    images.data = here.data();
    turn_images_back(cpu, plan_, turned.data(), images);
    there.write(0, here.data(), bytes(images));
  }
  std::unique_ptr<SlabWorker> slab_worker(const PairSizes& sizes, int slots,
                                          const std::function<DeviceRowStage()>& make_stage) override {
    return inner_.slab_worker(sizes, slots, make_stage);
  }
  void run(SlabWorker& worker, SlabJob& job) override { inner_.run(worker, job); }
  index_t table_bytes() const override { return inner_.table_bytes(); }

 private:
  static index_t bytes(const View3<const float>& v) { return v.size() * index_t{sizeof(float)}; }
  const ProjectionPlan& plan_;
  StraightPair inner_;
};

std::unique_ptr<DevicePair> make_device_pair(const ProjectionPlan& plan) {
  if (plan.turned() != nullptr) return std::make_unique<TurnedPair>(plan);
  return std::make_unique<StraightPair>(plan);
}

}  // namespace cryolith::CRYOLITH_DEVICE
