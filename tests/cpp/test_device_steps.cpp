// SPDX-License-Identifier: BSD-3-Clause
// The solvers' steps as CUDA runs them, in the emulation: the CPU's bits.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "core/device_array.hpp"
#include "reconstruct/device_steps.hpp"

namespace cryolith {
namespace {

using Floats = std::vector<float>;
using Sums = std::vector<double>;
using OnDevice = emulated::DeviceArray<float>;

// Rows that eight does not divide; more of them than a block of the sums takes.
constexpr index_t kShape[3] = {3, 13, 37}, kCount = 3 * 13 * 37;

Floats noise(index_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  Floats out(static_cast<std::size_t>(n));
  for (float& v : out) v = normal(random);
  return out;
}

// w is not negative, q a dual.
template <class Held>
struct Arrays {
  Held a, b, w, c, d, q;
  View3<const float> in(const Held& held) const { return {data(held), {kShape[0], kShape[1], kShape[2]}}; }
  View3<float> out(Held& held) const { return {data(held), {kShape[0], kShape[1], kShape[2]}}; }
  View1<const float> flat(const Held& held) const { return {data(held), {kCount}}; }
  View1<float> flat_out(Held& held) const { return {data(held), {kCount}}; }
  View<float, 4> dual() {
    View<float, 4> v;
    v.data = data(q);
    v.extent[0] = 3;
    std::copy_n(kShape, 3, v.extent + 1);
    return v;
  }

