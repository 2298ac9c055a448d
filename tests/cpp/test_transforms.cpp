// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <vector>

#include "align/warp.hpp"

namespace {

using namespace cryolith;

float wave(double z, double y, double x) {
  return static_cast<float>(std::sin(0.3 * z + 0.2) * std::cos(0.4 * y) + 0.2 * x);
}

std::vector<float> volume(index_t n) {
  std::vector<float> out;
  for (index_t z = 0; z < n; ++z)
    for (index_t y = 0; y < n; ++y)
      for (index_t x = 0; x < n; ++x)
        out.push_back(wave(static_cast<double>(z), static_cast<double>(y), static_cast<double>(x)));
  return out;
}

TEST(Warp, UnityCopiesAndShiftsMoveWhateverTheThreads) {
  const index_t n = 21;
  const std::vector<float> in = volume(n);
  std::vector<float> out(in.size()), again(in.size());
  double map[12] = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0};
  const View3<const float> from{in.data(), {n, n, n}};
  warp_volume(Cpu{1, nullptr, {}}, from, {map, {3, 4}}, {out.data(), {n, n, n}});
  EXPECT_EQ(out, in);
  map[3] = 0.5, map[7] = -0.25, map[11] = 0.75;
  warp_volume(Cpu{1, nullptr, {}}, from, {map, {3, 4}}, {out.data(), {n, n, n}});
  warp_volume(Cpu{3, nullptr, {}}, from, {map, {3, 4}}, {again.data(), {n, n, n}});
  EXPECT_EQ(out, again);
  const index_t m = n / 2;
  // The kernel's ripple, 0.15 % of values up to 5.
  EXPECT_NEAR(out[static_cast<std::size_t>((m * n + m) * n + m)], wave(m + 0.5, m - 0.25, m + 0.75), 0.01);
}

TEST(Warp, FarAwayIsZeroAndTooFarIsRefused) {
  const std::vector<float> in(12 * 12, 1.0f);
  std::vector<float> out(12 * 12, 7.0f);
  double map[6] = {1, 0, 500, 0, 1, -500};
  const View2<const float> from{in.data(), {12, 12}};
  warp_image(Cpu{1, nullptr, {}}, from, {map, {2, 3}}, {out.data(), {12, 12}});
  for (const float v : out) EXPECT_EQ(v, 0.0f);
  map[2] = 1e12;
  EXPECT_THROW(warp_image(Cpu{1, nullptr, {}}, from, {map, {2, 3}}, {out.data(), {12, 12}}), ArgumentError);
}

TEST(LogPolar, SeesARingAtItsRadius) {
  const index_t n = 32, half = n / 2 + 1, angles = 16, radii = 33;
  std::vector<float> power(static_cast<std::size_t>(n * half)), out(static_cast<std::size_t>(angles * radii));
  for (index_t y = 0; y < n; ++y)
    for (index_t x = 0; x < half; ++x) {
      const double r = std::hypot(static_cast<double>(y < n / 2 ? y : y - n), static_cast<double>(x));
      power[static_cast<std::size_t>(y * half + x)] = static_cast<float>(r);
    }
  log_polar(Cpu{2, nullptr, {}}, {power.data(), {n, half}}, n, 0.1, 0.4, {out.data(), {angles, radii}});
  // Linear interpolation of a cone: off by less than 1 / (8 r), r at least 3.2.
  for (index_t i = 0; i < angles; ++i) EXPECT_NEAR(out[static_cast<std::size_t>(i * radii + 16)], 0.2 * 32, 0.04);
  EXPECT_THROW(log_polar(Cpu{1, nullptr, {}}, {power.data(), {n, half}}, n, 0.1, 0.6, {out.data(), {angles, radii}}),
               ArgumentError);
}

TEST(DisplacementSums, OfOnesCountPointsAndCoordinates) {
  const index_t n = 5;
  const std::vector<float> ones(3 * n * n, 1.0f);
  const double axes[4] = {-2, 1, -4, 2};
  std::vector<double> out(24);
  const View<const float, 4> a{ones.data(), {3, 1, n, n}};
  displacement_sums(Cpu{2, nullptr, {}}, a, a, {axes, {2, 2}}, {out.data(), {24}});
  for (std::size_t k = 0; k < 6; ++k) EXPECT_EQ(out[k], 0.0);  // antisymmetric
  // m n of (1, y, x): 25 points, sum of y^2 50, of x^2 200, no odd moments.
  const double products[6] = {25, 0, 0, 50, 0, 200};
  for (std::size_t k = 0; k < 18; ++k) EXPECT_EQ(out[6 + k], products[k % 6]);
  EXPECT_THROW(displacement_sums(Cpu{1, nullptr, {}}, a, a, {axes, {2, 2}}, {out.data(), {23}}), ArgumentError);
}

}  // namespace
