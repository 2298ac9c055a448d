// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "reconstruct/filter.hpp"
#include "reconstruct/segments.hpp"
#include "reconstruct/steps.hpp"
#include "reconstruct/variation.hpp"

namespace cryolith {
namespace {

template <class T>
View1<T> view(std::vector<std::remove_const_t<T>>& values) {
  View1<T> v;
  v.data = values.data();
  v.extent[0] = static_cast<index_t>(values.size());
  return v;
}

TEST(RowFilter, SpectrumOfOneIsTheIdentity) {
  std::mt19937 generator(3);
  std::normal_distribution<float> normal;
  for (index_t count : {1, 2, 3, 5, 7, 16, 23, 50, 61, 100}) {
    const index_t n = filter_length(count);
    std::vector<float> gains(static_cast<std::size_t>(n / 2 + 1), 1.0f / static_cast<float>(n));
    View2<const float> g;
    g.data = gains.data();
    g.extent[0] = 1;
    g.extent[1] = n / 2 + 1;
    RowFilter filter({n}, g, 1);
    std::vector<float> a(static_cast<std::size_t>(count * kLanes)), b(a.size());
    for (float& x : a) x = normal(generator);
    for (float& x : b) x = normal(generator);
    const std::vector<float> a0 = a, b0 = b;
    filter.apply(0, 0, count, a.data(), b.data());
    for (std::size_t i = 0; i < a.size(); ++i) {
      EXPECT_NEAR(a[i], a0[i], 1e-5f) << count;  // about 10 passes of a few roundings each, values to 4
      EXPECT_NEAR(b[i], b0[i], 1e-5f) << count;
    }
    filter.apply(0, 0, count, a.data(), nullptr);
    for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], a0[i], 2e-5f) << count;
  }
}

TEST(RowFilter, RefusesRowsThatWouldWrapAround) {
  std::vector<float> gains(9, 0.0625f), rows(16 * kLanes);
  View2<const float> g;
  g.data = gains.data();
  g.extent[0] = 1;
  g.extent[1] = 9;
  RowFilter filter({16}, g, 1);
  EXPECT_THROW(filter.apply(0, 0, 9, rows.data(), nullptr), ArgumentError);
  for (index_t n : {8, 14, 32, 16 * 7}) EXPECT_THROW(RowFilter({n}, g, 1), ArgumentError) << n;
}

template <class T>
View3<T> volume(std::vector<std::remove_const_t<T>>& values, index_t nz, index_t ny, index_t nx) {
  View3<T> v;
  v.data = values.data();
  v.extent[0] = nz;
  v.extent[1] = ny;
  v.extent[2] = nx;
  return v;
}

// An array of one row.
template <class T>
View3<T> row(std::vector<std::remove_const_t<T>>& values) {
  return volume<T>(values, 1, 1, static_cast<index_t>(values.size()));
}

constexpr Bounds kFree{-HUGE_VALF, HUGE_VALF};

TEST(Steps, OfTheRays) {
  std::vector<float> measured{4, 1, 2}, weights{0.5f, 0, 1}, gain{2, 2, 2}, projected{1, 7, 3};
  const ResidualSums sums = weigh_residual(Cpu{}, row<const float>(measured), row<const float>(weights),
                                           row<const float>(gain), row<float>(projected));
  EXPECT_EQ(projected, (std::vector<float>{3, 0, -2}));
  EXPECT_EQ(sums.residual.value(), 5.5);  // the ray of weight 0 is missing
  EXPECT_EQ(sums.data.value(), 12.0);
  projected = {1, 7, 3};
  weigh_residual(Cpu{}, row<const float>(measured), row<const float>(weights), {}, row<float>(projected));
  EXPECT_EQ(projected, (std::vector<float>{1.5f, 0, -1}));
  std::vector<float> earlier{0, 0, 5};
  projected = {1, 7, 3};
  const ResidualSums same = extrapolate_residual(Cpu{}, row<const float>(measured), row<const float>(weights),
                                                 row<const float>(projected), 0.5f, row<float>(earlier));
  EXPECT_EQ(same.residual.value(), 5.5);
  EXPECT_EQ(earlier, (std::vector<float>{1.25f, 0, 0}));
  projected = {0.1f, 7, 4};
  poisson_ratio(Cpu{}, row<const float>(measured), row<const float>(weights), 0.5f, row<float>(projected));
  EXPECT_EQ(projected, (std::vector<float>{4, 0, 0.5f}));
  EXPECT_EQ(weighted_square(Cpu{}, row<const float>(weights), row<const float>(measured)).value(), 12.0);
  std::vector<float> residual{3, 0, -1};
  projected = {1, 1, 1};
  EXPECT_EQ(
      subtract_projection(Cpu{}, row<const float>(weights), 1.0f, row<float>(residual), row<float>(projected)).value(),
      6.0);
  EXPECT_EQ(residual, (std::vector<float>{2, -1, -2}));
  EXPECT_EQ(projected, (std::vector<float>{1, 0, -2}));
}

