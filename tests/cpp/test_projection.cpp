// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "arrays.hpp"
#include "projection/backproject.hpp"
#include "projection/missing.hpp"
#include "projection/project.hpp"

namespace cryolith {
namespace {

TiltPose pose(double tilt_deg, double axis_deg, double shift, double scale = 1.0) {
  const double t = tilt_deg * std::numbers::pi / 180.0, a = axis_deg * std::numbers::pi / 180.0;
  return {std::cos(t), std::sin(t), std::cos(a), std::sin(a), shift, -shift, 0.5 * shift, scale};
}

struct Case {
  std::vector<TiltPose> tilts;
  VolumeShape volume;
  ImageShape image;
};

std::vector<Case> cases() {
  return {
      {{pose(0, 0, 0)}, {1, 1, 1}, {1, 1}},
      {{pose(0, 0, 0), pose(90, 0, 0), pose(-90, 90, 1.5)}, {13, 9, 17}, {11, 15}},
      {{pose(-60, 3, 0.3), pose(44.9, 3, -0.7), pose(45.1, 3, 2), pose(150, 3, 0)}, {40, 17, 33}, {21, 50}},
      {{pose(20, 90, 0), pose(70, 87.2, 4)}, {25, 31, 100}, {64, 33}},
      {{pose(10, 45, 500)}, {8, 8, 8}, {8, 8}},                                   // shifted out of the image
      {{pose(-50, 0, 0.3, 0.25), pose(0, 33, 1, 0.05)}, {40, 24, 40}, {20, 20}},  // many samples a pixel
  };
}

TEST(Projection, PairIsAdjointAndIndependentOfThreads) {
  for (const Case& c : cases()) {
    const ProjectionPlan plan(c.tilts, c.volume, c.image);
    Array3 x(c.volume.nz, c.volume.ny, c.volume.nx), y(plan.tilts(), c.image.height, c.image.width);
    Array3 ax = y, again = y, aty = x, aty_again = x;
    x.fill(1);
    y.fill(2);
    project(Cpu{1, nullptr, {}}, plan, x.view(), ax.view());
    project(Cpu{3, nullptr, {}}, plan, x.view(), again.view());
    backproject(Cpu{1, nullptr, {}}, plan, y.view(), aty.view());
    backproject(Cpu{3, nullptr, {}}, plan, y.view(), aty_again.view());
    EXPECT_EQ(ax.values, again.values);
    EXPECT_EQ(aty.values, aty_again.values);
    const double scale = std::sqrt(dot(ax, ax) * dot(y, y)) + std::sqrt(dot(x, x) * dot(aty, aty));
    EXPECT_LE(std::abs(dot(ax, y) - dot(x, aty)), 1e-6 * scale);
  }
}

TEST(Projection, UntiltedSlabIsSummed) {
  const ProjectionPlan plan({pose(0, 0, 0)}, {5, 8, 8}, {8, 8});
  Array3 x(5, 8, 8), y(1, 8, 8);
  std::fill(x.values.begin(), x.values.end(), 2.0f);
  project(Cpu{}, plan, x.view(), y.view());
  for (float v : y.values) EXPECT_EQ(v, 10.0f);
}

TEST(Projection, TouchingRangeHoldsEverySampleWithATap) {
  const ProjectionPlan plan({pose(30, 40, 3)}, {12, 20, 24}, {16, 18});
  for (index_t block = 0; block < plan.blocks(); ++block) {
    const SampleGrid g = plan.grid(0, block);
    const Range range = plan.samples(0, block);
    for (index_t i = 0; i < plan.row_count(0); ++i)
      for (index_t lane = 0; lane < plan.lanes(block); ++lane) {
        const index_t row = (g.row.start + i * g.row.step + lane * g.row.lane) >> kPositionBits;
        const index_t column = (g.column.start + i * g.column.step + lane * g.column.lane) >> kPositionBits;
        const bool touches = row + 4 >= 0 && row - 3 < 16 && column + 4 >= 0 && column - 3 < 18;
        EXPECT_TRUE(!touches || (i >= range.begin && i < range.end)) << i << " " << lane;
      }
  }
}

TEST(Projection, MissingPixelsAreCounted) {
  std::vector<float> pixels(3 << 20, 1.0f);
  pixels[5] = std::nanf("");
  pixels[2 << 20] = -INFINITY;
  View1<const float> view;
  view.data = pixels.data();
  view.extent[0] = static_cast<index_t>(pixels.size());
  EXPECT_EQ(count_missing(Cpu{2, nullptr, {}}, view), 2);
}

TEST(Projection, RefusesImpossibleShapes) {
  EXPECT_THROW(ProjectionPlan({}, {1, 1, 1}, {1, 1}), ArgumentError);
  EXPECT_THROW(ProjectionPlan({pose(0, 0, 0)}, {0, 1, 1}, {1, 1}), ArgumentError);
  EXPECT_THROW(ProjectionPlan({pose(0, 0, 0)}, {1, 1, index_t{1} << 40}, {1, 1}), ArgumentError);
}

TEST(Projection, CancelStopsTheWork) {
  CancelToken token;
  token.cancel();
  const ProjectionPlan plan({pose(0, 0, 0)}, {2, 8, 8}, {8, 8});
  Array3 x(2, 8, 8), y(1, 8, 8);
  EXPECT_THROW(project(Cpu{1, &token, {}}, plan, x.view(), y.view()), Cancelled);
}

}  // namespace
}  // namespace cryolith
