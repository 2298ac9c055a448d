// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <vector>

#include "detect/components.hpp"
#include "detect/fill_basins.hpp"
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

Cpu with(int threads) { return Cpu{threads, nullptr, {}}; }

template <class T>
View3<T> slices(Volume<T>& v, index_t z0, index_t z1) {
  return {v.data.data() + z0 * v.ny * v.nx, {z1 - z0, v.ny, v.nx}};
}

// The sums of one pass, as bytes would be.
struct Found {
  index_t count = 0;
  std::vector<std::int32_t> labels;
  std::vector<std::int64_t> extent, moments, exits, euler;
  std::vector<double> intensity;
  bool operator==(const Found&) const = default;

  RegionColumns columns(index_t regions) {
    count = regions;
    const auto n = static_cast<std::size_t>(regions);
    extent.resize(7 * n);
    moments.resize(9 * n);
    exits.resize(16 * n);
    euler.resize(n);
    intensity.resize(5 * n);
    RegionColumns out;
    out.extent = {extent.data(), {regions, 7}};
    out.moments = {moments.data(), {regions, 9}};
    out.exits = {exits.data(), {regions, 16}};
    out.euler = {euler.data(), {regions}};
    out.intensity = {intensity.data(), {regions, 5}};
    return out;
  }
};

Found find(Volume<std::uint8_t>& mask, Volume<float>& values, int connectivity, int threads, index_t slab) {
  Components::Options options;
  options.connectivity = connectivity;
  options.wanted = {true, true, true, connectivity != 18, true};
  Components components(mask.nz, mask.ny, mask.nx, options);
  for (index_t z = 0; z < mask.nz; z += slab) {
    const index_t end = std::min(z + slab, mask.nz);
    components.add_mask(with(threads), slices(mask, z, end), slices(values, z, end));
  }
  Found out;
  RegionColumns columns = out.columns(components.finish());
  components.sums(with(threads), columns);
  out.labels.resize(mask.data.size());
  components.write(with(threads), 0, mask.nz, Element::i32, out.labels.data());
  return out;
}

TEST(Components, AreTheFloodFillForAnyThreadsAndSlabs) {
  const index_t shapes[][3] = {{1, 1, 1}, {1, 7, 64}, {5, 3, 65}, {33, 6, 70}, {66, 9, 130}};
  for (const auto& s : shapes)
    for (int connectivity : {6, 18, 26})
      for (double share : {0.0, 0.15, 0.5, 1.0}) {
        auto mask = random_mask(s[0], s[1], s[2], share, 7);
        Volume<std::int32_t> expected(s[0], s[1], s[2]);
        Volume<float> values(s[0], s[1], s[2]);
        for (std::size_t i = 0; i < values.data.size(); ++i) values.data[i] = static_cast<float>(i % 17);
        const index_t count = flood(mask, connectivity, expected);
        const Found first = find(mask, values, connectivity, 1, s[0]);
        EXPECT_EQ(first.count, count);
        EXPECT_EQ(first.labels, expected.data);
        for (int threads : {1, 3})
          for (index_t slab : {32, 64}) EXPECT_EQ(find(mask, values, connectivity, threads, slab), first);
        std::int64_t voxels = 0;
        for (index_t i = 0; i < count; ++i) voxels += first.extent[static_cast<std::size_t>(7 * i)];
        EXPECT_EQ(voxels, std::count(mask.data.begin(), mask.data.end(), 1));
      }
}

TEST(Components, AnyNonZeroByteIsForeground) {
  Volume<std::uint8_t> mask(1, 1, 19);
  for (index_t x = 0; x < 19; ++x) mask.at(0, 0, x) = static_cast<std::uint8_t>(x % 2 ? 0 : 1 << (x / 2 % 8));
  Components components(1, 1, 19, {});
  components.add_mask(with(1), mask.view(), {});
  EXPECT_EQ(components.finish(), 10);
}

TEST(Components, OfValuesAreThoseOfOneKind) {
  Volume<std::uint16_t> values(40, 6, 130);
  std::mt19937 random(5);
  std::uniform_int_distribution<int> draw(0, 2);
  for (auto& v : values.data) v = static_cast<std::uint16_t>(300 * draw(random));
  for (int connectivity : {6, 18, 26}) {
    // Each value on its own, numbered together by first voxel: counts must add up, labels never span two values.
    index_t expected = 0;
    for (const int kind : {300, 600}) {
      Volume<std::uint8_t> mask(40, 6, 130);
      for (std::size_t i = 0; i < mask.data.size(); ++i) mask.data[i] = values.data[i] == kind;
      Volume<std::int32_t> labels(40, 6, 130);
      expected += flood(mask, connectivity, labels);
    }
    Components::Options options;
    options.connectivity = connectivity;
    options.valued = true;
    options.element = Element::u16;
    Components components(40, 6, 130, options);
    for (index_t z : {index_t{0}, index_t{32}}) {
      const auto part = slices(values, z, std::min<index_t>(z + 32, 40));
      components.add_values(
          with(2), Element::u16,
          {reinterpret_cast<const char*>(part.data), {part.extent[0], part.extent[1], part.extent[2]}}, {});
    }
    EXPECT_EQ(components.finish(), expected);
    Volume<std::int32_t> labels(40, 6, 130);
    components.write(with(2), 0, 40, Element::i32, labels.data.data());
    std::vector<std::uint16_t> kind_of(static_cast<std::size_t>(expected + 1), 0);
    for (std::size_t i = 0; i < labels.data.size(); ++i) {
      auto& kind = kind_of[static_cast<std::size_t>(labels.data[i])];
      if (kind == 0) kind = values.data[i];
      EXPECT_EQ(kind, values.data[i]);
    }
  }
}