TEST(Steps, OfTheVolume) {
  std::vector<float> x{1, 1, 1}, correction{-4, 2, 9}, gain{0.5f, 0.5f, 0};
  update_volume(Cpu{}, view<const float>(correction), view<const float>(gain), 1.0f, {0, 1.5f}, view<float>(x));
  EXPECT_EQ(x, (std::vector<float>{0, 1.5f, 1}));  // a voxel of weight 0 stays
  x = {2, 2, 2};
  multiply_volume(Cpu{}, view<const float>(correction), view<const float>(gain), {0.5f, 3}, view<float>(x));
  EXPECT_EQ(x, (std::vector<float>{0.5f, 2, 2}));
  std::vector<float> sums{0.4f, 0.8f, 4, -1};
  invert_sums(Cpu{}, view<float>(sums));
  EXPECT_EQ(sums, (std::vector<float>{0, 1, 0.25f, 0}));
}

TEST(Steps, OfTheGradients) {
  std::vector<float> x{0, 2, 1, 1}, descent{-1, 5, 0.5f, 2};
  EXPECT_EQ(free_descent(Cpu{}, row<const float>(x), 0.5, {0, 2}, row<float>(descent)).value(), 2.25);
  EXPECT_EQ(descent, (std::vector<float>{0, 0, 0, 1.5f}));  // on a bound, on a bound, at rest, free
  std::vector<float> direction{7, 7, 7, 1};
  const DirectionSums sums = conjugate_direction(Cpu{}, row<const float>(descent), 0.5f, row<float>(direction));
  EXPECT_EQ(direction, (std::vector<float>{0, 0, 0, 2}));
  EXPECT_EQ(sums.square.value(), 4.0);
  EXPECT_EQ(sums.slope.value(), 3.0);
  EXPECT_EQ(walk_volume(Cpu{}, row<const float>(direction), 1.0f, {0, 2}, row<float>(x)), 1);
  EXPECT_EQ(x, (std::vector<float>{0, 2, 1, 2}));
}

TEST(Variation, MovesAndFindsTheProximalMap) {
  std::vector<float> x{3, 4}, earlier{1, 6}, ahead{4, 1}, z{1, 1}, metric{2, 0.5f};
  EXPECT_EQ(uphill(Cpu{}, row<const float>(ahead), row<const float>(x), row<const float>(earlier)).value(), 8.0);
  gradient_step(Cpu{}, view<const float>(ahead), view<const float>(metric), view<float>(z));
  EXPECT_EQ(z, (std::vector<float>{6, 1.5f}));
  move_ahead(Cpu{}, 0.5f, view<const float>(x), view<float>(earlier), view<float>(ahead));
  EXPECT_EQ(ahead, (std::vector<float>{4, 3}));
  EXPECT_EQ(earlier, x);

  // Two voxels beside each other: the proximal map moves each by strength times its metric towards the other.
  std::vector<float> near{0, 10}, gain{1, 2}, dual(6), found{0, 0};
  View<float, 4> q;
  q.data = dual.data();
  q.extent[0] = 3;
  q.extent[1] = q.extent[2] = 1;
  q.extent[3] = 2;
  View<const float, 4> fixed = q;
  const Variation variation{{1, 1, 1}, 1.5f, 0.0f};
  for (int round = 0; round < 200; ++round) {
    primal_from_dual(Cpu{}, variation, volume<const float>(gain, 1, 1, 2), volume<const float>(near, 1, 1, 2), fixed,
                     kFree, volume<float>(found, 1, 1, 2));
    ascend_dual(Cpu{}, variation, volume<const float>(gain, 1, 1, 2), volume<const float>(found, 1, 1, 2), q);
  }
  EXPECT_NEAR(found[0], 1.5f, 1e-5f);
  EXPECT_NEAR(found[1], 7.0f, 1e-5f);

  std::vector<float> cube{0, 1, 0, 0, 2, 0, 0, 0}, descent(8);
  EXPECT_EQ(add_roughness(Cpu{}, 1.0, volume<const float>(cube, 2, 2, 2), volume<float>(descent, 2, 2, 2)).value(),
            15.0);
  EXPECT_EQ(descent, (std::vector<float>{3, -3, 0, 1, -6, 3, 2, 0}));
}

