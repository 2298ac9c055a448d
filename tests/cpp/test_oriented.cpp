// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <cstdint>
#include <random>
#include <vector>

#include "detect/oriented.hpp"

namespace cryolith::detect {
namespace {

struct Bank {
  std::vector<std::complex<float>> base = std::vector<std::complex<float>>(12 * 10 * 9);
  std::vector<double> shapes = {1.0, 1.0, 4.0, 0.0, 0.3, 0.5, 3.0, 1.0, 1.0, 0.5, 0.0, 0.0}, gains = {20.0, 30.0};

  Bank() {
    std::mt19937 random(5);
    std::normal_distribution<float> draw;
    for (auto& v : base) v = {draw(random), draw(random)};
  }
  OrientedBank view() const { return {{base.data(), {12, 10, 9}}, 16, {shapes.data(), {2, 6}}, {gains.data(), {2}}}; }
};

TEST(Oriented, SameBytesForAnyThreadsAndStopsWhenCancelled) {
  const Bank bank;
  std::vector<float> one(12 * 10 * 16), three(one.size());
  std::vector<std::int32_t> whose(one.size()), others(one.size());
  oriented_maxima(Cpu{1, nullptr, {}}, bank.view(), {one.data(), {12, 10, 16}}, {whose.data(), {12, 10, 16}});
  oriented_maxima(Cpu{3, nullptr, {}}, bank.view(), {three.data(), {12, 10, 16}}, {others.data(), {12, 10, 16}});
  EXPECT_EQ(one, three);
  EXPECT_EQ(whose, others);
  CancelToken token;
  token.cancel();
  EXPECT_THROW(
      oriented_maxima(Cpu{2, &token, {}}, bank.view(), {one.data(), {12, 10, 16}}, {whose.data(), {12, 10, 16}}),
      Cancelled);
}

TEST(Oriented, TheLargestOfTwoFieldsIsThatOfEitherAlone) {
  Bank bank;
  std::vector<float> both(12 * 10 * 16), alone(both.size());
  std::vector<std::int32_t> whose(both.size()), none(both.size());
  oriented_maxima(Cpu{}, bank.view(), {both.data(), {12, 10, 16}}, {whose.data(), {12, 10, 16}});
  for (std::int32_t i = 0; i < 2; ++i) {
    OrientedBank one = bank.view();
    one.shapes = {bank.shapes.data() + 6 * i, {1, 6}};
    one.gains = {bank.gains.data() + i, {1}};
    oriented_maxima(Cpu{}, one, {alone.data(), {12, 10, 16}}, {none.data(), {12, 10, 16}});
    for (std::size_t j = 0; j < both.size(); ++j) {
      if (whose[j] == i) {
        EXPECT_EQ(both[j], alone[j]);
      }
      EXPECT_GE(std::abs(both[j]), std::abs(alone[j]));
    }
  }
}

TEST(Oriented, SamplesOfAConstantFieldAreThatConstantAcrossFaces) {
  const std::vector<float> field(9 * 8 * 7, 3.0f);
  const double places[] = {0.2, 7.9, -0.3, 4.4, 3.7, 6.6}, shapes[] = {2, 1, 1.5, 0.4, -0.3, 0.2, 1, 1, 1, 0, 0, 0};
  double samples[2];
  oriented_samples(Cpu{}, {field.data(), {9, 8, 7}}, {places, {2, 3}}, {shapes, {2, 6}}, {samples, {2}});
  // A Gaussian that ends at exp(-10) lacks 1.7e-4 of its sum.
  for (const double s : samples) EXPECT_NEAR(s, 3.0, 1e-3);
}

TEST(Oriented, SplinesOfEqualCoefficientsSumToOneAcrossFaces) {
  const std::vector<float> coefficients(3 * 2 * 5, 3.0f);
  const double places[] = {0.2, 1.9, -0.3, -7.4, 3.7, 4.6};
  double samples[2];
  spline_samples(Cpu{}, {coefficients.data(), {3, 2, 5}}, {places, {2, 3}}, {samples, {2}});
  for (const double s : samples) EXPECT_NEAR(s, 3.0, 1e-12);
}

TEST(Oriented, RefusesWhatIsNotPositiveDefinite) {
  Bank bank;
  bank.shapes[2] = -1.0;
  std::vector<float> value(12 * 10 * 16);
  std::vector<std::int32_t> whose(value.size());
  EXPECT_THROW(oriented_maxima(Cpu{}, bank.view(), {value.data(), {12, 10, 16}}, {whose.data(), {12, 10, 16}}),
               ArgumentError);
}

}  // namespace
}  // namespace cryolith::detect
