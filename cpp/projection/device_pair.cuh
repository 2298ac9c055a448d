// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// DevicePair for the device that this file is compiled for.
#include <algorithm>
#include <optional>

#include "core/buffer.hpp"
#include "core/device_array.hpp"
#include "projection/device_pair.hpp"
#include "projection/shear_sum_cuda.cuh"
#include "projection/shear_tables.hpp"
#include "projection/strips_cuda.cuh"
#include "projection/turned_images.hpp"

namespace cryolith::CRYOLITH_DEVICE {

// The sums over the tilts of one bank, or over chunks of its lines, with their tables on the device.
class BankSums {
 public:
  BankSums(const ProjectionPlan& plan, const Bank& bank) {
    if (bank.tilts.empty()) return;
    lines_ = bank.across * bank.along;
    back_.emplace_back(backproject_tables(plan, bank, PairShape::kTile));
    const int most = PairShape::most_window_rows(most_shared_bytes());
    for (const ShearTables& t : project_chunks(plan, bank, PairShape::kTile, most)) forward_.emplace_back(t);
  }
  index_t lines() const { return lines_; }  // rows of kColumns that the volume takes; 0 where there are no tilts
  void backproject(index_t blocks, const float* rows, index_t row_count, float* lines) const {
    for (const Tables& t : back_) t.run<false>(blocks, rows, row_count, lines, lines_);
  }
  void project(index_t blocks, const float* lines, float* rows, index_t row_count) const {
    for (const Tables& t : forward_) t.run<true>(blocks, lines, lines_, rows, row_count);
  }

 private:
  struct Tables {
    explicit Tables(const ShearTables& t)
        : shear(t), windows(t.windows), taps(t.taps), outputs(t.outputs), zeros(index_t{t.window_rows} * kColumns) {
      zeros.clear();
    }
    template <bool kAdd>
    void run(index_t blocks, const float* in, index_t in_rows, float* out, index_t out_rows) const {
      const ShearSum<PairShape, kAdd> kernel{in,
                                             zeros.data(),
                                             out,
                                             windows.data(),
                                             taps.data(),
                                             outputs.data(),
                                             in_rows,
                                             out_rows,
                                             shear.inputs,
                                             static_cast<int>(outputs.size()),
                                             shear.first_row,
                                             shear.window_rows};
      launch(
          {static_cast<unsigned>(shear.groups), static_cast<unsigned>(shear.row_tiles), static_cast<unsigned>(blocks)},
          PairShape::shared_bytes(shear.window_rows), kernel);
    }
    ShearTables shear;
    DeviceArray<ShearWindow> windows;
    DeviceArray<ShearPairTap> taps;
    DeviceArray<ShearOutput> outputs;
    DeviceArray<float> zeros;
  };
  index_t lines_ = 0;
  std::vector<Tables> back_, forward_;
};

// The pair of a plan whose axes lie along or near the image axes.
class StraightPair : public DevicePair {
 public:
  explicit StraightPair(const ProjectionPlan& plan)
      : plan_(plan),
        blocks_((plan.volume().ny + kColumns - 1) / kColumns),
        table_({plan.table().weights, plan.table().weights + (kPhases + 1) * kTaps}),
        tilts_(tilts_of(plan)),
        shallow_(plan, plan.shallow()),
        steep_(plan, plan.steep()) {
    const int pixels = static_cast<int>(std::max(plan.image().height, plan.image().width));
    shape_ = {tilts_.data(),
              table_.data(),
              static_cast<int>(plan.image().height),
              static_cast<int>(plan.image().width),
              static_cast<int>(plan.volume().ny),
              pixels,
              plan.rows()};
  }

  void backproject(const Cpu& cpu, View3<const float> images, View3<float> volume,
                   const DeviceRowStage& stage) override {
    const DeviceArray<float> in = upload(images), out(volume.size());
    backproject_there(cpu, there(in, images), there(out, volume), stage);
    out.read(0, volume.data, volume.size());
  }