TEST(Components, KnowWhatLiesInWhat) {
  Volume<std::uint8_t> mask(9, 9, 9);
  for (index_t z = 1; z < 8; ++z)
    for (index_t y = 1; y < 8; ++y)
      for (index_t x = 1; x < 8; ++x) {
        const index_t r = std::max({std::abs(z - 4), std::abs(y - 4), std::abs(x - 4)});
        mask.at(z, y, x) = r == 3 || r == 0;
      }
  for (int connectivity : {6, 26}) {
    Components::Options options;
    options.connectivity = connectivity;
    options.nested = true;
    Components components(9, 9, 9, options);
    components.add_mask(with(1), mask.view(), {});
    ASSERT_EQ(components.finish(), 2);
    std::int32_t enclosing[2];
    std::int64_t holes[4];
    components.nesting({enclosing, {2}}, {holes, {2, 2}});
    EXPECT_EQ(enclosing[0], 0);
    EXPECT_EQ(enclosing[1], 1);
    EXPECT_EQ(holes[0], 1);
    EXPECT_EQ(holes[1], 124);  // 5^3 without the core
    EXPECT_EQ(holes[2], 0);
  }
}

TEST(Components, RefuseWhatDoesNotFit) {
  Volume<std::uint8_t> mask(40, 2, 2);
  Volume<std::uint8_t> wide(40, 2, 3);
  Components::Options eight;
  eight.connectivity = 8;
  EXPECT_THROW(Components(40, 2, 2, eight), ArgumentError);
  EXPECT_THROW(Components(0, 2, 2, {}), ArgumentError);
  Components components(40, 2, 2, {});
  EXPECT_THROW(components.add_mask(with(1), wide.view(), {}), ArgumentError);
  EXPECT_THROW(components.add_mask(with(1), slices(mask, 0, 7), {}), ArgumentError);
  EXPECT_THROW(components.finish(), ArgumentError);
  components.add_mask(with(1), mask.view(), {});
  EXPECT_THROW(components.add_mask(with(1), mask.view(), {}), ArgumentError);
  EXPECT_EQ(components.finish(), 0);
  RegionColumns none;
  EXPECT_THROW(components.sums(with(1), none), ArgumentError);
  EXPECT_THROW(components.write(with(1), 39, 2, Element::i32, nullptr), ArgumentError);
}

TEST(Components, StopWhenCancelled) {
  Volume<std::uint8_t> mask(40, 8, 8);
  CancelToken token;
  token.cancel();
  Components components(40, 8, 8, {});
  EXPECT_THROW(components.add_mask(Cpu{2, &token, {}}, mask.view(), {}), Cancelled);
}

LabelSlices labels_of(Volume<std::int32_t>& labels, index_t regions) {
  return slices_of(Element::i32, regions,
                   {reinterpret_cast<const char*>(labels.data.data()), {labels.nz, labels.ny, labels.nx}});
}

TEST(RegionSums, AreTheSameForAnyThreadsAndMeetInPairs) {
  Volume<std::int32_t> labels(37, 5, 70);
  Volume<float> values(37, 5, 70);
  std::mt19937 random(3);
  std::uniform_int_distribution<std::int32_t> draw(0, 4);
  std::normal_distribution<float> normal;
  for (auto& v : labels.data) v = draw(random);
  for (auto& v : values.data) v = normal(random);
  Found first, other;
  const Wanted wanted{true, true, true, false, true};
  for (int threads : {1, 2, 5}) {
    Found& into = threads == 1 ? first : other;
    Contacts contacts;
    RegionColumns columns = into.columns(4);
    region_sums(with(threads), labels_of(labels, 4), values.view(), wanted, columns, &contacts);
    EXPECT_EQ(contacts.sorted().size(), 6u);
    if (threads > 1) {
      EXPECT_EQ(other, first);
    }
  }
  std::int64_t voxels = 0;
  for (std::size_t i = 0; i < 4; ++i) voxels += first.extent[7 * i];
  EXPECT_EQ(voxels, std::count_if(labels.data.begin(), labels.data.end(), [](auto l) { return l > 0; }));
}

TEST(RegionSums, RefusesLabelsBeyondTheTable) {
  Volume<std::int32_t> labels(2, 2, 2);
  Found found;
  RegionColumns columns = found.columns(1);
  Wanted wanted;
  wanted.extent = true;
  for (std::int32_t wrong : {2, -1}) {
    labels.at(1, 1, 1) = wrong;
    EXPECT_THROW(region_sums(with(1), labels_of(labels, 1), {}, wanted, columns, nullptr), ArgumentError);
  }
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
