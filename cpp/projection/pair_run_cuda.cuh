// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// What the projector pair of a plan, or of a slab of it, launches on a device.
#include <algorithm>
#include <vector>

#include "core/device_array.hpp"
#include "projection/device_pair.hpp"
#include "projection/shear_sum_cuda.cuh"
#include "projection/shear_tables.hpp"
#include "projection/slabs.hpp"
#include "projection/strips_cuda.cuh"

namespace cryolith::CRYOLITH_DEVICE {

// What slabs.cpp counts with.
static_assert(kColumns == kDeviceColumns && sizeof(DeviceTilt) == kDeviceTiltBytes);

// The sums over the tilts of one bank, or over chunks of its lines, with their tables on the device.
class BankSums {
 public:
  BankSums(const ProjectionPlan& plan, const Bank& bank) {
    if (bank.tilts.empty()) return;
    lines_ = bank.across * bank.along;
    back_.emplace_back(backproject_tables(plan, bank, BackprojectShape::kTile));
    const int most = ProjectShape::most_window_rows(most_shared_bytes(ProjectShape::kBlocks));
    for (const ShearTables& t : project_chunks(plan, bank, ProjectShape::kTile, most)) forward_.emplace_back(t);
  }
  index_t bytes() const {
    index_t out = 0;
    for (const auto* some : {&back_, &forward_})
      for (const Tables& t : *some) out += t.bytes();
    return out;
  }
  index_t lines() const { return lines_; }  // rows of kColumns that the volume takes; 0 where there are no tilts
  void backproject(index_t blocks, const float* rows, index_t row_count, float* lines) const {
    for (const Tables& t : back_) t.run<BackprojectShape, false>(blocks, rows, row_count, lines, lines_);
  }
  void project(index_t blocks, const float* lines, float* rows, index_t row_count) const {
    for (const Tables& t : forward_) t.run<ProjectShape, true>(blocks, lines, lines_, rows, row_count);
  }

 private:
  struct Tables {
    explicit Tables(const ShearTables& t)
        : shear(t),
          windows(t.windows),
          taps(t.taps),
          outputs(t.outputs),
          groups(t.groups),
          zeros(index_t{t.window_rows} * kColumns) {
      zeros.clear();
    }
    index_t bytes() const { return windows.bytes() + taps.bytes() + outputs.bytes() + groups.bytes() + zeros.bytes(); }
    template <class Shape, bool kAdd>
    void run(index_t blocks, const float* in, index_t in_rows, float* out, index_t out_rows) const {
      const ShearSum<Shape, kAdd> kernel{in,
                                         zeros.data(),
                                         out,
                                         windows.data(),
                                         taps.data(),
                                         outputs.data(),
                                         groups.data(),
                                         in_rows,
                                         out_rows,
                                         shear.inputs,
                                         static_cast<int>(outputs.size()),
                                         shear.window_rows};
      launch({static_cast<unsigned>(groups.size()), static_cast<unsigned>(shear.most_row_tiles()),
              static_cast<unsigned>(blocks)},
             Shape::shared_bytes(shear.window_rows), kernel);
    }
    ShearTables shear;
    DeviceArray<ShearWindow> windows;
    DeviceArray<ShearPairTap> taps;
    DeviceArray<ShearOutput> outputs;
    DeviceArray<ShearGroup> groups;
    DeviceArray<float> zeros;
  };
  index_t lines_ = 0;
  std::vector<Tables> back_, forward_;
};

// What does not change from slab to slab of a plan.
struct PairTables {
  explicit PairTables(const ProjectionPlan& plan)
      : weights({plan.table().weights, plan.table().weights + (kPhases + 1) * kTaps}),
        shallow(plan, plan.shallow()),
        steep(plan, plan.steep()) {}
  index_t bytes() const { return weights.bytes() + shallow.bytes() + steep.bytes(); }
  DeviceArray<float> weights;
  BankSums shallow, steep;
};

// What a run of the pair holds besides volume and images.
struct PairScratch {
  PairScratch(index_t tilt_count, const PairSizes& sizes) : tilts(tilt_count), rows(sizes.rows), work(sizes.work) {}
  DeviceArray<DeviceTilt> tilts;
  DeviceArray<float> rows, work;
};

// The kernels of one plan, or of a slab of it, on arrays of this device; into this thread's stream.
class PairRun {
 public:
  PairRun(const ProjectionPlan& plan, const PairTables& tables, PairScratch& scratch)
      : plan_(plan), tables_(tables), scratch_(scratch), blocks_((plan.volume().ny + kColumns - 1) / kColumns) {
    const std::vector<DeviceTilt> tilts = tilts_of(plan);
    scratch_.tilts.write(0, tilts.data(), plan.tilts());
    shape_ = {scratch_.tilts.data(),
              tables.weights.data(),
              static_cast<int>(plan.image().height),
              static_cast<int>(plan.image().width),
              static_cast<int>(plan.volume().ny),
              static_cast<int>(std::max(plan.image().height, plan.image().width)),
              plan.rows()};
  }

