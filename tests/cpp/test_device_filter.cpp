// SPDX-License-Identifier: BSD-3-Clause
// Weighted back-projection as CUDA runs it, in the emulation, against the CPU's.
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <random>
#include <string>
#include <vector>

#include "core/cufft.hpp"
#include "core/error.hpp"
#include "cuda/emulate.hpp"
#include "cuda/emulated_devices.hpp"
#include "projection/device_pair.hpp"
#include "reconstruct/device_filter.hpp"
#include "reconstruct/filter.hpp"

namespace cryolith {
namespace {

constexpr VolumeShape kVolume{6, 70, 33};
constexpr ImageShape kImage{71, 38};
constexpr int kTilts = 4;

ProjectionPlan make_plan(double axis_degrees, VolumeShape volume = kVolume, ImageShape image = kImage) {
  std::vector<TiltPose> poses;
  const double axis = axis_degrees * std::numbers::pi / 180;
  for (int t = 0; t < kTilts; ++t) {
    const double a = (-55 + 37 * t) * std::numbers::pi / 180;
    poses.push_back({std::cos(a), std::sin(a), std::cos(axis), std::sin(axis), 0.3 * t, 1.7 - 0.4 * t, 0.25});
  }
  return ProjectionPlan(poses, volume, image);
}

std::vector<float> noise(index_t n) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  std::vector<float> out(static_cast<std::size_t>(n));
  for (float& v : out) v = normal(random);
  return out;
}

// A ramp, of another strength for each tilt.
struct Filter {
  explicit Filter(const ProjectionPlan& plan) : lengths(filter_lengths(plan)) {
    const index_t most = *std::max_element(lengths.begin(), lengths.end()) / 2 + 1;
    values.assign(static_cast<std::size_t>(kTilts * most), NAN);
    gains = {values.data(), {kTilts, most}};
    for (index_t tilt = 0; tilt < kTilts; ++tilt) {
      const index_t n = lengths[static_cast<std::size_t>(tilt)];
      const double step = 1.0 / static_cast<double>(n), factor = 1.0 + static_cast<double>(tilt);
      for (index_t k = 0; k <= n / 2; ++k)
        values[static_cast<std::size_t>(tilt * most + k)] =
            static_cast<float>(factor * (static_cast<double>(k) + 0.1) * step * step);
    }
  }
  std::vector<index_t> lengths;
  std::vector<float> values;
  View2<const float> gains;
};

void on_device(const ProjectionPlan& plan, const Filter& filter, View3<const float> images, View3<float> volume) {
  const auto pair = emulated::make_device_pair(plan);
  const auto stage = emulated::make_device_filter(plan.volume().ny, filter.lengths, filter.gains);
  pair->backproject(Cpu{1}, images, volume, [&](const ProjectionPlan& p, float* rows) { stage->apply(p, rows); });
}

class DeviceFilterTest : public testing::TestWithParam<double> {};

TEST_P(DeviceFilterTest, IsTheCpus) {
  const ProjectionPlan plan = make_plan(GetParam());
  const Filter filter(plan);
  const auto pixels = noise(kTilts * kImage.height * kImage.width);
  const View3<const float> images{pixels.data(), {kTilts, kImage.height, kImage.width}};
  std::vector<float> wanted(static_cast<std::size_t>(kVolume.nz * kVolume.ny * kVolume.nx)), found(wanted.size(), NAN);
  RowFilter rows(filter.lengths, filter.gains, 1);
  filtered_backproject(Cpu{1}, plan, rows, images, {wanted.data(), {kVolume.nz, kVolume.ny, kVolume.nx}});
  on_device(plan, filter, images, {found.data(), {kVolume.nz, kVolume.ny, kVolume.nx}});
  double off = 0, size = 0;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    off += std::pow(static_cast<double>(found[i]) - wanted[i], 2);
    size += std::pow(static_cast<double>(wanted[i]), 2);
  }
  // The pair's 5e-7, and two transforms of either, each with an rms error below 5e-7 (core/fft.hpp).
  EXPECT_LT(std::sqrt(off / size), 1e-6);
}

