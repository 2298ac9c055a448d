// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// SlabWorker for the device that this file is compiled for.
#include <memory>
#include <utility>
#include <vector>

#include "core/stream_through.hpp"
#include "projection/pair_run_cuda.cuh"

namespace cryolith::CRYOLITH_DEVICE {

// One slab that is under way, in a stream of its own.
class Slot {
 public:
  Slot(index_t tilts, const PairSizes& sizes, DeviceRowStage stage)
      : stage_(std::move(stage)),
        scratch_(tilts, sizes),
        volume_(sizes.volume),
        images_(sizes.images),
        volume_here_(sizes.volume),
        images_here_(sizes.images) {}

  void begin(SlabJob& job, std::unique_ptr<SlabJob::Slab> slab, const PairTables& tables) {
    slab_ = std::move(slab);
    const bool forth = job.direction() == Direction::project;
    job.gather(*slab_, (forth ? volume_here_ : images_here_).data());
    const ProjectionPlan& plan = straight_plan(slab_->plan);
    const VolumeShape v = plan.volume();
    const index_t voxels = v.nz * v.ny * v.nx, pixels = plan.tilts() * plan.image().height * plan.image().width;
    const UseStream use(stream_);
    const PairRun run(plan, tables, scratch_);
    if (forth) {
      volume_.begin_write(0, volume_here_.data(), voxels);
      images_.clear();
      run.project(volume_.data(), images_.data());
      images_.begin_read(0, images_here_.data(), pixels);
    } else {
      images_.begin_write(0, images_here_.data(), pixels);
      run.backproject(images_.data(), volume_.data(), stage_);
      volume_.begin_read(0, volume_here_.data(), voxels);
    }
  }
  void finish(SlabJob& job) {
    if (slab_ == nullptr) return;
    stream_.wait();
    job.scatter(*slab_, (job.direction() == Direction::project ? images_here_ : volume_here_).data());
    slab_ = nullptr;
  }

 private:
  DeviceRowStage stage_;
  PairScratch scratch_;
  DeviceArray<float> volume_, images_;
  PinnedArray<float> volume_here_, images_here_;
  std::unique_ptr<SlabJob::Slab> slab_;
  Stream stream_;  // ends first: until then it uses the others
};

class StreamingWorker : public SlabWorker {
 public:
  StreamingWorker(index_t tilts, const PairSizes& sizes, int slots, const std::function<DeviceRowStage()>& make_stage) {
    for (int i = 0; i < slots; ++i)
      slots_.push_back(std::make_unique<Slot>(tilts, sizes, make_stage ? make_stage() : DeviceRowStage{}));
  }
  void run(SlabJob& job, const PairTables& tables) { stream_through(slots_, job, tables); }

 private:
  std::vector<std::unique_ptr<Slot>> slots_;
};

}  // namespace cryolith::CRYOLITH_DEVICE
