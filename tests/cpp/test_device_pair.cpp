// SPDX-License-Identifier: BSD-3-Clause
// The projector pair as CUDA runs it, in the emulation, against the CPU's.
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <random>
#include <string>
#include <vector>

#include "cuda/emulate.hpp"
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
  const auto pair = emulated::make_device_pair(plan);
  backproject(cpu, plan, images, {back.data(), {s.nz, s.ny, s.nx}});
  pair->backproject(cpu, images, {device_back.data(), {s.nz, s.ny, s.nx}});
  EXPECT_LT(distance(device_back, back), 5e-7 * norm(back));
  project(cpu, plan, volume, {forth.data(), {c.tilts, c.image.height, c.image.width}}, false);
  pair->project(cpu, volume, {device_forth.data(), {c.tilts, c.image.height, c.image.width}}, false);
  EXPECT_LT(distance(device_forth, forth), 5e-7 * norm(forth));

  double left = 0, right = 0;
  for (std::size_t i = 0; i < pixels.size(); ++i) left += static_cast<double>(device_forth[i]) * pixels[i];
  for (std::size_t i = 0; i < voxels.size(); ++i) right += static_cast<double>(device_back[i]) * voxels[i];
  EXPECT_NEAR(left, right, 1e-6 * norm(device_back) * norm(voxels));

  std::vector<float> twice(device_forth);
  pair->project(cpu, volume, {twice.data(), {c.tilts, c.image.height, c.image.width}}, true);
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

// Each barrier and wait of the pair's kernels in turn: without it, the emulation has to notice.
TEST(DevicePairWaits, AreAllNeeded) {
  const Case c{"", 3, 60, 1, 5, {12, 70, 40}, {72, 44}};
  const ProjectionPlan plan = make_plan(c);
  const auto pair = emulated::make_device_pair(plan);
  std::vector<float> volume = noise(12 * 70 * 40, 1), images = noise(5 * 72 * 44, 2);
  const View3<float> v{volume.data(), {12, 70, 40}}, p{images.data(), {5, 72, 44}};
  const auto both = [&] {
    pair->backproject(Cpu{1}, p, v);
    pair->project(Cpu{1}, v, p, false);
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

}  // namespace
}  // namespace cryolith