INSTANTIATE_TEST_SUITE_P(Axes, DeviceFilterTest, testing::Values(0.0, 90.0, 3.0, 33.0));

// Rows for three slabs. Each filters in memory of its own, since two are under way at once.
TEST(FilteredSlabs, AreTheWholeInTheMemoryThatIsPlanned) {
  constexpr VolumeShape kTall{3, 150, 12};
  constexpr ImageShape kTallImage{152, 20};
  for (double axis : {0.0, 33.0}) {
    const ProjectionPlan plan = make_plan(axis, kTall, kTallImage);
    const Filter filter(plan);
    const SlabStage stage = filter_stage(filter.lengths, filter.gains);
    const auto pixels = noise(kTilts * kTallImage.height * kTallImage.width);
    const View3<const float> images{pixels.data(), {kTilts, kTallImage.height, kTallImage.width}};
    std::vector<float> whole(static_cast<std::size_t>(kTall.nz * kTall.ny * kTall.nx)), parts(whole.size(), NAN);
    const View3<float> volume{parts.data(), {kTall.nz, kTall.ny, kTall.nx}};
    on_device(plan, filter, images, {whole.data(), {kTall.nz, kTall.ny, kTall.nx}});
    const index_t before = emulated::free_memory();
    SlabCut cut;
    {
      const auto one = emulated::make_device_pair(plan);
      cut = cut_in_slabs(plan, 1, index_t{1} << 30, one->table_bytes(), 64, stage.bytes);
      const auto make = [&] { return stage.make("emulated", cut.rows); };
      const auto worker = one->slab_worker(pair_sizes(straight_plan(plan), cut.rows), cut.slots, make);
      EXPECT_EQ(before - emulated::free_memory(), cut.device_bytes);
    }
    const DevicesPair pair({"emulated"}, plan, cut.device_bytes);
    EXPECT_EQ(pair.slabs(&stage).slabs, 3);
    EXPECT_EQ(pair.slabs(&stage).slots, 2);
    pair.backproject(Cpu{1}, images, volume, &stage);
    EXPECT_EQ(parts, whole) << axis;
    parts.assign(parts.size(), NAN);
    const DevicesPair ample({"emulated:2"}, plan);
    EXPECT_EQ(ample.slabs(&stage).pinned_bytes, 0);
    ample.backproject(Cpu{1}, images, volume, &stage);
    EXPECT_EQ(parts, whole) << axis;
    parts.assign(parts.size(), NAN);
    emulated::set_memory(2, emulated::kMemoryBytes, cut.device_bytes / 4);  // in pieces: of slabs only
    ample.backproject(Cpu{1}, images, volume, &stage);
    EXPECT_EQ(parts, whole) << axis;
    emulated::set_memory(2, emulated::kMemoryBytes);
    parts.assign(parts.size(), NAN);
    DevicesPair({"emulated:1", "emulated"}, plan).backproject(Cpu{2}, images, volume, &stage);
    EXPECT_EQ(parts, whole) << axis;
  }
}

TEST(DeviceFilterWaits, AreAllNeeded) {
  const ProjectionPlan plan = make_plan(0);
  const Filter filter(plan);
  const auto stage = emulated::make_device_filter(kVolume.ny, filter.lengths, filter.gains);
  emulated::Memory rows(2 * plan.rows() * 64 * 4);
  const auto run = [&] {
    rows.clear();
    stage->apply(plan, static_cast<float*>(rows.data()));
  };
  emulated::visited_sites();
  run();
  const auto sites = emulated::visited_sites();
  EXPECT_EQ(sites.size(), 2u);  // of either way between rows and lines
  for (emulated::Site site : sites) {
    emulated::leave_out(site);
    EXPECT_THROW(run(), emulated::Fault) << site.file << ":" << site.line;
  }
  emulated::leave_out({"", 0});
}

// Whichever this machine has: the library, or a message that says what to do.
TEST(Cufft, IsLoadedOrMissedWithAnAdvice) {
  try {
    EXPECT_GE(cuda::cufft_version(), 11000);
  } catch (const DeviceError& error) {
    EXPECT_NE(std::string(error.what()).find("cryolith[cuda]"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace cryolith