  void backproject(const float* images, float* volume, const DeviceRowStage& stage = {}) const {
    float *strips = scratch_.work.data(), *rows = scratch_.rows.data();
    launch({tiles(shape_.pixels), tiles(blocks_ * kColumns), unsigned_of(plan_.tilts())}, kTileBytes,
           LoadStrips<kColumns>{shape_, images, strips});
    launch({tiles(most_rows()), unsigned_of(plan_.tilts()), unsigned_of(blocks_)}, 0,
           StretchRows<kColumns>{shape_, strips, rows});
    if (stage) stage(plan_, rows);
    tables_.shallow.backproject(blocks_, rows, plan_.rows(), lines_x());
    tables_.steep.backproject(blocks_, rows, plan_.rows(), lines_z());
    launch(volume_grid(), kTileBytes, UnpackVolume<kColumns>{layout(), lines_x(), lines_z(), volume});
  }

  // Adds to the images.
  void project(const float* volume, float* images) const {
    float *strips = scratch_.work.data(), *rows = scratch_.rows.data();
    launch(volume_grid(), kTileBytes, PackVolume<kColumns>{layout(), volume, lines_x(), lines_z()});
    scratch_.rows.clear();
    tables_.shallow.project(blocks_, lines_x(), rows, plan_.rows());
    tables_.steep.project(blocks_, lines_z(), rows, plan_.rows());
    launch({tiles(shape_.pixels), unsigned_of(plan_.tilts()), unsigned_of(blocks_)}, 0,
           CollectRows<kColumns>{shape_, rows, strips});
    launch({tiles(shape_.pixels), tiles(shape_.pixels), unsigned_of(plan_.tilts())}, 0,
           SpreadStrips<kColumns>{shape_, strips, images});
  }

 private:
  static constexpr index_t kTileBytes = index_t{kTile} * kPitch * index_t{sizeof(float)};
  static unsigned unsigned_of(index_t n) { return static_cast<unsigned>(n); }
  static unsigned tiles(index_t n) { return blocks_for(n, kTile); }
  static std::vector<DeviceTilt> tilts_of(const ProjectionPlan& plan) {
    std::vector<DeviceTilt> out;
    for (index_t tilt = 0; tilt < plan.tilts(); ++tilt) {
      const StripGrid strip = plan.strip(tilt, 0);
      const index_t pixels = strip.down ? plan.image().height : plan.image().width;
      const auto inverse = [](index_t step) { return 1.0 / static_cast<double>(step); };
      out.push_back({strip.along, strip.across, inverse(strip.along.step), inverse(strip.across.lane),
                     strip.down ? 1 : 0, static_cast<std::int32_t>(pixels),
                     static_cast<std::int32_t>(plan.first_row(tilt)), static_cast<std::int32_t>(plan.row_count(tilt))});
    }
    return out;
  }
  index_t most_rows() const {
    index_t most = 0;
    for (index_t tilt = 0; tilt < plan_.tilts(); ++tilt) most = std::max(most, plan_.row_count(tilt));
    return most;
  }
  // The volume in lines of either direction, where there are tilts for it.
  float* lines_x() const { return tables_.shallow.lines() > 0 ? scratch_.work.data() : nullptr; }
  float* lines_z() const {
    const index_t before = blocks_ * tables_.shallow.lines() * kColumns;
    return tables_.steep.lines() > 0 ? scratch_.work.data() + before : nullptr;
  }
  LineLayout layout() const {
    const VolumeShape v = plan_.volume();
    return {static_cast<int>(v.nz), static_cast<int>(v.ny), static_cast<int>(v.nx)};
  }
  Dim3 volume_grid() const {
    return {tiles(plan_.volume().nx), tiles(blocks_ * kColumns), unsigned_of(plan_.volume().nz)};
  }

  const ProjectionPlan& plan_;
  const PairTables& tables_;
  PairScratch& scratch_;
  index_t blocks_;
  StripShape shape_ = {};
};

}  // namespace cryolith::CRYOLITH_DEVICE
