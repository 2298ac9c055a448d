// SPDX-License-Identifier: BSD-3-Clause
// Registration as CUDA runs it, in the emulation, against the CPU's.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "align/device_register.hpp"
#include "align/device_stack.hpp"
#include "cuda/devices.hpp"
#include "cuda/emulate.hpp"

namespace cryolith {
namespace {

// Images of one scene of random waves whose power falls, in counts.
struct Images {
  Images(index_t n_, index_t y, index_t x, double dose, unsigned seed = 5) : n(n_), ny(y), nx(x) {
    std::mt19937 random(seed);
    std::uniform_real_distribution<double> angle(0, 6.28), frequency(-0.9, 0.9);
    double wave[40][3];
    for (auto& w : wave) w[0] = frequency(random), w[1] = frequency(random), w[2] = angle(random);
    for (index_t i = 0; i < n; ++i)
      for (index_t r = 0; r < ny; ++r)
        for (index_t c = 0; c < nx; ++c) {
          double sum = 0;
          for (const auto& w : wave) {
            const double along = w[0] * (static_cast<double>(r) - row(i)) + w[1] * (static_cast<double>(c) - column(i));
            sum += std::cos(along + w[2]) / (1 + 4 * std::hypot(w[0], w[1]));
          }
          std::poisson_distribution<int> counts(dose * std::max(0.1, 1 + 0.4 * sum));
          pixels.push_back(static_cast<float>(counts(random)));
        }
  }
  static double row(index_t i) { return 2.3 * static_cast<double>(i); }
  static double column(index_t i) { return -1.6 * static_cast<double>(i); }
  View3<const float> image(index_t i, index_t count = 1) const {
    return {pixels.data() + i * ny * nx, {count, ny, nx}};
  }

  std::vector<double> pair(bool here) const {
    std::vector<double> out(kRegisterColumns, NAN);
    const View2<double> to{out.data(), {1, kRegisterColumns}};
    if (here)
      register_pairs("emulated", {image(0)}, {image(1)}, 0, to);
    else
      register_pairs(Cpu{1}, image(0), image(1), 0, to);
    return out;
  }
  std::vector<double> stack() const {
    DeviceFrameStack frames("emulated", n, ny, nx, 8);
    const index_t pairs[] = {0, 1, 1, 2};
    std::vector<double> out(static_cast<std::size_t>(2 * kPairColumns + n * kFrameColumns)), shifts;
    for (index_t i = 0; i < n; ++i) shifts.push_back(row(i)), shifts.push_back(column(i));
    frames.look(Cpu{1}, 0, {image(0, n)});
    frames.pairs(Cpu{1}, {pairs, {2, 2}}, {out.data(), {2, kPairColumns}});
    frames.place(Cpu{1}, 0, {image(0, n)}, {shifts.data(), {n, 2}});
    frames.refine(Cpu{1}, {out.data() + 2 * kPairColumns, {n, kFrameColumns}});
    return out;
  }
  index_t n, ny, nx;
  std::vector<float> pixels;
};

class DeviceRegisterTest : public testing::TestWithParam<std::pair<index_t, index_t>> {};

TEST_P(DeviceRegisterTest, FindsWhatTheCpuFinds) {
  const Images images(2, GetParam().first, GetParam().second, 30);
  const auto found = images.pair(true), wanted = images.pair(false);
  // Transforms and sums in float32: some 1e-7 of what stands out by more than its own size.
  for (std::size_t k = 0; k < found.size(); ++k) {
    if (k == kVarRow || k == kVarColumn || k == kCovariance)
      EXPECT_NEAR(found[k], wanted[k], 1e-4 * wanted[kVarRow]) << k;
    else
      EXPECT_NEAR(found[k], wanted[k], k < kRunnerUp ? 1e-6 : 1e-4) << k;
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, DeviceRegisterTest,
                         testing::Values(std::pair<index_t, index_t>{36, 36}, std::pair<index_t, index_t>{37, 70},
                                         std::pair<index_t, index_t>{70, 33}, std::pair<index_t, index_t>{9, 40}));

TEST(DeviceRegister, AllSchedulesGiveTheSameBytes) {
  const Images images(3, 35, 42, 30);
  const auto pair = images.pair(true), stack = images.stack();
  for (unsigned seed : {1u, 2u, 3u}) {
    emulated::set_schedule(seed);
    EXPECT_EQ(images.pair(true), pair);
    EXPECT_EQ(images.stack(), stack);
  }
  emulated::set_schedule(0);
}

TEST(DeviceRegister, EachWaitThatIsLeftOutIsNoticed) {
  const Images images(3, 24, 20, 100);
  images.pair(true), images.stack();  // self-tests are past
  emulated::visited_sites();
  images.pair(true);
  const auto sites = emulated::visited_sites();
  ASSERT_FALSE(sites.empty());
  for (const auto& site : sites) {
    emulated::leave_out(site);
    EXPECT_THROW(images.pair(true), emulated::Fault) << site.file << ":" << site.line;
  }
  emulated::leave_out({"", 0});
}

TEST(DeviceRegister, IsRefusedWhereMemoryIsShort) {
  const Images images(2, 40, 40, 30);
  images.pair(true);
  emulated::set_memory(0, 20000);
  EXPECT_THROW(images.pair(true), DeviceOutOfMemory);
  emulated::set_memory(0, emulated::kMemoryBytes);
  EXPECT_NEAR(images.pair(true)[kShiftRow], Images::row(1), 0.5);
}

}  // namespace
}  // namespace cryolith