 private:
  static float* data(const Floats& held) { return const_cast<float*>(held.data()); }
  static float* data(const OnDevice& held) { return held.data(); }
};

Arrays<Floats> on_cpu() {
  Floats w = noise(kCount, 3);
  for (float& v : w) v = std::max(0.0f, v);
  return {noise(kCount, 1), noise(kCount, 2), w, noise(kCount, 4), noise(kCount, 5), noise(3 * kCount, 6)};
}
Arrays<OnDevice> on_device(const Arrays<Floats>& t) {
  return {OnDevice(t.a), OnDevice(t.b), OnDevice(t.w), OnDevice(t.c), OnDevice(t.d), OnDevice(t.q)};
}

Floats contents(const OnDevice& held) {
  Floats out(static_cast<std::size_t>(held.size()));
  held.read(0, out.data(), held.size());
  return out;
}

// The CPU's steps under the names of DeviceSteps.
struct CpuSteps {
#define CRYOLITH_STEP(name) \
  auto name(auto... arguments) { return cryolith::name(Cpu{1}, arguments...); }
  CRYOLITH_STEP(weigh_residual)
  CRYOLITH_STEP(extrapolate_residual)
  CRYOLITH_STEP(poisson_ratio)
  CRYOLITH_STEP(weighted_square)
  CRYOLITH_STEP(subtract_projection)
  CRYOLITH_STEP(update_volume)
  CRYOLITH_STEP(multiply_volume)
  CRYOLITH_STEP(free_descent)
  CRYOLITH_STEP(conjugate_direction)
  CRYOLITH_STEP(walk_volume)
  CRYOLITH_STEP(invert_sums)
  CRYOLITH_STEP(fill)
  CRYOLITH_STEP(copy)
  CRYOLITH_STEP(multiply)
  CRYOLITH_STEP(divide)
  CRYOLITH_STEP(raise_to)
  CRYOLITH_STEP(graze)
  CRYOLITH_STEP(scale)
  CRYOLITH_STEP(reciprocal)
  CRYOLITH_STEP(weighted_sum)
  CRYOLITH_STEP(ascend_dual)
  CRYOLITH_STEP(primal_from_dual)
  CRYOLITH_STEP(gradient_step)
  CRYOLITH_STEP(uphill)
  CRYOLITH_STEP(move_ahead)
  CRYOLITH_STEP(add_roughness)
#undef CRYOLITH_STEP
};

void put(Sums& to, const ResidualSums& s) { to.insert(to.end(), {s.residual.value(), s.data.value()}); }
void put(Sums& to, const DirectionSums& s) { to.insert(to.end(), {s.square.value(), s.slope.value()}); }
void put(Sums& to, const ExactSum& s) { to.push_back(s.value()); }
void put(Sums& to, index_t n) { to.push_back(static_cast<double>(n)); }

// Every step in turn, each on what those before left; returns what they sum.
template <class Steps, class Held>
Sums run_all(Steps& s, Arrays<Held>& t) {
  constexpr Bounds bounds{-0.5f, 0.75f};
  const Variation variation{{1.0f, 2.0f, 0.5f}, 0.3f, 0.1f};
  Sums out;
  put(out, s.weigh_residual(t.in(t.a), t.in(t.w), View3<const float>{}, t.out(t.c)));
  put(out, s.weigh_residual(t.in(t.a), t.in(t.w), t.in(t.b), t.out(t.c)));
  put(out, s.extrapolate_residual(t.in(t.a), t.in(t.w), t.in(t.b), 0.4f, t.out(t.d)));
  put(out, s.weighted_square(t.in(t.w), t.in(t.d)));
  put(out, s.subtract_projection(t.in(t.w), 0.3f, t.out(t.c), t.out(t.d)));
  s.update_volume(t.flat(t.a), t.flat(t.w), 0.7f, bounds, t.flat_out(t.c));
  put(out, s.free_descent(t.in(t.c), 0.2, bounds, t.out(t.d)));
  put(out, s.conjugate_direction(t.in(t.d), 0.6f, t.out(t.a)));
  put(out, s.walk_volume(t.in(t.a), 0.4f, bounds, t.out(t.c)));
  put(out, s.uphill(t.in(t.a), t.in(t.b), t.in(t.c)));
  s.move_ahead(0.3f, t.flat(t.a), t.flat_out(t.c), t.flat_out(t.d));
  s.gradient_step(t.flat(t.c), t.flat(t.w), t.flat_out(t.d));
  put(out, s.add_roughness(0.3, t.in(t.c), t.out(t.d)));
  s.ascend_dual(variation, t.in(t.w), t.in(t.d), t.dual());
  s.primal_from_dual(variation, t.in(t.w), t.in(t.d), t.dual(), bounds, t.out(t.c));
  put(out, s.poisson_ratio(t.in(t.a), t.in(t.w), 0.1f, t.out(t.d)));
  s.multiply_volume(t.flat(t.d), t.flat(t.w), bounds, t.flat_out(t.c));
  s.invert_sums(t.flat_out(t.d));
  s.multiply(t.flat(t.w), t.flat_out(t.a));
  s.divide(3.0f, t.flat_out(t.a));
  s.raise_to(t.flat(t.c), t.flat_out(t.a));
  s.copy(t.flat(t.d), t.flat_out(t.b));
  s.fill(0.1f, t.flat_out(t.d));
  s.graze(t.flat(t.b), 0.4f, t.flat_out(t.w));
  s.reciprocal(0.2f, t.flat_out(t.a));
  s.scale(0.6f, 0.9f, t.flat_out(t.a));
  put(out, s.weighted_sum(t.in(t.w), t.in(t.a)));
  return out;
}

TEST(DeviceSteps, AreTheCpusToTheBitInEverySchedule) {
  Arrays<Floats> wanted = on_cpu();
  CpuSteps cpu;
  const Sums wanted_sums = run_all(cpu, wanted);
  for (unsigned schedule : {0u, 1u, 7u, 8u}) {
    emulated::set_schedule(schedule);
    const auto steps = emulated::make_device_steps();
    Arrays<OnDevice> found = on_device(on_cpu());
    EXPECT_EQ(run_all(*steps, found), wanted_sums) << "schedule " << schedule;
    EXPECT_EQ(contents(found.a), wanted.a);
    EXPECT_EQ(contents(found.b), wanted.b);
    EXPECT_EQ(contents(found.c), wanted.c);
    EXPECT_EQ(contents(found.d), wanted.d);
    EXPECT_EQ(contents(found.q), wanted.q);
  }
  emulated::set_schedule(0);
}

TEST(DeviceSteps, TakeAndPutSomeElements) {
  const auto steps = emulated::make_device_steps();
  const emulated::DeviceArray<index_t> places(std::vector<index_t>{4, 0, 3});
  const OnDevice all(Floats{0, 1, 2, 3, 4}), some(Floats{7, 8, 9}), found(index_t{3});
  steps->take({places.data(), {3}}, {all.data(), {5}}, {found.data(), {3}});
  EXPECT_EQ(contents(found), (Floats{4, 0, 3}));
  steps->put({places.data(), {3}}, {some.data(), {3}}, {all.data(), {5}});
  EXPECT_EQ(contents(all), (Floats{8, 1, 2, 9, 7}));
}

TEST(DeviceSteps, SumWhatPlainAdditionWouldLose) {
  // 2^60 and its negative hide a 1 from every order of rounding additions but the exact one.
  constexpr index_t rows = 600;
  Floats values(rows, 0.0f), weights(rows, 1.0f);
  values[3] = values[500] = 0x1p30f;
  values[77] = 1.0f;
  weights[500] = -1.0f;
  const OnDevice v(values), w(weights);
  const auto steps = emulated::make_device_steps();
  const View3<const float> in{v.data(), {1, rows, 1}}, by{w.data(), {1, rows, 1}};
  EXPECT_EQ(steps->weighted_square(by, in).value(), 1.0);
}

TEST(DeviceSteps, SumInfinitiesAsTheCpuDoes) {
  Floats values(40, 1.0f);
  values[7] = std::numeric_limits<float>::infinity();
  const OnDevice v(values), w(Floats(40, 1.0f));
  const auto steps = emulated::make_device_steps();
  const View3<const float> in{v.data(), {1, 40, 1}}, by{w.data(), {1, 40, 1}};
  EXPECT_EQ(steps->weighted_square(by, in).value(), std::numeric_limits<double>::infinity());
}

TEST(DeviceSteps, RefuseVolumesBeyondTheGrid) {
  const OnDevice few(index_t{1});
  const auto steps = emulated::make_device_steps();
  const View3<float> tall{few.data(), {65536, 1, 1}};
  View<float, 4> dual;
  dual.data = few.data();
  const Variation variation{{1, 1, 1}, 1.0f, 0.0f};
  EXPECT_THROW(steps->ascend_dual(variation, tall, tall, dual), ArgumentError);
}

}  // namespace
}  // namespace cryolith
