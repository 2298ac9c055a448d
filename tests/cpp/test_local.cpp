// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include <limits>
#include <random>
#include <vector>

#include "core/error.hpp"
#include "projection/local.hpp"

namespace cryolith {
namespace {

struct Case {
  index_t n = 3, height = 17, width = 23, spacing = 8;
  std::vector<float> nodes, images, out;

  explicit Case(float displacement) {
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    nodes.resize(static_cast<std::size_t>(n * 2 * 3 * 4));
    images.resize(static_cast<std::size_t>(n * height * width));
    out.resize(images.size());
    for (float& v : nodes) v = displacement * normal(random);
    for (float& v : images) v = normal(random);
  }
  LocalField field() const { return {{nodes.data(), {n, 2, 3, 4}}, spacing}; }
  View3<const float> in(const std::vector<float>& a) const { return {a.data(), {n, height, width}}; }
  View3<float> to(std::vector<float>& a) const { return {a.data(), {n, height, width}}; }
};

// From nothing to displacements that leave the image, and such as no file should hold: none reads or writes outside.
TEST(Local, StraightenAndBendAreTransposes) {
  for (float displacement : {0.0f, 0.7f, 9.0f, 300.0f, 2e5f}) {
    Case c(displacement);
    std::vector<float> straight(c.images.size()), other = c.images;
    std::swap(other.front(), other.back());
    straighten({}, c.field(), c.in(c.images), c.to(straight));
    bend({}, c.field(), c.in(other), c.to(c.out));
    double left = 0, right = 0, size = 1;
    for (std::size_t i = 0; i < other.size(); ++i) {
      left += static_cast<double>(straight[i]) * other[i];
      right += static_cast<double>(c.images[i]) * c.out[i];
      size += static_cast<double>(other[i]) * other[i];
    }
    EXPECT_NEAR(left, right, 1e-5 * size) << displacement;
  }
}

TEST(Local, RefusesNodesThatDoNotFit) {
  Case c(1.0f);
  LocalField field = c.field();
  field.spacing = 7;  // three nodes reach 14 of 16 pixels
  EXPECT_THROW(straighten({}, field, c.in(c.images), c.to(c.out)), ArgumentError);
  field = c.field();
  field.nodes.extent[0] = 2;
  EXPECT_THROW(bend({}, field, c.in(c.images), c.to(c.out)), ArgumentError);
  for (float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(), -2e6f}) {
    c.nodes[5] = bad;
    EXPECT_THROW(bend({}, c.field(), c.in(c.images), c.to(c.out)), ArgumentError);
  }
}

}  // namespace
}  // namespace cryolith
