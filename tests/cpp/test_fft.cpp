// SPDX-License-Identifier: BSD-3-Clause
// Arrays here are heap blocks of exactly the size in the contract, so that the address sanitizer sees a vector load or
// store that passes an end. The wide comparison with numpy is tests/test_core_fft.py.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <complex>
#include <cstdlib>
#include <memory>
#include <numbers>
#include <numeric>
#include <random>
#include <thread>
#include <vector>

#include "core/fft.hpp"
#include "core/fft_band.hpp"

namespace cryolith::fft {
namespace {

using C = std::complex<float>;
using Z = std::complex<double>;
using Shape = std::vector<index_t>;

constexpr double kError = 5e-7;  // relative rms; see test_core_fft.py

std::size_t product(const Shape& shape) {
  return static_cast<std::size_t>(std::accumulate(shape.begin(), shape.end(), index_t{1}, std::multiplies<>()));
}

std::vector<C> noise(std::size_t count, unsigned seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal;
  std::vector<C> out(count);
  for (C& z : out) z = {normal(engine) + 0.1F, normal(engine)};
  return out;
}

// The definition, along one axis of a C-ordered array.
std::vector<Z> definition(const std::vector<Z>& x, const Shape& shape, std::size_t axis, int sign) {
  const auto n = static_cast<std::size_t>(shape[axis]);
  std::size_t inner = 1;
  for (std::size_t i = axis + 1; i < shape.size(); ++i) inner *= static_cast<std::size_t>(shape[i]);
  std::vector<Z> root(n), out(x.size());
  for (std::size_t k = 0; k < n; ++k)
    root[k] = std::polar(1.0, sign * 2 * std::numbers::pi * static_cast<double>(k) / static_cast<double>(n));
  for (std::size_t o = 0; o < x.size(); o += n * inner)
    for (std::size_t k = 0; k < n; ++k)
      for (std::size_t i = 0; i < n; ++i)
        for (std::size_t c = 0; c < inner; ++c) out[o + k * inner + c] += root[k * i % n] * x[o + i * inner + c];
  return out;
}

std::vector<Z> definition(const std::vector<C>& x, const Shape& shape, int axes, int sign) {
  std::vector<Z> out(x.begin(), x.end());
  for (int i = 1; i <= axes; ++i) out = definition(out, shape, shape.size() - static_cast<std::size_t>(i), sign);
  return out;
}

template <class A, class B>
double difference(const A& a, const B& b) {
  double error = 0, power = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    error += std::norm(Z(a[i]) - Z(b[i]));
    power += std::norm(Z(b[i]));
  }
  return std::sqrt(error / power);
}

void check_complex(const Shape& shape, int axes, const Cpu& cpu) {
  const std::vector<C> x = noise(product(shape), 1);
  const Plan plan(shape, axes, Kind::complex);
  Workspace ws;
  std::vector<C> data = x;
  plan.forward(cpu, data.data(), data.data(), ws);
  EXPECT_LE(difference(data, definition(x, shape, axes, -1)), kError);
  data = x;
  plan.inverse(cpu, data.data(), data.data(), 0.25F, ws);
  for (C& z : data) z *= 4;
  EXPECT_LE(difference(data, definition(x, shape, axes, +1)), kError);
}

void check_real(const Shape& shape, int axes, const Cpu& cpu) {
  const std::vector<C> full = noise(product(shape), 2);
  std::vector<float> x;
  for (const C& z : full) x.push_back(z.real());
  const Plan plan(shape, axes, Kind::real);
  const auto n = static_cast<std::size_t>(shape.back()), m = static_cast<std::size_t>(plan.spectrum().back());
  ASSERT_EQ(m, n / 2 + 1);
  Workspace ws;
  std::vector<C> half(product(plan.spectrum()));
  plan.forward(cpu, x.data(), half.data(), ws);
  const std::vector<Z> whole = definition(std::vector<C>(x.begin(), x.end()), shape, axes, -1);
  std::vector<Z> expected;
  for (std::size_t i = 0; i < whole.size(); ++i)
    if (i % n < m) expected.push_back(whole[i]);
  EXPECT_LE(difference(half, expected), kError);
  const std::vector<C> kept = half;
  std::vector<float> back(x.size());
  plan.inverse(cpu, half.data(), back.data(), 1.0F / static_cast<float>(plan.count()), ws);
  EXPECT_LE(difference(back, x), kError);
  EXPECT_EQ(half, kept);
}

TEST(Fft, EveryLengthEqualsTheDefinition) {
  for (index_t n = 1; n <= 150; ++n) {
    SCOPED_TRACE(n);
    for (index_t rows : {1, 3, 17}) {
      check_real({rows, n}, 1, {1});
      check_complex({rows, n}, 1, {1});
    }
    check_complex({n, 9}, 2, {1});
    check_real({n, 9}, 2, {1});
  }
}

TEST(Fft, LongAndAwkwardLengthsEqualTheDefinition) {
  for (index_t n : {256, 257, 269, 480, 512, 521, 556, 640, 1001, 1024, 1344}) {
    SCOPED_TRACE(n);
    check_real({2, n}, 1, {1});
    check_complex({2, n}, 1, {1});
  }
}

TEST(Fft, TwoAndThreeAxesEqualTheDefinition) {
  const std::vector<Shape> shapes = {{1, 1},      {2, 1},       {1, 2},      {13, 27},   {64, 33},
                                     {3, 20, 36}, {2, 5, 7},    {16, 8, 9},  {1, 1, 1},  {5, 1, 130},
                                     {2, 64, 64}, {2, 3, 4, 5}, {11, 9, 16}, {4, 33, 96}};
  for (const Shape& shape : shapes) {
    SCOPED_TRACE(testing::PrintToString(shape));
    for (int axes = 2; axes <= std::min<int>(3, static_cast<int>(shape.size())); ++axes) {
      check_real(shape, axes, {2});
      check_complex(shape, axes, {2});
    }
  }
}

TEST(Fft, ThreadsGiveTheSameBits) {
  const Shape shape{3, 700, 601};
  const std::vector<C> noisy = noise(product(shape), 3);
  std::vector<float> x;
  for (const C& z : noisy) x.push_back(z.imag());
  for (int axes : {1, 2, 3}) {
    const Plan plan(shape, axes, Kind::real);
    std::vector<std::vector<C>> spectra;
    for (int threads : {1, 2, 3}) {
      Workspace ws;
      spectra.emplace_back(product(plan.spectrum()));
      plan.forward({threads}, x.data(), spectra.back().data(), ws);
    }
    EXPECT_EQ(spectra[0], spectra[1]);
    EXPECT_EQ(spectra[0], spectra[2]);
  }
}

TEST(Fft, OnePlanServesManyThreadsAtOnce) {
  const Shape shape{96, 130};
  const Plan plan(shape, 2, Kind::complex);
  const std::vector<C> x = noise(product(shape), 4);
  std::vector<std::vector<C>> results(4, x);
  std::vector<std::thread> threads;
  for (std::vector<C>& data : results)
    threads.emplace_back([&plan, &data] {
      Workspace ws;
      for (int i = 0; i < 5; ++i) {
        plan.forward({1}, data.data(), data.data(), ws);
        plan.inverse({2}, data.data(), data.data(), 1.0F / static_cast<float>(plan.count()), ws);
      }
    });
  for (std::thread& thread : threads) thread.join();
  for (const std::vector<C>& data : results) EXPECT_EQ(data, results[0]);
  EXPECT_LE(difference(results[0], x), 10 * kError);
}

TEST(Fft, ACancelledTransformSaysSo) {
  CancelToken token;
  token.cancel();
  const Plan plan(Shape{64, 64}, 2, Kind::complex);
  std::vector<C> x(64 * 64);
  Workspace ws;
  EXPECT_THROW(plan.forward({2, &token}, x.data(), x.data(), ws), Cancelled);
}

TEST(Fft, PlansMoveAndRefuse) {
  Plan a(Shape{4, 6}, 2, Kind::real);
  const Plan b = std::move(a);
  EXPECT_EQ(b.shape(), (Shape{4, 6}));
  EXPECT_EQ(b.spectrum(), (Shape{4, 4}));
  EXPECT_EQ(b.count(), 24);
  Workspace ws;
  std::vector<C> data(24);
  EXPECT_THROW(b.forward({}, data.data(), data.data(), ws), ArgumentError);
  EXPECT_THROW(Plan(Shape{4, 0}, 1, Kind::real), ArgumentError);
  EXPECT_THROW(Plan(Shape{4}, 2, Kind::real), ArgumentError);
  EXPECT_THROW(Plan(Shape{1 << 30, 1 << 30}, 1, Kind::real), ArgumentError);
  EXPECT_THROW(good_size(-1), ArgumentError);
}

// Rows given one group at a time, columns up to some: what the whole transform has there.
TEST(FftBand, EqualsThatPartOfTheWholeTransform) {
  for (const auto& [py, px, rows, columns] : {std::array<index_t, 4>{64, 128, 50, 20},
                                              {45, 27, 45, 14},
                                              {128, 256, 100, 129},
                                              {20, 18, 7, 1},
                                              {7, 4, 7, 3}}) {
    SCOPED_TRACE(testing::PrintToString(Shape{py, px, rows, columns}));
    const std::vector<C> noisy = noise(product({rows, px}), 5);
    std::vector<float> image(product({py, px}));
    for (std::size_t i = 0; i < noisy.size(); ++i) image[i] = noisy[i].real();
    const Plan plan(Shape{py, px}, 2, Kind::real);
    std::vector<C> whole(product(plan.spectrum()));
    Workspace ws;
    plan.forward({1}, image.data(), whole.data(), ws);

    const BandPlan band(py, px);
    BandPlan::Scratch scratch(band);
    const index_t n = BandPlan::rounded(columns);
    const auto floats = static_cast<std::size_t>(band.floats(columns));
    const std::unique_ptr<float, decltype(&std::free)> memory(
        static_cast<float*>(std::aligned_alloc(64, (sizeof(float) * floats + 63) / 64 * 64)), &std::free);
    const LaneColumns lanes = band.view(memory.get());
    for (index_t first = 0; first < rows; first += band.group()) {
      const index_t count = std::min(band.group(), rows - first);
      for (index_t k = 0; k < count; ++k) std::copy_n(image.data() + (first + k) * px, px, scratch.row(k));
      band.rows(first, count, columns, scratch, lanes);
    }
    band.columns(columns, rows, scratch, lanes);
    std::vector<float> re(static_cast<std::size_t>(n)), im(re), sums(static_cast<std::size_t>(4 * n));
    std::vector<C> got, expected;
    double power = 0;
    for (index_t i = 0; i < py; ++i) {
      BandPlan::planar(lanes, n, i, re.data(), im.data());
      BandPlan::add_cross(lanes, lanes, n, i, sums.data());
      for (index_t k = 0; k < columns; ++k) {
        got.emplace_back(re[static_cast<std::size_t>(k)], im[static_cast<std::size_t>(k)]);
        expected.push_back(whole[static_cast<std::size_t>(i * (px / 2 + 1) + k)]);
        power += std::norm(expected.back());
      }
    }
    EXPECT_LE(difference(got, expected), 2 * kError);
    for (std::size_t kind = 0; kind < 4; ++kind) {  // |a|^2, |b|^2, real and imaginary part of conj(a) b, b = a
      double sum = 0;
      for (index_t k = 0; k < columns; ++k)
        sum += sums[kind * static_cast<std::size_t>(n) + static_cast<std::size_t>(k)];
      EXPECT_NEAR(sum, kind < 3 ? power : 0.0, 1e-5 * power);
    }
  }
  EXPECT_THROW(BandPlan(0, 8), ArgumentError);
}

TEST(FftWorkspace, GrowsAndKeepsItsAlignment) {
  Workspace ws;
  for (std::size_t bytes : {std::size_t{0}, std::size_t{1}, std::size_t{5000}, std::size_t{3} << 20}) {
    void* p = ws.reserve(bytes);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(p) % 4096, 0U);
    EXPECT_EQ(ws.reserve(bytes / 2), p) << "a smaller wish moves nothing";
  }
}

}  // namespace
}  // namespace cryolith::fft