TEST(Steps, DoNotDependOnTheNumberOfThreads) {
  const index_t nz = 3, ny = 500, nx = 400, n = nz * ny * nx;  // three parts
  std::mt19937 generator(5);
  std::normal_distribution<float> normal;
  std::vector<float> x(static_cast<std::size_t>(n)), metric(x.size(), 0.5f);
  for (float& v : x) v = normal(generator);
  const Variation variation{{1, 1, 2}, 0.3f, 0.1f};
  std::vector<std::vector<float>> found;
  std::vector<double> sums;
  for (int threads : {1, 3}) {
    std::vector<float> dual(3 * x.size()), moved(x.size());
    View<float, 4> q;
    q.data = dual.data();
    q.extent[0] = 3;
    q.extent[1] = nz;
    q.extent[2] = ny;
    q.extent[3] = nx;
    const Cpu cpu{threads};
    ascend_dual(cpu, variation, volume<const float>(metric, nz, ny, nx), volume<const float>(x, nz, ny, nx), q);
    primal_from_dual(cpu, variation, volume<const float>(metric, nz, ny, nx), volume<const float>(x, nz, ny, nx), q,
                     kFree, volume<float>(moved, nz, ny, nx));
    const auto rows = volume<const float>(metric, nz, ny, nx);
    sums.push_back(weighted_square(cpu, rows, volume<const float>(moved, nz, ny, nx)).value());
    const auto from = volume<const float>(x, nz, ny, nx);
    sums.push_back(add_roughness(cpu, 0.1, from, volume<float>(moved, nz, ny, nx)).value());
    found.push_back(moved);
  }
  EXPECT_EQ(found[0], found[1]);
  EXPECT_EQ(sums[0], sums[2]);
  EXPECT_EQ(sums[1], sums[3]);
}

TEST(Segments, AreCutFreedAndSmoothed) {
  std::vector<float> grey{0, 0.4f, 0.6f, 3}, thresholds{0.5f, 2};
  std::vector<std::uint8_t> labels(4);
  segment(Cpu{}, view<const float>(grey), view<const float>(thresholds), view<std::uint8_t>(labels));
  EXPECT_EQ(labels, (std::vector<std::uint8_t>{0, 0, 1, 2}));
  std::vector<float> free(4), drawn(4), smoothed(4);
  free_voxels(Cpu{}, volume<const std::uint8_t>(labels, 1, 1, 4), 0.0, 0, volume<float>(free, 1, 1, 4));
  EXPECT_EQ(free, (std::vector<float>{0, 1, 1, 1}));
  free_voxels(Cpu{}, volume<const std::uint8_t>(labels, 1, 1, 4), 1.0, 0, volume<float>(drawn, 1, 1, 4));
  EXPECT_EQ(drawn, (std::vector<float>{1, 1, 1, 1}));
  smooth_free(Cpu{}, volume<const float>(grey, 1, 1, 4), volume<const float>(free, 1, 1, 4), 0.5f,
              volume<float>(smoothed, 1, 1, 4));
  EXPECT_EQ(smoothed[0], 0.0f);
  EXPECT_FLOAT_EQ(smoothed[1], 0.2f + 0.15f);
  EXPECT_FLOAT_EQ(smoothed[3], 1.5f + 0.3f);
}

}  // namespace
}  // namespace cryolith
