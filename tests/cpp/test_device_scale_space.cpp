// SPDX-License-Identifier: BSD-3-Clause
// Scale space as CUDA runs it, in the emulation, against the CPU's.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "cuda/emulate.hpp"
#include "detect/device_scale_space.hpp"
#include "detect/scale_space.hpp"

namespace cryolith {
namespace {

constexpr index_t kNz = 17, kNy = 15, kNx = 76, kTerms = kNx / 2 + 1;
constexpr index_t kMargin = 2;
constexpr float kHigh = 0.9f, kMiddle = 0.1f;

// Noise of which each scale shows some dozens of extrema.
struct Noise {
  explicit Noise(std::size_t scales) : base(kNz * kNy * kTerms), decays(scales), gains(scales) {
    std::mt19937 random(5);
    std::normal_distribution<float> draw;
    for (auto& v : base) v = {draw(random), draw(random)};
    for (std::size_t i = 0; i < scales; ++i) {
      decays[i] = std::exp2(static_cast<double>(i) / 2);
      gains[i] = 330 * std::pow(decays[i], 0.75);  // an rms of 0.5 at every scale
    }
  }
  View1<const double> of(const std::vector<double>& v) const { return {v.data(), {static_cast<index_t>(v.size())}}; }
  std::vector<detect::Peak> on_cpu(std::vector<double>& share) const {
    const index_t kept = std::min<index_t>(3, static_cast<index_t>(decays.size()));
    std::vector<float> fields(static_cast<std::size_t>(kept * kNz * kNy * 2 * kTerms));
    const detect::ScaleSpace space{
        {base.data(), {kNz, kNy, kTerms}}, kNx, of(decays), of(gains), {fields.data(), {kept, kNz, kNy, 2 * kTerms}}};
    return scale_space_maxima(Cpu{1}, space, kMargin, kHigh, kMiddle,
                              {share.data(), {static_cast<index_t>(share.size())}});
  }
  std::vector<detect::Peak> on_device(std::vector<double>& share) const {
    return emulated::scale_space_maxima(
        {{base.data(), {kNz, kNy, kTerms}}, kNx, of(decays), of(gains), kMargin, kHigh, kMiddle},
        {share.data(), {static_cast<index_t>(share.size())}});
  }
  std::vector<std::complex<float>> base;
  std::vector<double> decays, gains;
};

class DeviceScaleSpaceTest : public testing::TestWithParam<std::size_t> {};

TEST_P(DeviceScaleSpaceTest, FindsWhatTheCpuFinds) {
  const Noise noise(GetParam());
  std::vector<double> share(GetParam()), wanted_share(GetParam());
  const auto found = noise.on_device(share), wanted = noise.on_cpu(wanted_share);
  ASSERT_GT(wanted.size(), 20u);
  ASSERT_EQ(found.size(), wanted.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    // Fields differ by roundings, 2e-7 of their rms of 0.5; a place by that over a curvature of a tenth of the height.
    EXPECT_NEAR(found[i].height, wanted[i].height, 2e-6);
    EXPECT_NEAR(found[i].scale, wanted[i].scale, 2e-4);
    EXPECT_NEAR(found[i].z, wanted[i].z, 2e-4);
    EXPECT_NEAR(found[i].y, wanted[i].y, 2e-4);
    EXPECT_NEAR(found[i].x, wanted[i].x, 2e-4);
  }
  // A voxel or two may lie on the other side of the middle.
  for (std::size_t i = 0; i < share.size(); ++i) EXPECT_NEAR(share[i], wanted_share[i], 3e-4);
}

INSTANTIATE_TEST_SUITE_P(Scales, DeviceScaleSpaceTest, testing::Values(1u, 2u, 5u));

TEST(DeviceScaleSpace, AllSchedulesGiveTheSameBytes) {
  const Noise noise(3);
  std::vector<double> share(3);
  const auto first = noise.on_device(share);
  for (unsigned seed : {1u, 2u, 3u}) {
    emulated::set_schedule(seed);
    const auto again = noise.on_device(share);
    ASSERT_EQ(again.size(), first.size());
    EXPECT_EQ(std::memcmp(again.data(), first.data(), first.size() * sizeof(detect::Peak)), 0);
  }
  emulated::set_schedule(0);
}

}  // namespace
}  // namespace cryolith
