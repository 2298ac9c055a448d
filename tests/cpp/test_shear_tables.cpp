// SPDX-License-Identifier: BSD-3-Clause
// What the device's sum is told of a shear: how often two outputs share rows, how large windows get.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <numbers>
#include <vector>

#include "projection/plan.hpp"
#include "projection/shear_tables.hpp"

namespace cryolith {
namespace {

// Of shear_sum_cuda.cuh.
constexpr ShearTile kBack{24, 8, 64, 2}, kForth{48, 8, 64, 2};
constexpr int kMost = 150;  // rows of a window for which half of the shared memory of an H100 suffices

ProjectionPlan make_plan(const std::vector<double>& degrees, VolumeShape volume) {
  std::vector<TiltPose> poses;
  for (double d : degrees) {
    const double a = d * std::numbers::pi / 180;
    poses.push_back({std::cos(a), std::sin(a), 1.0, 0.0, 0.0, 0.0, 0.0});
  }
  return ProjectionPlan(poses, volume, {volume.ny, volume.nx});
}

std::vector<double> equal_steps(int tilts, double most) {
  std::vector<double> out;
  for (int t = 0; t < tilts; ++t) out.push_back(-most + 2 * most * t / (tilts - 1));
  return out;
}

// Pairs that are 0, 1, ... kMostTogether rows apart, or more.
using Apart = std::array<double, kMostTogether + 2>;

void count_pairs(const ShearTables& tables, Apart& apart) {
  for (const ShearPairTap& tap : tables.taps) {
    const int which = tap.second & kCaseBits;
    if (which == kNothing) continue;
    apart[static_cast<std::size_t>(which == kApart ? kMostTogether + 1 : std::abs(which - kMostTogether))] += 1;
  }
}
Apart shares(Apart counts) {
  double sum = 0;
  for (double c : counts) sum += c;
  for (double& c : counts) c /= sum;
  return counts;
}
void expect_near(const Apart& found, const Apart& wanted) {
  for (std::size_t d = 0; d < found.size(); ++d) EXPECT_NEAR(found[d], wanted[d], 0.002) << d << " rows apart";
}

// The mix that tools/kernel_bound.py weighs its cases with, as it prints it.
TEST(ShearTables, HaveTheMixThatTheBoundAssumes) {
  const ProjectionPlan plan = make_plan(equal_steps(41, 60), {1024, 1, 1024});
  Apart back{}, forward{};
  for (const Bank* bank : {&plan.shallow(), &plan.steep()}) {
    count_pairs(backproject_tables(plan, *bank, kBack), back);
    for (const ShearTables& t : project_chunks(plan, *bank, kForth, kMost)) count_pairs(t, forward);
  }
  expect_near(shares(back), {0.458, 0.525, 0.017, 0, 0, 0, 0});
  expect_near(shares(forward), {0.236, 0.196, 0.198, 0.179, 0.107, 0.048, 0.035});
}

// In whatever order tilts were taken, neighbours among the outputs are neighbours in angle.
TEST(ShearTables, OfProjectionSortTilts) {
  std::vector<double> by_dose;
  for (int t = 0; t < 17; ++t) by_dose.push_back(3 * ((t + 1) / 2) * (t % 2 == 0 ? 1 : -1));
  const ProjectionPlan sorted = make_plan(equal_steps(17, 24), {128, 1, 128}),
                       taken = make_plan(by_dose, {128, 1, 128});
  Apart of_sorted{}, of_taken{};
  for (const ShearTables& t : project_chunks(sorted, sorted.shallow(), kForth, kMost)) count_pairs(t, of_sorted);
  for (const ShearTables& t : project_chunks(taken, taken.shallow(), kForth, kMost)) count_pairs(t, of_taken);
  EXPECT_EQ(of_sorted, of_taken);
}

// Two or three stages of the largest windows fit into what every card has, 64 KiB: banks hold slopes up to 1.3 only.
TEST(ShearTables, OfBackprojectionHaveWindowsForEveryCard) {
  const ProjectionPlan plan = make_plan({-89, -52.4, -52, 0, 52.4, 52.5, 70, 89}, {200, 1, 300});
  for (const Bank* bank : {&plan.shallow(), &plan.steep()})
    EXPECT_LE(backproject_tables(plan, *bank, kBack).window_rows, 24 + 1 + 7 * ProjectionPlan::kSteepTangent + 1);
}

// Groups of tilts that lie close together in angle need fewer rows than all tilts.
TEST(ShearTables, OfProjectionAskForTheRowsOfEachGroup) {
  const ProjectionPlan plan = make_plan(equal_steps(24, 50), {128, 1, 480});
  const ShearTables tables = project_tables(plan, plan.shallow(), kForth, {0, 128});
  ASSERT_EQ(tables.groups.size(), 3u);
  const auto [steep, flat, other] = std::array{tables.groups[0], tables.groups[1], tables.groups[2]};
  EXPECT_LT(flat.row_tiles, steep.row_tiles);
  EXPECT_EQ(steep.row_tiles, tables.most_row_tiles());
  EXPECT_EQ(other.row_tiles, steep.row_tiles);
  EXPECT_EQ(flat.row_tiles,
            (480 - 2 * flat.first_row) / 48 + 1);  // rows of the line and what it is moved by either way
}

// Those of projection grow with the chunk, which shrinks where there is less room.
TEST(ShearTables, OfProjectionFitIntoTheRoomThereIs) {
  const ProjectionPlan plan = make_plan(equal_steps(8, 52), {200, 1, 100});
  const Bank& bank = plan.shallow();
  index_t before = 0;
  for (int most : {kMost, 100, 75, 55}) {
    const auto chunks = project_chunks(plan, bank, kForth, most);
    index_t lines = 0;
    for (const ShearTables& t : chunks) {
      EXPECT_LE(t.window_rows, most);
      lines += t.inputs;
    }
    EXPECT_EQ(lines, bank.across);
    EXPECT_GT(std::ssize(chunks), before);
    before = std::ssize(chunks);
  }
  EXPECT_EQ(project_chunks(plan, bank, kForth, 1).size(), 200u);  // one line each: no window is smaller
}

}  // namespace
}  // namespace cryolith
