// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "detect/distance.hpp"
#include "detect/flow.hpp"
#include "detect/geodesic.hpp"
#include "detect/neighbourhood.hpp"
#include "detect/skeleton.hpp"
#include "detect/split_pores.hpp"
#include "detect/trace_branches.hpp"

namespace cryolith::detect {
namespace {

constexpr double kCubes[3] = {1, 1, 1};

struct Volume {
  index_t nz, ny, nx;
  std::vector<std::uint8_t> mask;
  std::vector<float> distance;

  Volume(index_t z, index_t y, index_t x)
      : nz(z), ny(y), nx(x), mask(static_cast<std::size_t>(z * y * x)), distance(mask.size()) {}
  std::uint8_t& at(index_t z, index_t y, index_t x) { return mask[static_cast<std::size_t>((z * ny + y) * nx + x)]; }
  View3<std::uint8_t> view() { return {mask.data(), {nz, ny, nx}}; }
  View3<float> depth() { return {distance.data(), {nz, ny, nx}}; }
  void measure() { cryolith::detect::distance<std::uint8_t>(Cpu{1}, view(), DistanceOptions{}, depth()); }
};

Volume noise(index_t edge, unsigned share, unsigned seed) {
  Volume out(edge, edge, edge);
  std::mt19937 random(seed);
  for (auto& voxel : out.mask) voxel = random() % 100 < share;
  out.mask[0] = 0;
  out.measure();
  return out;
}

TEST(NeighbourhoodTest, IsSimpleWhereOnePieceLiesInsideAndOneOutside) {
  EXPECT_FALSE(is_simple(kCentre));                            // a single voxel
  EXPECT_FALSE(is_simple(kAll));                               // a cavity would open
  EXPECT_TRUE(is_simple(kCentre | (1u << 12)));                // the end of a line
  EXPECT_FALSE(is_simple(kCentre | (1u << 12) | (1u << 14)));  // amid a line
  EXPECT_TRUE(is_simple(kAll & ~(1u << 4)));                   // in a surface
  EXPECT_FALSE(is_simple(kAll & ~(1u << 4) & ~(1u << 22)));    // a tunnel would open
}

TEST(SkeletonTest, OfABarIsItsAxis) {
  Volume bar(7, 7, 21);
  for (index_t z = 2; z < 5; ++z)
    for (index_t y = 2; y < 5; ++y)
      for (index_t x = 2; x < 19; ++x) bar.at(z, y, x) = 1;
  bar.measure();
  thin(Cpu{1}, bar.depth(), kCubes, bar.view());
  for (index_t x = 4; x < 17; ++x) EXPECT_EQ(bar.at(3, 3, x), 1);
  EXPECT_LE(std::count(bar.mask.begin(), bar.mask.end(), 1), 17);
  const BranchTrace trace = trace_branches(bar.view());
  EXPECT_EQ(trace.start.size(), 1u);
  EXPECT_EQ(trace.node_first.size(), 3u);
}

TEST(SkeletonTest, OfNoiseIsThinEverywhere) {
  Volume volume = noise(19, 40, 7);
  const std::vector<std::uint8_t> before = volume.mask;
  thin(Cpu{1}, volume.depth(), kCubes, volume.view());
  BitCube left(volume.view().extent);
  for (index_t z = 0; z < 19; ++z)
    for (index_t y = 0; y < 19; ++y)
      for (index_t x = 0; x < 19; ++x)
        if (volume.at(z, y, x)) left.set(z, y, x);
  for (std::size_t i = 0; i < before.size(); ++i) EXPECT_LE(volume.mask[i], before[i]);
  for (index_t z = 0; z < 19; ++z)
    for (index_t y = 0; y < 19; ++y)
      for (index_t x = 0; x < 19; ++x)
        if (volume.at(z, y, x)) {
          const Cube around = left.around(z, y, x);
          EXPECT_TRUE(is_end(around) || !is_simple(around));
        }
}

TEST(TraceTest, FindsTheArmsOfAStarAndALoop) {
  Volume star(3, 15, 15);
  for (index_t i = 1; i < 8; ++i) star.at(1, 7, i) = star.at(1, i, 7) = 1;
  for (index_t i = 7; i < 14; ++i) star.at(1, 7, i) = 1;
  const BranchTrace arms = trace_branches(star.view());
  EXPECT_EQ(arms.start.size(), 3u);
  EXPECT_EQ(arms.node_first.size(), 5u);
  Volume loop(1, 6, 6);
  for (index_t i = 2; i < 4; ++i) loop.at(0, 1, i) = loop.at(0, 4, i) = loop.at(0, i, 1) = loop.at(0, i, 4) = 1;
  const BranchTrace ring = trace_branches(loop.view());
  ASSERT_EQ(ring.start.size(), 1u);
  EXPECT_EQ(ring.start[0], ring.end[0]);
  EXPECT_EQ(ring.places.size(), 9u);
  EXPECT_EQ(ring.places.front(), ring.places.back());
}

TEST(SplitTest, PartsTwoBallsAtTheirNeck) {
  Volume volume(15, 15, 28);
  for (index_t z = 0; z < 15; ++z)
    for (index_t y = 0; y < 15; ++y)
      for (index_t x = 0; x < 28; ++x)
        for (index_t middle : {8, 19})
          if ((z - 7) * (z - 7) + (y - 7) * (y - 7) + (x - middle) * (x - middle) <= 40) volume.at(z, y, x) = 1;
  volume.measure();
  std::vector<std::int32_t> labels(volume.mask.size(), 9);
  const View3<std::int32_t> to{labels.data(), {15, 15, 28}};
  const auto peaks = split_pores(Cpu{1}, volume.depth(), volume.view(), 0.5, 0.1, to);
  ASSERT_EQ(peaks.size(), 2u);
  for (index_t i = 0; i < volume.view().size(); ++i) {
    const auto k = static_cast<std::size_t>(i);
    if (volume.mask[k] == 0) {
      EXPECT_EQ(labels[k], 0);
    }
    if (volume.mask[k] != 0 && i % 28 != 13 && i % 28 != 14) {
      EXPECT_EQ(labels[k], i % 28 < 14 ? 1 : 2);
    }
  }
  EXPECT_EQ(split_pores(Cpu{1}, volume.depth(), volume.view(), 0.5, 0.9, to).size(), 1u);
}

TEST(GeodesicTest, LeadsRoundAWall) {
  Volume volume(1, 9, 9);
  std::fill(volume.mask.begin(), volume.mask.end(), std::uint8_t{1});
  for (index_t y = 0; y < 8; ++y) volume.at(0, y, 4) = 0;
  std::fill(volume.distance.begin(), volume.distance.end(), std::numeric_limits<float>::infinity());
  volume.distance[0] = 0;
  const double edges[3] = {1, 2, 1};
  geodesic(Cpu{1}, volume.view(), edges, volume.depth());
  EXPECT_EQ(volume.distance[3], 3.0f);
  EXPECT_EQ(volume.distance[8 * 9], 16.0f);
  EXPECT_TRUE(std::isinf(volume.distance[4]));
  EXPECT_GT(volume.distance[8], 32.0f);
  EXPECT_LT(volume.distance[8], 40.0f);
}

TEST(FlowTest, OfAnEmptyVolumeIsKnownAndAtRest) {
  Volume volume(5, 6, 7);
  std::fill(volume.mask.begin(), volume.mask.end(), std::uint8_t{1});
  const double bonds[3] = {0.3, 0.7, 1.1};
  for (int axis = 0; axis < 3; ++axis) {
    Flow flow(Cpu{1}, volume.view(), axis, bonds);
    const double n = static_cast<double>(volume.view().extent[axis]);
    EXPECT_NEAR(flow.dissipation(), bonds[axis] * 210 / (n * n), 1e-12);
    EXPECT_LT(flow.step(Cpu{1}), 1e-24);
  }
}

TEST(FlowTest, IsTheSameForAnyNumberOfThreadsAndComesToRest) {
  Volume volume = noise(36, 75, 3);
  Flow one(Cpu{1}, volume.view(), 1, kCubes), three(Cpu{3}, volume.view(), 1, kCubes);
  double last = 1;
  for (int step = 0; step < 40; ++step) {
    last = one.step(Cpu{1});
    EXPECT_EQ(last, three.step(Cpu{3}));
  }
  EXPECT_EQ(one.dissipation(), three.dissipation());
  EXPECT_LT(last, 1e-10 * one.dissipation());
}

}  // namespace
}  // namespace cryolith::detect