  void backproject_there(const Cpu&, View3<const float> images, View3<float> volume,
                         const DeviceRowStage& stage) override {
    DeviceArray<float> rows(blocks_ * plan_.rows() * kColumns);
    {
      DeviceArray<float> strips(strip_floats());
      launch({tiles(shape_.pixels), tiles(blocks_ * kColumns), unsigned_of(plan_.tilts())}, kTileBytes,
             LoadStrips<kColumns>{shape_, images.data, strips.data()});
      launch({tiles(most_rows()), unsigned_of(plan_.tilts()), unsigned_of(blocks_)}, 0,
             StretchRows<kColumns>{shape_, strips.data(), rows.data()});
    }
    if (stage) stage(rows.data());
    const DeviceArray<float> x(lines(shallow_)), z(lines(steep_));
    shallow_.backproject(blocks_, rows.data(), plan_.rows(), x.data());
    steep_.backproject(blocks_, rows.data(), plan_.rows(), z.data());
    launch(volume_grid(), kTileBytes, UnpackVolume<kColumns>{layout(), some(x), some(z), volume.data});
  }

  void project(const Cpu& cpu, View3<const float> volume, View3<float> images, bool add) override {
    const DeviceArray<float> in = upload(volume);
    DeviceArray<float> out(images.size());
    if (add) out.write(0, images.data, images.size());
    project_there(cpu, there(in, volume), there(out, images), add);
    out.read(0, images.data, images.size());
  }

  void project_there(const Cpu&, View3<const float> volume, View3<float> images, bool add) override {
    DeviceArray<float> rows(blocks_ * plan_.rows() * kColumns);
    rows.clear();
    {
      const DeviceArray<float> x(lines(shallow_)), z(lines(steep_));
      launch(volume_grid(), kTileBytes, PackVolume<kColumns>{layout(), volume.data, some(x), some(z)});
      shallow_.project(blocks_, x.data(), rows.data(), plan_.rows());
      steep_.project(blocks_, z.data(), rows.data(), plan_.rows());
    }
    if (!add) Memory(images.data, images.size() * index_t{sizeof(float)}).clear();
    const DeviceArray<float> strips(strip_floats());
    launch({tiles(shape_.pixels), unsigned_of(plan_.tilts()), unsigned_of(blocks_)}, 0,
           CollectRows<kColumns>{shape_, rows.data(), strips.data()});
    launch({tiles(shape_.pixels), tiles(shape_.pixels), unsigned_of(plan_.tilts())}, 0,
           SpreadStrips<kColumns>{shape_, strips.data(), images.data});
  }

 private:
  static constexpr index_t kTileBytes = index_t{kTile} * kPitch * index_t{sizeof(float)};
  static unsigned unsigned_of(index_t n) { return static_cast<unsigned>(n); }
  static unsigned tiles(index_t n) { return unsigned_of((n + kTile - 1) / kTile); }
  static float* some(const DeviceArray<float>& a) { return a.size() > 0 ? a.data() : nullptr; }
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
  static std::vector<DeviceTilt> tilts_of(const ProjectionPlan& plan) {
    std::vector<DeviceTilt> out;
    for (index_t tilt = 0; tilt < plan.tilts(); ++tilt) {
      const StripGrid strip = plan.strip(tilt, 0);
      const index_t pixels = strip.down ? plan.image().height : plan.image().width;
      out.push_back({strip.along, strip.across, strip.down ? 1 : 0, static_cast<std::int32_t>(pixels),
                     static_cast<std::int32_t>(plan.first_row(tilt)), static_cast<std::int32_t>(plan.row_count(tilt))});
    }
    return out;
  }
  index_t lines(const BankSums& bank) const { return blocks_ * bank.lines() * kColumns; }
  index_t strip_floats() const { return plan_.tilts() * blocks_ * shape_.pixels * kColumns; }
  index_t most_rows() const {
    index_t most = 0;
    for (index_t tilt = 0; tilt < plan_.tilts(); ++tilt) most = std::max(most, plan_.row_count(tilt));
    return most;
  }
  LineLayout layout() const {
    const VolumeShape v = plan_.volume();
    return {static_cast<int>(v.nz), static_cast<int>(v.ny), static_cast<int>(v.nx)};
  }
  Dim3 volume_grid() const {
    return {tiles(plan_.volume().nx), tiles(blocks_ * kColumns), unsigned_of(plan_.volume().nz)};
  }

  const ProjectionPlan& plan_;
  index_t blocks_;
  DeviceArray<float> table_;
  DeviceArray<DeviceTilt> tilts_;
  StripShape shape_ = {};
  BankSums shallow_, steep_;
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
