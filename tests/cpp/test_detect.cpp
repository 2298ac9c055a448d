// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <random>
#include <vector>

#include "detect/fill_basins.hpp"
#include "detect/label.hpp"
#include "detect/region_sums.hpp"

namespace cryolith::detect {
namespace {

template <class T>
struct Volume {
  index_t nz, ny, nx;
  std::vector<T> data;
  Volume(index_t z, index_t y, index_t x) : nz(z), ny(y), nx(x), data(static_cast<std::size_t>(z * y * x)) {}
  T& at(index_t z, index_t y, index_t x) { return data[static_cast<std::size_t>((z * ny + y) * nx + x)]; }
  View3<T> view() { return {data.data(), {nz, ny, nx}}; }
};

Volume<std::uint8_t> random_mask(index_t z, index_t y, index_t x, double share, unsigned seed) {
  std::mt19937 random(seed);
  std::bernoulli_distribution draw(share);
  Volume<std::uint8_t> mask(z, y, x);
  for (auto& v : mask.data) v = draw(random);
  return mask;
}

// Flood fill in raster order: the definition.
index_t flood(Volume<std::uint8_t>& mask, int connectivity, Volume<std::int32_t>& labels) {
  const int reach = connectivity == 6 ? 1 : connectivity == 18 ? 2 : 3;
  index_t count = 0;
  std::vector<std::array<index_t, 3>> front;
  auto visit = [&](index_t z, index_t y, index_t x) {
    if (!mask.at(z, y, x) || labels.at(z, y, x)) return;
    labels.at(z, y, x) = static_cast<std::int32_t>(count);
    front.push_back({z, y, x});
  };
  for (index_t z = 0; z < mask.nz; ++z)
    for (index_t y = 0; y < mask.ny; ++y)
      for (index_t x = 0; x < mask.nx; ++x) {
        if (!mask.at(z, y, x) || labels.at(z, y, x)) continue;
        ++count;
        visit(z, y, x);
        while (!front.empty()) {
          const auto [a, b, c] = front.back();
          front.pop_back();
          for (index_t i = std::max<index_t>(a - 1, 0); i <= std::min(a + 1, mask.nz - 1); ++i)
            for (index_t j = std::max<index_t>(b - 1, 0); j <= std::min(b + 1, mask.ny - 1); ++j)
              for (index_t k = std::max<index_t>(c - 1, 0); k <= std::min(c + 1, mask.nx - 1); ++k)
                if ((i != a) + (j != b) + (k != c) <= reach) visit(i, j, k);
        }
      }
  return count;
}

TEST(Label, EqualsTheFloodFillForAnyThreads) {
  const index_t shapes[][3] = {{1, 1, 1}, {1, 7, 64}, {5, 3, 65}, {33, 6, 70}, {66, 9, 130}};
  for (const auto& s : shapes)
    for (int connectivity : {6, 18, 26})
      for (double share : {0.0, 0.15, 0.5, 1.0}) {
        auto mask = random_mask(s[0], s[1], s[2], share, 7);
        Volume<std::int32_t> expected(s[0], s[1], s[2]), found(s[0], s[1], s[2]);
        const index_t count = flood(mask, connectivity, expected);
        for (int threads : {1, 3}) {
          EXPECT_EQ(label(Cpu{threads, nullptr, {}}, mask.view(), connectivity, found.view()), count);
          EXPECT_EQ(found.data, expected.data);
        }
      }
}

TEST(Label, AnyNonZeroByteIsForeground) {
  Volume<std::uint8_t> mask(1, 1, 19);
  for (index_t x = 0; x < 19; ++x) mask.at(0, 0, x) = static_cast<std::uint8_t>(x % 2 ? 0 : 1 << (x / 2 % 8));
  Volume<std::int32_t> labels(1, 1, 19);
  EXPECT_EQ(label(Cpu{1, nullptr, {}}, mask.view(), 26, labels.view()), 10);
}

TEST(Label, RefusesWhatDoesNotFit) {
  Volume<std::uint8_t> mask(2, 2, 2);
  Volume<std::int32_t> labels(2, 2, 2), other(2, 2, 3);
  EXPECT_THROW(label(Cpu{}, mask.view(), 8, labels.view()), ArgumentError);
  EXPECT_THROW(label(Cpu{}, mask.view(), 6, other.view()), ArgumentError);
}

TEST(Label, StopsWhenCancelled) {
  Volume<std::uint8_t> mask(40, 8, 8);
  Volume<std::int32_t> labels(40, 8, 8);
  CancelToken token;
  token.cancel();
  EXPECT_THROW(label(Cpu{2, &token, {}}, mask.view(), 6, labels.view()), Cancelled);
}

TEST(RegionSums, AddUpToTheWholeAndAreTheSameForAnyThreads) {
  Volume<std::int32_t> labels(37, 5, 70);
  Volume<float> values(37, 5, 70);
  std::mt19937 random(3);
  std::uniform_int_distribution<std::int32_t> draw(0, 4);
  std::normal_distribution<float> normal;
  for (auto& v : labels.data) v = draw(random);
  for (auto& v : values.data) v = normal(random);
  std::vector<std::int64_t> first(4 * kSumColumns), sums(4 * kSumColumns);
  std::vector<double> first_values(4 * kIntensityColumns), moments(4 * kIntensityColumns);
  for (int threads : {1, 2, 5}) {
    auto& into = threads == 1 ? first : sums;
    auto& into_values = threads == 1 ? first_values : moments;
    region_sums(Cpu{threads, nullptr, {}}, labels.view(), values.view(), 0.5, {into.data(), {4, kSumColumns}},
                {into_values.data(), {4, kIntensityColumns}});
    if (threads > 1) {
      EXPECT_EQ(sums, first);
      EXPECT_EQ(moments, first_values);
    }
  }
  std::int64_t voxels = 0;
  for (int i = 0; i < 4; ++i) voxels += first[static_cast<std::size_t>(i * kSumColumns + kVoxels)];
  EXPECT_EQ(voxels, std::count_if(labels.data.begin(), labels.data.end(), [](auto l) { return l > 0; }));
}

TEST(RegionSums, RefusesLabelsBeyondTheTable) {
  Volume<std::int32_t> labels(2, 2, 2);
  labels.at(1, 1, 1) = 2;
  std::vector<std::int64_t> sums(kSumColumns);
  std::vector<double> moments(kIntensityColumns);
  const View2<std::int64_t> out{sums.data(), {1, kSumColumns}};
  const View2<double> out_values{moments.data(), {1, kIntensityColumns}};
  EXPECT_THROW(region_sums(Cpu{}, labels.view(), {}, 0.0, out, out_values), ArgumentError);
  labels.at(1, 1, 1) = -1;
  EXPECT_THROW(region_sums(Cpu{}, labels.view(), {}, 0.0, out, out_values), ArgumentError);
}

TEST(FillBasins, FillsACupToItsLowestRim) {
  Volume<float> values(5, 5, 5), filled(5, 5, 5);
  Volume<std::uint8_t> outlet(5, 5, 5);
  std::fill(values.data.begin(), values.data.end(), 3.0f);
  values.at(2, 2, 2) = -1.0f;
  values.at(2, 2, 3) = 1.0f;  // inside the cup
  values.at(2, 1, 2) = 2.0f;  // its rim, one step from the face
  values.at(2, 0, 2) = 0.0f;
  fill_basins(Cpu{1, nullptr, {}}, values.view(), outlet.view(), filled.view());
  EXPECT_EQ(filled.at(2, 2, 2), 2.0f);
  EXPECT_EQ(filled.at(2, 2, 3), 2.0f);
  EXPECT_EQ(filled.at(2, 1, 2), 2.0f);
  outlet.at(2, 2, 3) = 1;
  fill_basins(Cpu{1, nullptr, {}}, values.view(), outlet.view(), filled.view());
  EXPECT_EQ(filled.at(2, 2, 2), 1.0f);
}

TEST(FillBasins, AVoxelAloneKeepsItsValue) {
  Volume<float> values(1, 1, 1), filled(1, 1, 1);
  Volume<std::uint8_t> outlet(1, 1, 1);
  values.at(0, 0, 0) = 4.0f;
  fill_basins(Cpu{1, nullptr, {}}, values.view(), outlet.view(), filled.view());
  EXPECT_EQ(filled.at(0, 0, 0), 4.0f);
}

}  // namespace
}  // namespace cryolith::detect
