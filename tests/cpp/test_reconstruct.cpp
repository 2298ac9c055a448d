// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "reconstruct/filter.hpp"
#include "reconstruct/sirt.hpp"

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

TEST(Sirt, StepsAreWhatTheySay) {
  std::vector<float> measured{4, 1, 2}, weights{0.5f, 0, 1}, projected{1, 7, 3};
  const ResidualSums sums =
      weigh_residual(Cpu{}, view<const float>(measured), view<const float>(weights), view<float>(projected));
  EXPECT_EQ(projected, (std::vector<float>{1.5f, 0, -1}));
  EXPECT_EQ(sums.residual, 10.0);  // the ray of weight 0 is missing
  EXPECT_EQ(sums.data, 20.0);
  std::vector<float> volume{1, 1}, correction{-4, 2}, gain{0.5f, 0.5f};
  update_volume(Cpu{}, view<const float>(correction), view<const float>(gain), 0.0f, view<float>(volume));
  EXPECT_EQ(volume, (std::vector<float>{0, 2}));
  std::vector<float> path{0.4f, 0.8f, 4, -1};
  invert_sums(Cpu{}, view<float>(path));
  EXPECT_EQ(path, (std::vector<float>{0, 1, 0.25f, 0}));
}

}  // namespace
}  // namespace cryolith
