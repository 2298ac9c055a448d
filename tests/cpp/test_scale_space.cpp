// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <cstring>
#include <random>
#include <vector>

#include "detect/gaussian_samples.hpp"
#include "detect/maxima.hpp"
#include "detect/scale_space.hpp"

namespace cryolith::detect {
namespace {

struct Field {
  index_t nz, ny, nx;
  std::vector<float> data;
  Field(index_t z, index_t y, index_t x) : nz(z), ny(y), nx(x), data(static_cast<std::size_t>(z * y * x)) {}
  float& at(index_t z, index_t y, index_t x) { return data[static_cast<std::size_t>((z * ny + y) * nx + x)]; }
  View3<float> view() { return {data.data(), {nz, ny, nx}}; }
};

TEST(ScaleMaxima, TiesGoToTheFirstAndMarginsAreSkipped) {
  Field field(9, 9, 9);
  field.at(4, 4, 4) = field.at(4, 4, 5) = 2.0f;  // a tie
  field.at(4, 4, 2) = -3.0f;
  field.at(1, 4, 4) = 5.0f;  // inside the margin
  std::vector<Peak> peaks;
  const index_t shape[3] = {9, 9, 9};
  const index_t within =
      scale_maxima(Cpu{2, nullptr, {}}, {nullptr, field.data.data(), nullptr, 9}, shape, 2, 7.0, 1.0f, 0.5f, peaks);
  EXPECT_EQ(within, 125 - 3);
  ASSERT_EQ(peaks.size(), 2u);
  EXPECT_LT(peaks[0].height, -2.9);
  EXPECT_EQ(peaks[0].scale, 7.0);
  EXPECT_NEAR(peaks[1].x, 4.5, 1e-6);  // half-way between two equal voxels
}

TEST(ScaleMaxima, AHigherNeighbourInScaleWins) {
  Field low(7, 7, 7), mid(7, 7, 7), high(7, 7, 7);
  mid.at(3, 3, 3) = 2.0f;
  high.at(2, 3, 3) = 2.5f;
  std::vector<Peak> peaks;
  const index_t shape[3] = {7, 7, 7};
  scale_maxima(Cpu{1, nullptr, {}}, {low.data.data(), mid.data.data(), high.data.data(), 7}, shape, 1, 1.0, 1.0f, 0.5f,
               peaks);
  EXPECT_TRUE(peaks.empty());
  scale_maxima(Cpu{1, nullptr, {}}, {mid.data.data(), high.data.data(), nullptr, 7}, shape, 1, 2.0, 1.0f, 0.5f, peaks);
  EXPECT_EQ(peaks.size(), 1u);
}

TEST(ScaleSpace, SameBytesForAnyThreadsAndStopsWhenCancelled) {
  std::mt19937 random(5);
  std::normal_distribution<float> draw;
  std::vector<std::complex<float>> base(16 * 14 * 9);
  for (auto& v : base) v = {draw(random), draw(random)};
  const double decays[] = {0.5, 1.0, 2.0}, gains[] = {20.0, 40.0, 80.0};
  std::vector<float> fields(3 * 16 * 14 * 18);
  const ScaleSpace space{{base.data(), {16, 14, 9}}, 16, {decays, {3}}, {gains, {3}}, {fields.data(), {3, 16, 14, 18}}};
  double share[3];
  const auto one = scale_space_maxima(Cpu{1, nullptr, {}}, space, 2, 0.2f, 0.1f, {share, {3}});
  const auto three = scale_space_maxima(Cpu{3, nullptr, {}}, space, 2, 0.2f, 0.1f, {share, {3}});
  ASSERT_EQ(one.size(), three.size());
  ASSERT_GT(one.size(), 0u);
  EXPECT_EQ(std::memcmp(one.data(), three.data(), one.size() * sizeof(Peak)), 0);
  CancelToken token;
  token.cancel();
  EXPECT_THROW(scale_space_maxima(Cpu{2, &token, {}}, space, 2, 0.2f, 0.1f, {share, {3}}), Cancelled);
  EXPECT_THROW(scale_space_maxima(Cpu{}, space, 7, 0.2f, 0.1f, {share, {3}}), ArgumentError);
}

TEST(SpectrumSums, SameBytesForAnyThreads) {
  std::mt19937 random(6);
  Field weight(20, 6, 5);
  for (float& v : weight.data) v = static_cast<float>(random() % 1000);
  std::vector<double> one(30 * 7), three(30 * 7);
  spectrum_sums(Cpu{1, nullptr, {}}, weight.view(), 8, {one.data(), {30, 7}});
  spectrum_sums(Cpu{3, nullptr, {}}, weight.view(), 8, {three.data(), {30, 7}});
  EXPECT_EQ(one, three);
  EXPECT_THROW(spectrum_sums(Cpu{}, weight.view(), 10, {one.data(), {30, 7}}), ArgumentError);
}

TEST(SubtractWeighted, SameBytesForAnyThreads) {
  std::mt19937 random(7);
  std::normal_distribution<float> draw;
  std::vector<std::complex<float>> base(12 * 10 * 7), one(base.size());
  std::vector<float> weight(base.size());
  for (auto& v : base) v = {draw(random), draw(random)};
  for (auto& v : one) v = {draw(random), draw(random)};
  for (auto& v : weight) v = draw(random);
  auto three = one;
  const View3<const std::complex<float>> from{base.data(), {12, 10, 7}};
  const View3<const float> by{weight.data(), {12, 10, 7}};
  const auto at = one.size() - 1;
  const auto expected = base[at] - one[at] * weight[at];
  subtract_weighted(Cpu{1, nullptr, {}}, from, by, {one.data(), {12, 10, 7}});
  subtract_weighted(Cpu{3, nullptr, {}}, from, by, {three.data(), {12, 10, 7}});
  EXPECT_EQ(std::memcmp(one.data(), three.data(), one.size() * sizeof one[0]), 0);
  EXPECT_NEAR(std::abs(one[at] - expected), 0, 1e-6 * std::abs(expected));
}

TEST(GaussianSamples, OfAConstantIsTheConstantWithoutSlope) {
  Field field(8, 9, 10);
  for (float& v : field.data) v = 3.0f;
  const double places[] = {-2.3, 4.1, 11.9}, widths[] = {1.5};
  double samples[7];
  gaussian_samples(Cpu{2, nullptr, {}}, field.view(), 10, {places, {1, 3}}, {widths, {1}}, {samples, {1, 7}});
  EXPECT_NEAR(samples[0], 3.0, 1e-4);
  for (int i = 1; i < 7; ++i) EXPECT_NEAR(samples[i], 0.0, 1e-3);
}

TEST(AddGaussians, BlobsOutsideAddNothing) {
  Field field(8, 8, 8);
  const double places[] = {4, 4, 400, 4, -300, 4}, widths[] = {1.0, 2.0}, heights[] = {5.0, 5.0};
  add_gaussians(Cpu{3, nullptr, {}}, {places, {2, 3}}, {widths, {2}}, {heights, {2}}, field.view(), 8);
  for (const float v : field.data) EXPECT_EQ(v, 0.0f);
}

}  // namespace
}  // namespace cryolith::detect
