// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// DevicePair for the device that this file is compiled for.
#include <memory>
#include <utility>

#include "projection/device_pair.hpp"
#include "projection/pair_run_cuda.cuh"

namespace cryolith::CRYOLITH_DEVICE {

// One slab that is under way, in a stream of its own.
class Slot {
 public:
  Slot(index_t tilts, const PairSizes& sizes, Direction direction)
      : direction_(direction),
        scratch_(tilts, sizes),
        volume_(sizes.volume),
        images_(sizes.images),
        in_(direction == Direction::project ? sizes.volume : sizes.images),
        out_(direction == Direction::project ? sizes.images : sizes.volume) {}

  void begin(SlabJob& job, std::unique_ptr<SlabJob::Slab> slab, const PairTables& tables) {
    slab_ = std::move(slab);
    job.gather(*slab_, in_.data());
    const ProjectionPlan& plan = straight_plan(slab_->plan);
    const VolumeShape v = plan.volume();
    const index_t voxels = v.nz * v.ny * v.nx, pixels = plan.tilts() * plan.image().height * plan.image().width;
    const UseStream use(stream_);
    const PairRun run(plan, tables, scratch_);
    if (direction_ == Direction::project) {
      volume_.begin_write(0, in_.data(), voxels);
      images_.clear();
      run.project(volume_.data(), images_.data());
      images_.begin_read(0, out_.data(), pixels);
    } else {
      images_.begin_write(0, in_.data(), pixels);
      run.backproject(images_.data(), volume_.data());
      volume_.begin_read(0, out_.data(), voxels);
    }
  }
  void finish(SlabJob& job) {
    if (slab_ == nullptr) return;
    stream_.wait();
    job.scatter(*slab_, out_.data());
    slab_ = nullptr;
  }

 private:
  Direction direction_;
  PairScratch scratch_;
  DeviceArray<float> volume_, images_;
  PinnedArray<float> in_, out_;
  std::unique_ptr<SlabJob::Slab> slab_;
  Stream stream_;  // ends first: until then it uses the others
};

// While the device works on the slab of one slot, the host fills and empties the other's.
class StreamingWorker : public SlabWorker {
 public:
  StreamingWorker(index_t tilts, std::shared_ptr<const PairTables> tables, const PairSizes& sizes, int slots,
                  Direction direction)
      : tables_(std::move(tables)) {
    for (int i = 0; i < slots; ++i) slots_.push_back(std::make_unique<Slot>(tilts, sizes, direction));
  }
  void run(SlabJob& job) override {
    std::size_t turn = 0;
    for (;; turn = (turn + 1) % slots_.size()) {
      slots_[turn]->finish(job);
      auto slab = job.take();
      if (slab == nullptr) break;
      slots_[turn]->begin(job, std::move(slab), *tables_);
    }
    for (std::size_t i = 1; i < slots_.size(); ++i) slots_[(turn + i) % slots_.size()]->finish(job);
  }

 private:
  std::shared_ptr<const PairTables> tables_;
  std::vector<std::unique_ptr<Slot>> slots_;
};

class HeldPair : public DevicePair {
 public:
  explicit HeldPair(const ProjectionPlan& plan) : plan_(plan), tables_(std::make_shared<PairTables>(plan)) {}

  void project(const DeviceTensor& volume, const DeviceTensor& images) override {
    PairScratch scratch(plan_.tilts(), pair_sizes(plan_));
    PairRun(plan_, *tables_, scratch)
        .project(volume.view<const float, 3>("volume").data, images.view<float, 3>("images").data);
    wait_for_stream();
  }
  void backproject(const DeviceTensor& images, const DeviceTensor& volume, const DeviceRowStage& stage) override {
    PairScratch scratch(plan_.tilts(), pair_sizes(plan_));
    PairRun(plan_, *tables_, scratch)
        .backproject(images.view<const float, 3>("images").data, volume.view<float, 3>("volume").data, stage);
    wait_for_stream();
  }
  std::unique_ptr<SlabWorker> slab_worker(const PairSizes& sizes, int slots, Direction direction) override {
    return std::make_unique<StreamingWorker>(plan_.tilts(), tables_, sizes, slots, direction);
  }

 private:
  const ProjectionPlan& plan_;
  std::shared_ptr<const PairTables> tables_;
};

std::unique_ptr<DevicePair> make_device_pair(const ProjectionPlan& plan) { return std::make_unique<HeldPair>(plan); }

}  // namespace cryolith::CRYOLITH_DEVICE
