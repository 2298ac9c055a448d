// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "arrays.hpp"
#include "core/error.hpp"
#include "projection/free_plan.hpp"
#include "projection/warp_sum.hpp"
#include "reconstruct/overlap.hpp"

namespace cryolith {
namespace {

double radians(double degrees) { return degrees * std::numbers::pi / 180.0; }

// x-tilt, then tilt, then in-plane rotation, as docs/conventions.md.
FreePose pose(double x_deg, double y_deg, double z_deg, double scale, double shift) {
  const double ca = std::cos(radians(x_deg)), sa = std::sin(radians(x_deg));
  const double ct = std::cos(radians(y_deg)), st = std::sin(radians(y_deg));
  const double cp = scale * std::cos(radians(z_deg)), sp = scale * std::sin(radians(z_deg));
  const double u[3] = {st * ca, st * sa, ct}, v[3] = {-sa, ca, 0.0};  // of (z, y, x)
  FreePose out{{}, {}, shift, -0.5 * shift};
  for (std::size_t i = 0; i < 3; ++i) {
    out.row[i] = u[i] * sp + v[i] * cp;
    out.column[i] = u[i] * cp - v[i] * sp;
  }
  return out;
}

struct Case {
  std::vector<FreePose> views;
  VolumeShape volume;
  ImageShape image;
};

std::vector<Case> cases() {
  return {
      {{pose(0, 0, 0, 1, 0)}, {1, 1, 1}, {1, 1}},
      {{pose(90, 0, 0, 1, 0), pose(0, 90, 45, 1, 0.5), pose(3, -60, 10, 1, 2)}, {13, 9, 17}, {11, 15}},
      {{pose(10, 20, 30, 1, 0.3), pose(-75, 5, 3, 0.7, 0), pose(20, 75, -80, 1.25, 1)}, {40, 37, 70}, {31, 50}},
      {{pose(54, 12, 170, 1, 400)}, {8, 8, 8}, {8, 8}},  // shifted out of the image
  };
}

TEST(FreeProjection, PairIsAdjointAndIndependentOfThreads) {
  for (const Case& c : cases()) {
    const FreePlan plan(c.views, c.volume, c.image);
    Array3 x(c.volume.nz, c.volume.ny, c.volume.nx), y(plan.views(), c.image.height, c.image.width);
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

TEST(FreeProjection, UntiltedSlabIsSummed) {
  const FreePlan plan({pose(0, 0, 0, 1, 0)}, {5, 8, 8}, {8, 8});
  Array3 x(5, 8, 8), y(1, 8, 8);
  std::fill(x.values.begin(), x.values.end(), 2.0f);
  project(Cpu{}, plan, x.view(), y.view());
  for (float v : y.values) EXPECT_EQ(v, 10.0f);
}

TEST(FreeProjection, RefusesWhatIsNoPose) {
  EXPECT_THROW(FreePlan({}, {1, 1, 1}, {1, 1}), ArgumentError);
  EXPECT_THROW(FreePlan({pose(0, 0, 0, 1, 0)}, {0, 1, 1}, {1, 1}), ArgumentError);
  EXPECT_THROW(FreePlan({pose(0, 0, 0, 2, 0)}, {1, 1, 1}, {1, 1}), ArgumentError);
  FreePose sheared = pose(10, 20, 30, 1, 0);
  sheared.row[1] += 0.1;
  EXPECT_THROW(FreePlan({sheared}, {1, 1, 1}, {1, 1}), ArgumentError);
}

TEST(FreeProjection, CancelStopsTheWork) {
  CancelToken token;
  token.cancel();
  const FreePlan plan({pose(10, 0, 0, 1, 0)}, {2, 8, 8}, {8, 8});
  Array3 x(2, 8, 8), y(1, 8, 8);
  EXPECT_THROW(project(Cpu{1, &token, {}}, plan, x.view(), y.view()), Cancelled);
  EXPECT_THROW(backproject(Cpu{1, &token, {}}, plan, y.view(), x.view()), Cancelled);
}

TEST(FreeProjection, TransposesAndSpreads) {
  Array3 from(1, 19, 21), to(1, 21, 19), rows(1, 3, 64);
  from.fill(3);
  CRYOLITH_SELECT(transpose)(from.values.data(), 21, 19, 21, to.values.data(), 19, false);
  CRYOLITH_SELECT(transpose)(from.values.data(), 21, 19, 21, to.values.data(), 19, true);
  for (std::size_t r = 0; r < 19; ++r)
    for (std::size_t c = 0; c < 21; ++c) EXPECT_EQ(to.values[c * 19 + r], 2.0f * from.values[r * 21 + c]);
  Buffer<float> spread_to(3 * spread_stride(40));
  rows.fill(4);
  CRYOLITH_SELECT(spread_rows)(rows.values.data(), 64, 3, 40, spread_to.data(), spread_stride(40));
  for (index_t r = 0; r < 3; ++r)
    for (index_t lane = 0; lane < 40; ++lane)
      for (index_t next = 0; next < 9 - lane % 8; ++next)
        EXPECT_EQ(spread_to[r * spread_stride(40) + spread(lane) + next],
                  rows.values[static_cast<std::size_t>(r * 64 + lane + next)]);
}

TEST(Overlap, EqualsItsDefinition) {
  const std::vector<double> slope = {0, 0, 7, -3, 40, 9, 0, 25}, length = {30, 12, 50, 26};
  const index_t rows = 12, columns = 15;
  Array3 out(1, rows, columns / 2 + 1);
  overlap_weights(Cpu{2, nullptr, {}}, {slope.data(), {4, 2}}, {length.data(), {4}}, columns,
                  {out.values.data(), {rows, columns / 2 + 1}});
  for (index_t r = 0; r < rows; ++r)
    for (index_t c = 0; c <= columns / 2; ++c) {
      const double fr = static_cast<double>(2 * r > rows ? r - rows : r) / static_cast<double>(rows);
      const double fc = static_cast<double>(c) / static_cast<double>(columns);
      double sum = 0.0;
      for (std::size_t j = 0; j < 4; ++j)
        sum += length[j] * std::max(0.0, 1.0 - std::abs(slope[2 * j] * fr + slope[2 * j + 1] * fc));
      EXPECT_NEAR(out.values[static_cast<std::size_t>(r * (columns / 2 + 1) + c)], sum, 1e-4);
    }
}

}  // namespace
}  // namespace cryolith
