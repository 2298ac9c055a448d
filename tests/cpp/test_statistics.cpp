// SPDX-License-Identifier: BSD-3-Clause
// Statistics of a volume and its half, against plain sums, for every instruction set that runs here.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <initializer_list>
#include <limits>
#include <random>
#include <vector>

#include "core/row_sums.hpp"
#include "core/statistics.hpp"

namespace cryolith {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<float> numbers(index_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(1e5f, 1.0f);
  std::vector<float> out(static_cast<std::size_t>(n));
  for (float& x : out) x = normal(random);
  if (n > 3) out[1] = std::nanf(""), out[static_cast<std::size_t>(n) - 1] = -kInfinity, out[2] = -0.0f;
  return out;
}

View3<const float> view(const std::vector<float>& data, index_t z, index_t y, index_t x) {
  return {data.data(), {z, y, x}};
}

TEST(Statistics, AreThoseOfTheFiniteValuesForEveryLengthOfRow) {
  for (index_t length = 1; length < 40; ++length) {
    const auto data = numbers(2 * 3 * length, static_cast<unsigned>(length));
    const Statistics found = statistics(Cpu{1}, view(data, 2, 3, length));
    float low = kInfinity, high = -kInfinity;
    index_t count = 0;
    long double sum = 0.0L, squares = 0.0L;
    for (float x : data) {
      if (!std::isfinite(x)) continue;
      low = std::min(low, x + 0.0f), high = std::max(high, x + 0.0f), ++count;
      sum += x, squares += static_cast<long double>(x) * x;
    }
    EXPECT_EQ(found.low, low);
    EXPECT_EQ(found.high, high);
    EXPECT_EQ(found.count, count);
    EXPECT_NEAR(found.sum.value(), static_cast<double>(sum), 1e-15 * std::abs(static_cast<double>(sum)));
    EXPECT_NEAR(found.squares.value(), static_cast<double>(squares), 1e-15 * static_cast<double>(squares));
  }
}

TEST(Statistics, DoNotDependOnThreadsOrPieces) {
  const index_t rows = 700, length = 1001;
  const auto data = numbers(rows * length, 7);
  const Statistics one = statistics(Cpu{1}, view(data, 1, rows, length));
  const Statistics four = statistics(Cpu{4}, view(data, 70, rows / 70, length));
  Statistics last = statistics(Cpu{2}, {data.data() + 300 * length, {1, rows - 300, length}});
  const Statistics first = statistics(Cpu{1}, {data.data(), {3, 100, length}});
  last.sum += first.sum, last.squares += first.squares;
  for (const Statistics* other : std::initializer_list<const Statistics*>{&four, &last}) {
    EXPECT_EQ(one.sum.value(), other->sum.value());
    EXPECT_EQ(one.squares.value(), other->squares.value());
  }
}

TEST(Statistics, AreTheSameBitsFromEveryInstructionSet) {
  const auto data = numbers(1003, 11);
  RowSums reference, other;
  baseline::row_sums(data.data(), 1003, reference);
  const auto expect_same = [&] { EXPECT_EQ(std::memcmp(&reference, &other, sizeof(RowSums)), 0); };
#if defined(__x86_64__)
  if (current_isa() >= Isa::x86_64_v3) x86_64_v3::row_sums(data.data(), 1003, other), expect_same();
#if !defined(CRYOLITH_NO_V4)
  if (current_isa() >= Isa::x86_64_v4) x86_64_v4::row_sums(data.data(), 1003, other), expect_same();
#endif
#endif
}

TEST(Statistics, OfNothingSayThatThereIsNone) {
  const std::vector<float> data(6, std::nanf(""));
  const Statistics found = statistics(Cpu{1}, view(data, 1, 2, 3));
  EXPECT_EQ(found.count, 0);
  EXPECT_GT(found.low, found.high);
  EXPECT_EQ(found.sum.value(), 0.0);
}

template <class T>
void expect_means() {
  const T nan = std::numeric_limits<T>::quiet_NaN();
  //                      z = 0                                  z = 1                       z = 2
  const std::vector<T> data{1, 2, 3, 4,   5,   6,   7, 8,   9,   nan, 2, nan, 4, 5,
                            6, 7, 8, nan, nan, nan, 3, nan, nan, 6,   7, 8,   9};
  std::vector<T> half(8);
  halve<T>(Cpu{2}, {data.data(), {3, 3, 3}}, {half.data(), {2, 2, 2}});
  const std::vector<T> expected{static_cast<T>(23.0 / 7), 5, 7.5, 9, nan, 4.5, 7.5, 9};
  for (std::size_t i = 0; i < 8; ++i) {
    if (std::isnan(expected[i]))
      EXPECT_TRUE(std::isnan(half[i])) << i;
    else
      EXPECT_EQ(half[i], expected[i]) << i;
  }
}

TEST(Halve, TakesMeansOfWhatIsFiniteAndThere) {
  expect_means<float>();
  expect_means<double>();
}

}  // namespace
}  // namespace cryolith
