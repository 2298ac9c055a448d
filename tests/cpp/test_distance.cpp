// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "detect/distance.hpp"
#include "detect/local_thickness.hpp"

namespace cryolith::detect {
namespace {

struct Shape {
  index_t nz, ny, nx;
  std::size_t size() const { return static_cast<std::size_t>(nz * ny * nx); }
};

template <class T>
View3<T> view(std::vector<T>& data, Shape s) {
  return {data.data(), {s.nz, s.ny, s.nx}};
}

// Of all pairs: the definition.
template <class Value>
std::vector<double> pairs(const std::vector<Value>& values, Shape s, const DistanceOptions& options) {
  std::vector<double> out(values.size());
  const auto place = [&](std::size_t i, int axis) {
    const auto at = static_cast<index_t>(i);
    const index_t along[3] = {at / (s.nx * s.ny), at / s.nx % s.ny, at % s.nx};
    return static_cast<double>(along[axis]) * options.spacing[axis];
  };
  for (std::size_t i = 0; i < values.size(); ++i) {
    double least = std::numeric_limits<double>::infinity();
    for (std::size_t j = 0; j < values.size(); ++j) {
      if (values[j] == values[i]) continue;
      double square = 0;
      for (int axis = 0; axis < 3; ++axis) square += std::pow(place(i, axis) - place(j, axis), 2);
      least = std::min(least, square);
    }
    out[i] = values[i] != 0 ? std::sqrt(least) : options.all_labels ? -std::sqrt(least) : 0;
  }
  return out;
}

template <class Value>
void compare(Shape s, int labels, const DistanceOptions& options, unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_int_distribution<int> draw(0, 60);
  std::vector<Value> values(s.size());
  for (auto& v : values) {
    const int r = draw(random);
    v = static_cast<Value>(r < labels ? r : 1);
  }
  std::vector<float> out(s.size());
  const auto expected = pairs(values, s, options);
  for (int threads : {1, 3}) {
    distance(Cpu{threads}, View3<const Value>(view(values, s)), options, view(out, s));
    for (std::size_t i = 0; i < out.size(); ++i) {
      if (std::isinf(expected[i]))
        ASSERT_EQ(static_cast<double>(out[i]), expected[i]);
      else
        ASSERT_NEAR(static_cast<double>(out[i]), expected[i], 2.5e-7 * std::abs(expected[i])) << i;
    }
  }
}

TEST(DistanceTest, IsThatOfAllPairs) {
  const Shape shapes[] = {{1, 1, 1}, {2, 3, 70}, {35, 6, 5}, {3, 80, 4}, {1, 1, 300}, {18, 9, 17}};
  const DistanceOptions several[] = {
      {{1, 1, 1}, false, false}, {{1.3, 0.7, 0.45}, false, false}, {{3, 1, 1}, false, true}};
  for (const auto& s : shapes)
    for (const auto& options : several) {
      for (int labels : {0, 1}) compare<std::uint8_t>(s, labels, options, 1);
      for (int labels : {1, 4}) compare<std::int32_t>(s, labels, options, 2);
    }
}

TEST(DistanceTest, FarFieldsAreExact) {
  const Shape s{3, 500, 700};
  std::vector<std::uint8_t> mask(s.size(), 1);
  mask[static_cast<std::size_t>(s.ny * s.nx + 2 * s.nx + 690)] = 0;
  std::vector<float> out(s.size());
  distance(Cpu{1}, View3<const std::uint8_t>(view(mask, s)), {}, view(out, s));
  for (index_t i = 0; i < s.nz * s.ny * s.nx; ++i) {
    const index_t z = i / (s.nx * s.ny) - 1, y = i / s.nx % s.ny - 2, x = i % s.nx - 690;
    ASSERT_EQ(out[static_cast<std::size_t>(i)],
              static_cast<float>(std::sqrt(static_cast<double>(z * z + y * y + x * x))));
  }
}

TEST(DistanceTest, SlabsAreRefusedOutOfTurn) {
  const Shape s{20, 2, 3};
  std::vector<std::uint8_t> mask(s.size(), 1);
  std::vector<float> out(s.size());
  DistanceSlabs<std::uint8_t> slabs(s.nz, s.ny, s.nx, {});
  const View3<const std::uint8_t> all = view(mask, s);
  EXPECT_THROW(slabs.finish(Cpu{1}, 0, all, view(out, s)), ArgumentError);
  EXPECT_THROW(slabs.scan(Cpu{1}, 4, all), ArgumentError);
  slabs.scan(Cpu{1}, 0, all);
  slabs.finish(Cpu{1}, 0, all, view(out, s));
  EXPECT_THROW(slabs.scan(Cpu{1}, 0, all), ArgumentError);
  EXPECT_THROW((DistanceSlabs<std::uint8_t>(1, 1, 70000, {})), ArgumentError);
}

TEST(LocalThicknessTest, IsThatOfAllBalls) {
  const Shape s{9, 11, 13};
  std::mt19937 random(7);
  std::bernoulli_distribution draw(0.02);
  std::vector<std::uint8_t> mask(s.size());
  for (auto& v : mask) v = !draw(random);
  std::vector<float> depth(s.size()), found(s.size()), expected(s.size());
  distance(Cpu{1}, View3<const std::uint8_t>(view(mask, s)), {}, view(depth, s));
  for (index_t q = 0; q < static_cast<index_t>(s.size()); ++q)
    for (index_t p = 0; p < static_cast<index_t>(s.size()); ++p) {
      const index_t z = q / (s.nx * s.ny) - p / (s.nx * s.ny), y = q / s.nx % s.ny - p / s.nx % s.ny;
      const index_t x = q % s.nx - p % s.nx, square = z * z + y * y + x * x;
      const float radius = depth[static_cast<std::size_t>(q)];
      float& best = expected[static_cast<std::size_t>(p)];
      if (square < std::lround(radius * radius)) best = std::max(best, 2 * radius);
    }
  const double edges[3] = {1, 1, 1};
  for (int threads : {1, 3}) {
    local_thickness(Cpu{threads}, View3<const float>(view(depth, s)), edges, view(found, s));
    EXPECT_EQ(found, expected);
  }
  std::fill(depth.begin(), depth.end(), std::numeric_limits<float>::infinity());
  EXPECT_THROW(local_thickness(Cpu{1}, View3<const float>(view(depth, s)), edges, view(found, s)), ArgumentError);
}

}  // namespace
}  // namespace cryolith::detect
