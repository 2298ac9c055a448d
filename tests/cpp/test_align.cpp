// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "align/prepare.hpp"
#include "align/register.hpp"
#include "align/stack.hpp"

namespace {

using namespace cryolith;

// Blobs that fade out before the border, displaced by (dy, dx).
std::vector<float> blobs(index_t n, double dy, double dx) {
  const double centres[4][3] = {{0.4, 0.45, 4.0}, {0.6, 0.55, 5.0}, {0.45, 0.65, 3.0}, {0.55, 0.38, 3.5}};
  std::vector<float> image(static_cast<std::size_t>(n * n));
  for (index_t y = 0; y < n; ++y)
    for (index_t x = 0; x < n; ++x) {
      double sum = 0;
      for (const auto& c : centres) {
        const double v = static_cast<double>(y) - c[0] * static_cast<double>(n) - dy;
        const double u = static_cast<double>(x) - c[1] * static_cast<double>(n) - dx;
        sum += std::exp(-(v * v + u * u) / (2 * c[2] * c[2]));
      }
      image[static_cast<std::size_t>(y * n + x)] = static_cast<float>(sum);
    }
  return image;
}

TEST(RegisterPairs, FindsAKnownShiftWithTheSameBitsForAnyThreads) {
  const index_t n = 64, pairs = 5;
  std::vector<float> a, b;
  for (index_t k = 0; k < pairs; ++k) {
    const auto one = blobs(n, 0, 0), two = blobs(n, 1.25 * static_cast<double>(k), -2.4);
    a.insert(a.end(), one.begin(), one.end());
    b.insert(b.end(), two.begin(), two.end());
  }
  std::vector<double> first(static_cast<std::size_t>(pairs * kRegisterColumns)), second = first;
  const View3<const float> va{a.data(), {pairs, n, n}}, vb{b.data(), {pairs, n, n}};
  register_pairs(Cpu{1, nullptr, {}}, va, vb, 0, View2<double>{first.data(), {pairs, kRegisterColumns}});
  register_pairs(Cpu{3, nullptr, {}}, va, vb, 0, View2<double>{second.data(), {pairs, kRegisterColumns}});
  EXPECT_EQ(first, second);
  for (index_t k = 0; k < pairs; ++k) {
    const double* row = first.data() + k * kRegisterColumns;
    // Windows are moved with the scene until they pull it by a hundredth of what this allows.
    EXPECT_NEAR(row[kShiftRow], 1.25 * static_cast<double>(k), 0.01);
    EXPECT_NEAR(row[kShiftColumn], -2.4, 0.01);
    EXPECT_GT(row[kPeak], 0.99);
  }
}

TEST(RegisterPairs, SaysNothingOfFlatImages) {
  const index_t n = 16;
  const std::vector<float> flat(static_cast<std::size_t>(n * n), 3.0f);
  std::vector<double> out(kRegisterColumns);
  const View3<const float> v{flat.data(), {1, n, n}};
  register_pairs(Cpu{1, nullptr, {}}, v, v, 0, View2<double>{out.data(), {1, kRegisterColumns}});
  EXPECT_EQ(out[kVarRow], std::numeric_limits<double>::infinity());
  EXPECT_EQ(out[kPeak], 0.0);
}

TEST(RegisterPairs, TakesSmallOddAndBrokenImages) {
  for (const index_t n : {4, 5, 7, 17, 33}) {
    auto a = blobs(n, 0, 0), b = blobs(n, 0.5, 0.25);
    a[0] = std::numeric_limits<float>::quiet_NaN();
    b[static_cast<std::size_t>(n)] = std::numeric_limits<float>::infinity();
    std::vector<double> out(kRegisterColumns);
    register_pairs(Cpu{1, nullptr, {}}, View3<const float>{a.data(), {1, n, n}},
                   View3<const float>{b.data(), {1, n, n}}, 0, View2<double>{out.data(), {1, kRegisterColumns}});
    EXPECT_TRUE(std::isfinite(out[kShiftRow]) && std::isfinite(out[kShiftColumn]));
    EXPECT_GE(out[kVarRow], 0.0);
  }
}

TEST(RegisterPairs, RefusesWrongShapesAndShifts) {
  std::vector<float> data(3 * 16 * 16);
  std::vector<double> out(kRegisterColumns);
  const View2<double> to{out.data(), {1, kRegisterColumns}};
  const View3<const float> good{data.data(), {1, 16, 16}}, other{data.data(), {1, 16, 15}},
      tiny{data.data(), {1, 3, 16}};
  EXPECT_THROW(register_pairs(Cpu{}, good, other, 0, to), ArgumentError);
  EXPECT_THROW(register_pairs(Cpu{}, tiny, tiny, 0, to), ArgumentError);
  EXPECT_THROW(register_pairs(Cpu{}, good, good, -1, to), ArgumentError);
}

// Four frames of blobs at known places, shown to a stack twice.
TEST(FrameStack, FindsShiftsWithTheSameBitsForAnyThreads) {
  const index_t n = 4, edge = 64;
  const double truth[n][2] = {{-2.5, 1.0}, {0.25, -1.5}, {1.0, 0.75}, {1.25, -0.25}};
  std::vector<float> frames;
  std::vector<double> shifts;
  for (const auto& t : truth) {
    const auto one = blobs(edge, t[0], t[1]);
    frames.insert(frames.end(), one.begin(), one.end());
    shifts.insert(shifts.end(), {t[0] + 0.1, t[1] - 0.1});
  }
  const View3<const float> view{frames.data(), {n, edge, edge}};
  const std::vector<index_t> pair{0, 3};
  std::vector<double> found[2], rough(kPairColumns);
  for (int threads : {1, 3}) {
    const Cpu cpu{threads, nullptr, {}};
    FrameStack stack(n, edge, edge, 20);
    stack.look(cpu, 0, {view});
    stack.pairs(cpu, {pair.data(), {1, 2}}, {rough.data(), {1, kPairColumns}});
    stack.place(cpu, 0, {view}, {shifts.data(), {n, 2}});
    auto& out = found[threads / 3];
    out.resize(static_cast<std::size_t>(n * kFrameColumns));
    stack.refine(cpu, {out.data(), {n, kFrameColumns}});
  }
  EXPECT_EQ(found[0], found[1]);
  EXPECT_NEAR(rough[0], truth[3][0] - truth[0][0], 0.5);
  EXPECT_NEAR(rough[1], truth[3][1] - truth[0][1], 0.5);
  for (std::size_t i = 0; i < n; ++i) {  // windows 0.1 px off pull by a part of that
    EXPECT_NEAR(found[0][i * kFrameColumns], truth[i][0], 0.01);
    EXPECT_NEAR(found[0][i * kFrameColumns + 1], truth[i][1], 0.01);
  }
}

TEST(FrameStack, RefusesFramesAndPairsThatItDoesNotHave) {
  std::vector<float> data(3 * 16 * 16);
  std::vector<double> out(static_cast<std::size_t>(3 * kPairColumns));
  const std::vector<index_t> pair{0, 1};
  FrameStack stack(2, 16, 16, 4);
  EXPECT_THROW(stack.look(Cpu{}, 0, {{data.data(), {3, 16, 16}}}), ArgumentError);
  EXPECT_THROW(stack.look(Cpu{}, 0, {{data.data(), {2, 16, 15}}}), ArgumentError);
  EXPECT_THROW(stack.pairs(Cpu{}, {pair.data(), {1, 2}}, {out.data(), {1, kPairColumns}}), ArgumentError);
  EXPECT_THROW(stack.refine(Cpu{}, {out.data(), {2, kFrameColumns}}), ArgumentError);
}

TEST(FrameSum, AddsFramesMovedBack) {
  const index_t n = 96;
  const auto still = blobs(n, 0, 0), moved = blobs(n, 2.5, -1.25);
  std::vector<float> out(still.size());
  FrameSum sum(n, n);
  sum.add(Cpu{1, nullptr, {}}, {still.data(), {n, n}}, {0, 0});
  sum.add(Cpu{1, nullptr, {}}, {moved.data(), {n, n}}, {2.5, -1.25});
  sum.write(Cpu{1, nullptr, {}}, {out.data(), {n, n}});
  // Blobs of a sigma of 3 to 5 px are band-limited, and end six sigma before the border: float32 rounding is left.
  for (std::size_t k = 0; k < out.size(); ++k) EXPECT_NEAR(out[k], 2 * still[k], 1e-5);
}

TEST(Despike, ReplacesOnlyWhatStandsOut) {
  const index_t n = 16;
  std::vector<float> image(static_cast<std::size_t>(n * n));
  for (std::size_t k = 0; k < image.size(); ++k) image[k] = static_cast<float>((k * 7919) % 13);
  image[40] = 1e5f;
  image[90] = std::numeric_limits<float>::quiet_NaN();
  const auto before = image;
  index_t replaced = -1;
  despike(Cpu{2, nullptr, {}}, View3<float>{image.data(), {1, n, n}}, View1<index_t>{&replaced, {1}});
  EXPECT_EQ(replaced, 1);
  EXPECT_LT(image[40], 13.0f);
  EXPECT_TRUE(std::isnan(image[90]));
  for (std::size_t k = 0; k < image.size(); ++k)
    if (k != 40 && k != 90) {
      EXPECT_EQ(image[k], before[k]);
    }
}

TEST(ResampleImages, ReadsNothingOutside) {
  const index_t n = 5;
  std::vector<float> image(static_cast<std::size_t>(n * n), 2.0f), out(image.size());
  const double map[6] = {1, 0, 2.5, 0, 1, -1};
  const float fill = -1;
  resample_images(Cpu{1, nullptr, {}}, View3<const float>{image.data(), {1, n, n}}, View3<const double>{map, {1, 2, 3}},
                  View1<const float>{&fill, {1}}, View3<float>{out.data(), {1, n, n}});
  for (index_t r = 0; r < n; ++r)
    for (index_t c = 0; c < n; ++c)
      EXPECT_EQ(out[static_cast<std::size_t>(r * n + c)], r <= 1 && c >= 1 ? 2.0f : -1.0f);
}

TEST(ReduceImages, RefusesASourceOutsideTheImage) {
  std::vector<float> image(16), out(16), weight(4, 1.0f);
  const std::vector<index_t> good{0, 1, 2, 3}, bad{0, 1, 2, 4};
  const View2<const float> w{weight.data(), {4, 1}};
  const View3<const float> in{image.data(), {1, 4, 4}};
  const View3<float> to{out.data(), {1, 4, 4}};
  const AxisMap fine{w, {good.data(), {4, 1}}}, broken{w, {bad.data(), {4, 1}}};
  EXPECT_NO_THROW(reduce_images(Cpu{1, nullptr, {}}, in, fine, fine, to));
  EXPECT_THROW(reduce_images(Cpu{1, nullptr, {}}, in, broken, fine, to), ArgumentError);
}

}  // namespace
