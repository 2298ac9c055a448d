// SPDX-License-Identifier: BSD-3-Clause
// The projector pair as CUDA runs it, in the emulation, against the CPU's.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "cuda/device_tensor.hpp"
#include "cuda/emulate.hpp"
#include "cuda/emulated_devices.hpp"
#include "projection/backproject.hpp"
#include "projection/device_pair.hpp"
#include "projection/project.hpp"

namespace cryolith {
namespace {

struct Case {
  std::string name;
  double axis_degrees, most_degrees, scale;
  int tilts;
  VolumeShape volume;
  ImageShape image;
};

std::vector<float> noise(index_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> out(static_cast<std::size_t>(n));
  for (float& v : out) v = normal(random);
  return out;
}

ProjectionPlan make_plan(const Case& c) {
  std::vector<TiltPose> poses;
  const double axis = c.axis_degrees * std::numbers::pi / 180;
  for (int t = 0; t < c.tilts; ++t) {
    const double a = (-c.most_degrees + 2 * c.most_degrees * t / (c.tilts - 1)) * std::numbers::pi / 180;
    poses.push_back({std::cos(a), std::sin(a), std::cos(axis), std::sin(axis), 0.3 * t, 1.7 - 0.4 * t, 0.25, c.scale});
  }
  return ProjectionPlan(poses, c.volume, c.image);
}

double norm(const std::vector<float>& a) {
  double sum = 0;
  for (float v : a) sum += static_cast<double>(v) * v;
  return std::sqrt(sum);
}
double distance(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += std::pow(static_cast<double>(a[i]) - b[i], 2);
  return std::sqrt(sum);
}

class DevicePairTest : public testing::TestWithParam<Case> {};

TEST_P(DevicePairTest, IsTheCpusPair) {
  const Case& c = GetParam();
  const ProjectionPlan plan = make_plan(c);
  const VolumeShape s = c.volume;
  const std::vector<float> voxels = noise(s.nz * s.ny * s.nx, 1);
  const std::vector<float> pixels = noise(c.tilts * c.image.height * c.image.width, 2);
  const View3<const float> volume{voxels.data(), {s.nz, s.ny, s.nx}};
  const View3<const float> images{pixels.data(), {c.tilts, c.image.height, c.image.width}};
  std::vector<float> back(voxels.size()), device_back(voxels.size()), forth(pixels),
      device_forth(pixels);  // to be overwritten
  const Cpu cpu{1};
  const DevicesPair pair({"emulated"}, plan);
  backproject(cpu, plan, images, {back.data(), {s.nz, s.ny, s.nx}});
  pair.backproject(cpu, images, {device_back.data(), {s.nz, s.ny, s.nx}});
  EXPECT_LT(distance(device_back, back), 5e-7 * norm(back));
  project(cpu, plan, volume, {forth.data(), {c.tilts, c.image.height, c.image.width}}, false);
  pair.project(cpu, volume, {device_forth.data(), {c.tilts, c.image.height, c.image.width}}, false);
  EXPECT_LT(distance(device_forth, forth), 5e-7 * norm(forth));

  double left = 0, right = 0;
  for (std::size_t i = 0; i < pixels.size(); ++i) left += static_cast<double>(device_forth[i]) * pixels[i];
  for (std::size_t i = 0; i < voxels.size(); ++i) right += static_cast<double>(device_back[i]) * voxels[i];
  EXPECT_NEAR(left, right, 1e-6 * norm(device_back) * norm(voxels));

  std::vector<float> twice(device_forth);
  pair.project(cpu, volume, {twice.data(), {c.tilts, c.image.height, c.image.width}}, true);
  for (float& v : twice) v /= 2;
  EXPECT_LT(distance(twice, forth), 5e-7 * norm(forth));
}

INSTANTIATE_TEST_SUITE_P(Geometries, DevicePairTest,
                         testing::Values(Case{"along_columns", 0, 60, 1, 5, {20, 30, 40}, {30, 40}},
                                         Case{"along_rows", 90, 70, 1, 5, {20, 40, 30}, {36, 50}},
                                         Case{"backwards", 180, 65, 1, 4, {9, 33, 21}, {33, 21}},
                                         Case{"near_an_image_axis", 3, 60, 1, 5, {12, 70, 40}, {72, 44}},
                                         Case{"near_rows_smaller_pixels", -87, 55, 0.97, 4, {12, 35, 40}, {44, 40}},
                                         Case{"turned", 33, 60, 1, 4, {10, 32, 32}, {40, 40}}),
                         [](const testing::TestParamInfo<Case>& info) { return info.param.name; });

DeviceTensor on(const std::string& device, const std::vector<float>& values, std::vector<index_t> shape) {
  DeviceTensor out(device, element_type<float>(), std::move(shape));
  out.write(values.data());
  return out;
}
std::vector<float> host(const DeviceTensor& tensor) {
  std::vector<float> out(static_cast<std::size_t>(tensor.size()));
  tensor.read(out.data());
  return out;
}

// Each barrier and wait of the pair's kernels in turn: without it, the emulation has to notice.
TEST(DevicePairWaits, AreAllNeeded) {
  const Case c{"", 3, 60, 1, 5, {12, 70, 40}, {72, 44}};
  const ProjectionPlan plan = make_plan(c);
  const auto pair = make_device_pair("emulated", plan);
  const DeviceTensor v = on("emulated", noise(12 * 70 * 40, 1), {12, 70, 40}),
                     p = on("emulated", noise(5 * 72 * 44, 2), {5, 72, 44});
  const auto both = [&] {
    pair->backproject_there(Cpu{1}, p.view<const float, 3>("p"), v.view<float, 3>("v"));
    pair->project_there(Cpu{1}, v.view<const float, 3>("v"), p.view<float, 3>("p"), false);
  };
  emulated::visited_sites();
  both();
  const auto sites = emulated::visited_sites();
  EXPECT_EQ(sites.size(), 6u);  // of strips, of each way of packing, and the sum's gates, copies and barrier
  for (emulated::Site site : sites) {
    emulated::leave_out(site);
    EXPECT_THROW(both(), emulated::Fault) << site.file << ":" << site.line;
  }
  emulated::leave_out({"", 0});
}

// Rows enough for three slabs; shared pixels between them where the axis is tilted.
const Case kTall[] = {{"along_columns", 0, 60, 1, 3, {6, 150, 20}, {150, 20}},
                      {"near_an_image_axis", 3, 60, 1, 3, {6, 150, 20}, {152, 30}},
                      {"turned", 33, 60, 1, 3, {6, 150, 20}, {130, 100}}};

// Memory for the smallest slabs, two at once.
index_t bytes_of_two(const ProjectionPlan& plan) {
  const ProjectionPlan& straight = straight_plan(plan);
  return emulated::make_device_pair(plan)->table_bytes() +
         2 * (pair_sizes(straight, kDeviceColumns).bytes() + plan.tilts() * kDeviceTiltBytes);
}

TEST(Slabs, OfOneDeviceOrSeveralAreTheWhole) {
  for (const Case& c : kTall) {
    const ProjectionPlan plan = make_plan(c);
    const VolumeShape s = c.volume;
    const std::vector<float> voxels = noise(s.nz * s.ny * s.nx, 1);
    const std::vector<float> pixels = noise(c.tilts * c.image.height * c.image.width, 2);
    const View3<const float> volume{voxels.data(), {s.nz, s.ny, s.nx}};
    const View3<const float> images{pixels.data(), {c.tilts, c.image.height, c.image.width}};
    const auto both = [&](const std::vector<std::string>& devices, index_t max_bytes, index_t slabs) {
      const DevicesPair pair(devices, plan, max_bytes);
      EXPECT_EQ(pair.slabs().slabs, slabs) << c.name;
      EXPECT_LE(pair.slabs().device_bytes, max_bytes == 0 ? emulated::kMemoryBytes : max_bytes);
      std::pair<std::vector<float>, std::vector<float>> out{voxels, pixels};
      pair.backproject(Cpu{2}, images, {out.first.data(), {s.nz, s.ny, s.nx}});
      pair.project(Cpu{2}, volume, {out.second.data(), {c.tilts, c.image.height, c.image.width}}, true);
      return out;
    };
    const auto whole = both({"emulated"}, 0, 1);
    const index_t two = bytes_of_two(plan);
    const auto parts = both({"emulated"}, two, 3);
    EXPECT_EQ(parts.first, whole.first) << c.name;  // a voxel's sum is the same in every slab
    EXPECT_LT(distance(parts.second, whole.second), 5e-7 * norm(whole.second)) << c.name;
    EXPECT_EQ(both({"emulated"}, two - 1, 3), parts) << c.name;  // one at a time
    EXPECT_EQ(both({"emulated:1", "emulated", "emulated:2"}, 0, 3), parts) << c.name;
  }
}

TEST(Slabs, TakeTheMemoryThatIsPlannedAndNoMore) {
  for (const Case& c : kTall) {
    const ProjectionPlan plan = make_plan(c);
    const index_t before = emulated::free_memory();
    const auto pair = emulated::make_device_pair(plan);
    const SlabCut cut = cut_in_slabs(plan, 1, index_t{1} << 30, pair->table_bytes(), 64);
    EXPECT_EQ(cut.slots, 2);
    const auto worker = pair->slab_worker(pair_sizes(straight_plan(plan), cut.rows), cut.slots);
    EXPECT_EQ(before - emulated::free_memory(), cut.device_bytes) << c.name;
  }
}

// One memory for both directions and for pairs of fewer tilts, until something fails.
TEST(Slabs, KeepTheirMemoryFromRunToRun) {
  const Case& c = kTall[1];
  const ProjectionPlan plan = make_plan(c);
  std::vector<TiltPose> poses{{1.0, 0.0, 1.0, 0.0, 0.3, 1.7, 0.25}};
  const ProjectionPlan one(poses, c.volume, c.image);
  const VolumeShape s = c.volume;
  const std::vector<float> voxels = noise(s.nz * s.ny * s.nx, 1);
  std::vector<float> pixels(static_cast<std::size_t>(3 * c.image.height * c.image.width)), back(voxels.size()),
      again(voxels.size());
  const View3<const float> volume{voxels.data(), {s.nz, s.ny, s.nx}};
  const View3<float> images{pixels.data(), {3, c.image.height, c.image.width}};
  const View3<const float> image{pixels.data(), {1, c.image.height, c.image.width}};
  const index_t two = bytes_of_two(plan) + emulated::make_device_pair(one)->table_bytes();
  const DevicesPair pair({"emulated:6"}, plan, two);
  DevicesPair other({"emulated:6"}, one, two);
  other.share_memory(pair);
  const SlabCut cut = pair.slabs();
  EXPECT_EQ(cut.device_bytes, two);  // the tables of both among them
  emulated::use_device(6);
  const auto free = [] { return emulated::free_memory(); };
  const index_t before = free();
  const index_t taken = two - pair.table_bytes() - other.table_bytes();
  pair.project(Cpu{1}, volume, images, false);
  EXPECT_EQ(before - free(), taken);
  EXPECT_EQ(pair.free_bytes(), before);
  pair.backproject(Cpu{1}, images, {back.data(), {s.nz, s.ny, s.nx}});
  EXPECT_EQ(before - free(), taken);
  other.backproject(Cpu{1}, image, {again.data(), {s.nz, s.ny, s.nx}});
  EXPECT_EQ(before - free(), taken);
  const DevicesPair fresh({"emulated:7"}, one);
  std::vector<float> wanted(again);
  fresh.backproject(Cpu{1}, image, {wanted.data(), {s.nz, s.ny, s.nx}});
  EXPECT_EQ(again, wanted);
  CancelToken token;
  token.cancel();
  EXPECT_THROW(pair.backproject({1, &token}, images, {again.data(), {s.nz, s.ny, s.nx}}), Cancelled);
  EXPECT_EQ(free(), before);
  pair.backproject(Cpu{1}, images, {again.data(), {s.nz, s.ny, s.nx}});
  EXPECT_EQ(again, back);
  emulated::use_device(0);
}

// A pair with too many tilts, or too large a window, for the memory of the one before takes its own.
TEST(Slabs, TakeOtherMemoryWhereTheKeptOneIsTooSmall) {
  const Case& c = kTall[0];
  const ProjectionPlan plan = make_plan(c);
  const ProjectionPlan one({{1.0, 0.0, 1.0, 0.0, 0.3, 1.7, 0.25}}, c.volume, c.image);
  const VolumeShape s = c.volume;
  const std::vector<float> pixels = noise(3 * c.image.height * c.image.width, 2);
  const View3<const float> images{pixels.data(), {3, c.image.height, c.image.width}};
  const View3<const float> image{pixels.data(), {1, c.image.height, c.image.width}};
  const DevicesPair all({"emulated"}, plan), few({"emulated"}, one, bytes_of_two(plan));
  std::vector<float> found(static_cast<std::size_t>(s.nz * s.ny * s.nx)), wanted(found);
  all.backproject(Cpu{1}, images, {wanted.data(), {s.nz, s.ny, s.nx}});
  DevicesPair pair({"emulated"}, plan);
  pair.share_memory(few);
  few.backproject(Cpu{1}, image, {found.data(), {s.nz, s.ny, s.nx}});
  pair.backproject(Cpu{1}, images, {found.data(), {s.nz, s.ny, s.nx}});
  EXPECT_EQ(found, wanted);
}

TEST(Slabs, OfAPartOfTheVolumeAreThoseOfTheWhole) {
  for (const Case& c : kTall) {
    const ProjectionPlan plan = make_plan(c);
    const VolumeShape s = c.volume;
    const DevicesPair pair({"emulated"}, plan, bytes_of_two(plan));
    const DevicesPair part(pair, {16, 112});
    const ImageWindow w = part.plan().window();
    const std::vector<float> voxels = noise(s.nz * 96 * s.nx, 1), pixels = noise(c.tilts * w.height * w.width, 2);
    std::vector<float> back(voxels.size()), wanted_back(voxels.size()), forth(pixels.size()), wanted_forth(forth);
    const View3<const float> images{pixels.data(), {c.tilts, w.height, w.width}},
        volume{voxels.data(), {s.nz, 96, s.nx}};
    const ProjectionPlan alone = plan.slab({16, 112});
    backproject(Cpu{1}, alone, images, {wanted_back.data(), {s.nz, 96, s.nx}});
    part.backproject(Cpu{1}, images, {back.data(), {s.nz, 96, s.nx}});
    EXPECT_LT(distance(back, wanted_back), 5e-7 * norm(wanted_back)) << c.name;
    project(Cpu{1}, alone, volume, {wanted_forth.data(), {c.tilts, w.height, w.width}}, false);
    part.project(Cpu{1}, volume, {forth.data(), {c.tilts, w.height, w.width}}, false);
    EXPECT_LT(distance(forth, wanted_forth), 5e-7 * norm(wanted_forth)) << c.name;
  }
}

TEST(Slabs, GetSmallerWhereMemoryIsInPieces) {
  const ProjectionPlan plan = make_plan(kTall[0]);
  const DevicesPair pair({"emulated:3"}, plan);
  EXPECT_EQ(pair.slabs().slabs, 1);
  const std::vector<float> pixels = noise(3 * 150 * 20, 2);
  std::vector<float> whole(6 * 150 * 20), parts(whole);
  pair.backproject(Cpu{1}, {pixels.data(), {3, 150, 20}}, {whole.data(), {6, 150, 20}});
  const PairSizes one = pair_sizes(plan, 64);
  const index_t largest = std::max({one.work, one.rows, one.volume, one.images}) * index_t{sizeof(float)};
  emulated::set_memory(3, emulated::kMemoryBytes, largest);
  DevicesPair({"emulated:3"}, plan).backproject(Cpu{1}, {pixels.data(), {3, 150, 20}}, {parts.data(), {6, 150, 20}});
  EXPECT_EQ(parts, whole);
  emulated::set_memory(3, emulated::kMemoryBytes, largest - 1);
  const DevicesPair other({"emulated:3"}, plan);
  EXPECT_THROW(other.backproject(Cpu{1}, {pixels.data(), {3, 150, 20}}, {parts.data(), {6, 150, 20}}),
               DeviceOutOfMemory);
}

TEST(Slabs, SayWhatWouldFitWhereNoneDoes) {
  const ProjectionPlan plan = make_plan({"", 0, 60, 1, 3, {200, 70, 64}, {70, 64}});
  const SlabCut cut = cut_in_slabs(plan, 1, index_t{1} << 30, 0, 64);
  const auto message = [&](index_t bytes) {
    try {
      cut_in_slabs(plan, 1, bytes, 0, 0);
    } catch (const DeviceOutOfMemory& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  const std::string some = message(cut.device_bytes / 4);
  const auto at = some.find("a volume of about ");
  ASSERT_NE(at, std::string::npos) << some;
  const index_t slices = std::stoi(some.substr(at + 18));
  EXPECT_GT(slices, 0);
  const ProjectionPlan fits = make_plan({"", 0, 60, 1, 3, {slices, 70, 64}, {70, 64}});
  EXPECT_NO_THROW(cut_in_slabs(fits, 1, cut.device_bytes / 4, 0, 0)) << some;
  EXPECT_NE(message(1000).find("use the CPU"), std::string::npos) << message(1000);
}

// Wherever a device breaks, all end with an error; nobody waits for slabs that do not come.
TEST(Slabs, EndWithAnErrorWhereADeviceIsLost) {
  const ProjectionPlan plan = make_plan({"", 3, 60, 1, 3, {4, 640, 12}, {642, 45}});
  const index_t two = bytes_of_two(plan);
  const std::vector<float> voxels = noise(4 * 640 * 12, 1);
  std::vector<float> images(3 * 642 * 45);
  int number = 5;
  for (index_t operations : {0, 9, 14, 20, 24, 50}) {  // while it is given memory, and in its first slabs
    std::vector<std::string> devices{"emulated:" + std::to_string(number)};
    if (operations < 24) devices.push_back("emulated:4");  // both have begun by then
    const DevicesPair pair(devices, plan, two);
    EXPECT_EQ(pair.slabs().slabs, 10);
    emulated::lose_after(number++, operations);
    const auto run = [&] { pair.project(Cpu{2}, {voxels.data(), {4, 640, 12}}, {images.data(), {3, 642, 45}}, false); };
    EXPECT_THROW(run(), DeviceLost) << operations;
    EXPECT_THROW(run(), DeviceError) << operations;
  }
}

TEST(Slabs, EndWhereTheyAreCancelledOrWatchingThrows) {
  const ProjectionPlan plan =
      make_plan({"", 0, 60, 1, 3, {4, 960, 12}, {960, 12}});  // takes longer than watching waits
  const DevicesPair pair({"emulated"}, plan, 1000000);
  const std::vector<float> pixels = noise(3 * 960 * 12, 2);
  std::vector<float> volume(4 * 960 * 12);
  CancelToken token;
  token.cancel();
  const auto run = [&](const Cpu& cpu) {
    pair.backproject(cpu, {pixels.data(), {3, 960, 12}}, {volume.data(), {4, 960, 12}});
  };
  EXPECT_THROW(run({1, &token}), Cancelled);
  EXPECT_THROW(run({1, nullptr, [] { throw std::runtime_error("interrupted"); }}), std::runtime_error);
}

TEST(DeviceTensors, GoThroughThePairWhereTheyLie) {
  for (const Case& c : kTall) {
    const ProjectionPlan plan = make_plan(c);
    const DevicesPair pair({"emulated:1"}, plan);
    const VolumeShape s = c.volume;
    const std::vector<float> voxels = noise(s.nz * s.ny * s.nx, 1);
    const std::vector<float> pixels = noise(c.tilts * c.image.height * c.image.width, 2);
    std::vector<float> back(voxels), forth(pixels);
    pair.backproject(Cpu{1}, {pixels.data(), {c.tilts, c.image.height, c.image.width}},
                     {back.data(), {s.nz, s.ny, s.nx}});
    pair.project(Cpu{1}, {voxels.data(), {s.nz, s.ny, s.nx}}, {forth.data(), {c.tilts, c.image.height, c.image.width}},
                 true);
    const DeviceTensor volume = on("emulated:1", voxels, {s.nz, s.ny, s.nx});
    const DeviceTensor images = on("emulated:1", pixels, {c.tilts, c.image.height, c.image.width});
    const View3<float> v = volume.view<float, 3>("v"), p = images.view<float, 3>("p");
    pair.first().project_there(Cpu{1}, v, p, true);
    EXPECT_LT(distance(host(images), forth), 5e-7 * norm(forth)) << c.name;
    images.write(pixels.data());
    pair.first().backproject_there(Cpu{1}, p, v);
    EXPECT_EQ(host(volume), back) << c.name;
  }
}

}  // namespace
}  // namespace cryolith
