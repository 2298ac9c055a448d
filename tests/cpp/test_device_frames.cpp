// SPDX-License-Identifier: BSD-3-Clause
// Sums of moved frames as CUDA makes them, in the emulation, against the CPU's.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "align/device_frames.hpp"
#include "align/stack.hpp"
#include "cuda/emulate.hpp"

namespace cryolith {
namespace {

constexpr int kFrames = 4;

struct Movie {
  Movie(index_t y, index_t x) : ny(y), nx(x) {
    std::mt19937 random(3);
    std::poisson_distribution<int> counts(20);
    for (auto& frame : frames) {
      frame.resize(static_cast<std::size_t>(ny * nx));
      for (float& v : frame) v = static_cast<float>(counts(random));
    }
    frames[2][7] = NAN;  // a missing pixel
  }
  // The sum's `add` and `write`, called for each frame and once in the end.
  template <class Add, class Write>
  std::vector<float> sum(const Add& add, const Write& write) const {
    for (int i = 0; i < kFrames; ++i)
      add(View2<const float>{frames[i].data(), {ny, nx}}, Vec2{0.7 * i - 3.0, 11.3 - 2.5 * i});
    std::vector<float> out(static_cast<std::size_t>(ny * nx), NAN);
    write(View2<float>{out.data(), {ny, nx}});
    return out;
  }
  std::vector<float> on_device() const {
    const auto total = emulated::make_device_frame_sum(ny, nx);
    return sum([&](View2<const float> f, const Vec2& s) { total->add(Cpu{1}, f, s); },
               [&](View2<float> o) { total->write(Cpu{1}, o); });
  }
  index_t ny, nx;
  std::vector<float> frames[kFrames];
};

class DeviceFramesTest : public testing::TestWithParam<std::pair<index_t, index_t>> {};

TEST_P(DeviceFramesTest, AddUpAsOnTheCpu) {
  const Movie movie(GetParam().first, GetParam().second);
  FrameSum total(movie.ny, movie.nx);
  const auto wanted = movie.sum([&](View2<const float> f, const Vec2& s) { total.add(Cpu{1}, f, s); },
                                [&](View2<float> o) { total.write(Cpu{1}, o); });
  const auto found = movie.on_device();
  double off = 0, size = 0;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    off += std::pow(static_cast<double>(found[i]) - wanted[i], 2);
    size += std::pow(static_cast<double>(wanted[i]), 2);
  }
  // A transform each way and four terms: some roundings of 6e-8.
  EXPECT_LT(std::sqrt(off / size), 5e-7);
}

INSTANTIATE_TEST_SUITE_P(Shapes, DeviceFramesTest,
                         testing::Values(std::pair<index_t, index_t>{48, 300}, std::pair<index_t, index_t>{45, 33}));

TEST(DeviceFrames, AreTheSameInEverySchedule) {
  const Movie movie(45, 260);
  const auto first = movie.on_device();
  for (unsigned seed : {1u, 2u}) {
    emulated::set_schedule(seed);
    EXPECT_EQ(movie.on_device(), first);
  }
  emulated::set_schedule(0);
}

TEST(DeviceFrames, CanBeWrittenTwice) {
  const Movie movie(20, 30);
  const auto total = emulated::make_device_frame_sum(20, 30);
  const auto add = [&](View2<const float> f, const Vec2& s) { total->add(Cpu{1}, f, s); };
  std::vector<float> first(600);
  const auto second = movie.sum(add, [&](View2<float> o) {
    total->write(Cpu{1}, {first.data(), {20, 30}});
    total->write(Cpu{1}, o);
  });
  EXPECT_EQ(first, second);
}

}  // namespace
}  // namespace cryolith
