// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

#include "arrays.hpp"
#include "core/error.hpp"
#include "projection/plan.hpp"
#include "projection/turn.hpp"

namespace cryolith {
namespace {

index_t fixed(double pixels) { return std::llround(std::ldexp(pixels, kPositionBits)); }

// Samples whose rows lie at `degrees` to the image's, `along` and `across` apart, the first at (row, column).
SampleGrid lattice(double degrees, double along, double across, double row, double column) {
  const double c = std::cos(degrees * std::numbers::pi / 180.0), s = std::sin(degrees * std::numbers::pi / 180.0);
  return {{fixed(row), fixed(along * s), fixed(across * c)}, {fixed(column), fixed(along * c), fixed(-across * s)}};
}

// As another turn may have left it.
struct Scratch {
  Buffer<float> buffers[3];
  explicit Scratch(const Turn& turn) {
    for (Buffer<float>& b : buffers) {
      b = Buffer<float>(turn_scratch(turn));
      std::fill_n(b.data(), b.size(), std::numeric_limits<float>::quiet_NaN());
    }
  }
};

View2<float> plane(Array3& a) { return {a.values.data(), {a.extent[1], a.extent[2]}}; }

Array3 turned(const Turn& turn, Array3& image) {
  const Buffer<float> table = tap_table(kTurnTaps, kTurnBeta);
  Scratch scratch(turn);
  Array3 out(1, turn.js.end - turn.js.begin, turn.is.end - turn.is.begin);
  turn_image(table.data(), turn, plane(image), out.values.data(), out.extent[2], scratch.buffers);
  return out;
}

TEST(Turn, IsAdjointOnAnyLattice) {
  const Buffer<float> table = tap_table(kTurnTaps, kTurnBeta);
  for (ImageShape shape : {ImageShape{1, 1}, ImageShape{5, 70}, ImageShape{33, 20}})
    for (double degrees : {0.0, 10.4, 45.0, 92.8, 180.0, 250.0, -30.0})
      for (double along : {1.0, 0.5, 1.25})
        for (double across : {1.0, -1.0, 0.57, 1.25}) {
          const double middle_row = 0.5 * static_cast<double>(shape.height - 1) - 7.3;
          const double middle_column = 0.5 * static_cast<double>(shape.width - 1) - 4.1;
          const SampleGrid grid = lattice(degrees, along, across, middle_row, middle_column);
          const Turn turn = make_turn(grid, 23, {2, 23}, {-3, 29}, shape, {0, 0, shape.height, shape.width});
          Array3 image(1, shape.height, shape.width), samples(1, 21, 32), back = image;
          image.fill(1);
          samples.fill(2);
          Array3 forth = turned(turn, image);
          Scratch scratch(turn);
          turn_back(table.data(), turn, samples.values.data(), samples.extent[2], plane(back), scratch.buffers);
          const double scale = std::sqrt(dot(image, image) * dot(samples, samples));
          EXPECT_LE(std::abs(dot(forth, samples) - dot(image, back)), 1e-6 * scale) << degrees << " " << across;
        }
}

TEST(Turn, WholePixelsAreCopied) {
  Array3 image(1, 9, 12);
  image.fill(3);
  const auto pixel = [&](index_t r, index_t c) {
    return r >= 0 && r < 9 && c >= 0 && c < 12 ? image.values[static_cast<std::size_t>(r * 12 + c)] : 0.0f;
  };
  for (int quarter = 0; quarter < 4; ++quarter) {
    const Turn turn =
        make_turn(lattice(90.0 * quarter, 1.0, 1.0, 4.0, 5.0), 9, {0, 9}, {0, 12}, {9, 12}, {0, 0, 9, 12});
    const Array3 out = turned(turn, image);
    const int c = quarter == 0 ? 1 : quarter == 2 ? -1 : 0, s = quarter == 1 ? 1 : quarter == 3 ? -1 : 0;
    for (index_t j = 0; j < 9; ++j)
      for (index_t i = 0; i < 12; ++i)
        EXPECT_EQ(out.values[static_cast<std::size_t>(j * 12 + i)], pixel(4 + i * s + j * c, 5 + i * c - j * s));
  }
}

TEST(Turn, PartsAreThoseOfTheWhole) {
  Array3 image(1, 150, 160);
  image.fill(4);
  for (double degrees : {10.4, 80.0, -30.0}) {
    const SampleGrid grid = lattice(degrees, 1.0, 1.0, 20.25, 30.5);
    const Array3 all = turned(make_turn(grid, 70, {0, 70}, {0, 60}, {150, 160}, {0, 0, 150, 160}), image);
    const Range js{16, 32}, is{5, 40};
    double low[2] = {1e9, 1e9}, high[2] = {-1e9, -1e9};  // rows and columns of the samples
    for (index_t j : {js.begin, js.end - 1})
      for (index_t i : {is.begin, is.end - 1})
        for (int axis = 0; axis < 2; ++axis) {
          const SampleLine& line = axis == 0 ? grid.row : grid.column;
          const double at = std::ldexp(static_cast<double>(line.start + i * line.step + j * line.lane), -kPositionBits);
          low[axis] = std::min(low[axis], at);
          high[axis] = std::max(high[axis], at);
        }
    const index_t extent[2] = {150, 160};
    index_t begin[2], end[2];
    for (int axis = 0; axis < 2; ++axis) {
      begin[axis] = std::clamp<index_t>(static_cast<index_t>(low[axis]) - kTurnReach, 0, extent[axis] - 1);
      end[axis] = std::clamp<index_t>(static_cast<index_t>(high[axis]) + kTurnReach + 1, begin[axis] + 1, extent[axis]);
    }
    Array3 part(1, end[0] - begin[0], end[1] - begin[1]);
    for (index_t r = begin[0]; r < end[0]; ++r)
      std::copy_n(image.values.begin() + r * 160 + begin[1], part.extent[2],
                  part.values.begin() + (r - begin[0]) * part.extent[2]);
    const ImageWindow window{begin[0], begin[1], part.extent[1], part.extent[2]};
    const Array3 some = turned(make_turn(grid, 70, js, is, {150, 160}, window), part);
    for (index_t j = js.begin; j < js.end; ++j)
      for (index_t i = is.begin; i < is.end; ++i)
        EXPECT_EQ(some.values[static_cast<std::size_t>((j - js.begin) * 35 + i - is.begin)],
                  all.values[static_cast<std::size_t>(j * 60 + i)]);
  }
}

}  // namespace
}  // namespace cryolith
