// SPDX-License-Identifier: BSD-3-Clause
// Transforms of arrays of any strides, in both precisions: equal to those of packed arrays, and nothing else is
// written. Heap blocks have exactly the size that the strides reach. The wide comparison is tests/test_core_fft.py.
#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <cstdlib>
#include <numeric>
#include <random>
#include <vector>

#include "core/fft.hpp"

namespace cryolith::fft {
namespace {

using Shape = std::vector<index_t>;

template <class T>
double bound() {
  return sizeof(T) == 4 ? 5e-7 : 2e-15;
}

// How an array lies: dimension order[0] is the innermost; every dimension steps over `gap` elements more than it has
// to, and the signs of `flipped` dimensions are negative.
struct Layout {
  Shape strides;
  index_t size = 0, first = 0;
  Layout(const Shape& shape, const std::vector<std::size_t>& order, index_t gap, const std::vector<bool>& flipped)
      : strides(shape.size()) {
    index_t reach = 1;
    for (const std::size_t d : order) {
      const index_t step = reach + (shape[d] > 1 ? gap : 0);
      strides[d] = flipped[d] ? -step : step;
      if (flipped[d]) first += (shape[d] - 1) * step;
      reach += (shape[d] - 1) * step;
    }
    size = reach;
  }
};

index_t product(const Shape& shape) {
  return std::accumulate(shape.begin(), shape.end(), index_t{1}, std::multiplies<>());
}

// f(place in C order, offset) for each element.
template <class F>
void each(const Shape& shape, const Layout& layout, const F& f) {
  for (index_t i = 0; i < product(shape); ++i) {
    index_t rest = i, at = layout.first;
    for (std::size_t d = shape.size(); d-- > 0; rest /= shape[d]) at += rest % shape[d] * layout.strides[d];
    f(static_cast<std::size_t>(i), static_cast<std::size_t>(at));
  }
}

template <class E>
std::vector<E> noise(index_t count, unsigned seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<double> normal;
  std::vector<E> out(static_cast<std::size_t>(count));
  for (E& z : out) {
    if constexpr (std::is_floating_point_v<E>)
      z = static_cast<E>(normal(engine) + 0.1);
    else
      z = E(static_cast<typename E::value_type>(normal(engine)), static_cast<typename E::value_type>(normal(engine)));
  }
  return out;
}

template <class A, class B>
double difference(const std::vector<A>& a, const std::vector<B>& b) {
  double error = 0, power = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    error += std::norm(std::complex<double>(a[i]) - std::complex<double>(b[i]));
    power += std::norm(std::complex<double>(b[i]));
  }
  return std::sqrt(error / power);
}

template <class E>
std::vector<E> spread(const std::vector<E>& packed, const Shape& shape, const Layout& layout, E rest) {
  std::vector<E> out(static_cast<std::size_t>(layout.size), rest);
  each(shape, layout, [&](std::size_t i, std::size_t at) { out[at] = packed[i]; });
  return out;
}
// Takes what the layout holds out of `memory`; all else has to be `rest` still.
template <class E>
std::vector<E> collect(std::vector<E> memory, const Shape& shape, const Layout& layout, E rest) {
  std::vector<E> out(static_cast<std::size_t>(product(shape)));
  each(shape, layout, [&](std::size_t i, std::size_t at) {
    out[i] = memory[at];
    memory[at] = rest;
  });
  EXPECT_EQ(memory, std::vector<E>(memory.size(), rest));
  return out;
}

template <class T>
void check(const Shape& shape, int axes, const std::vector<std::size_t>& order, index_t gap,
           const std::vector<bool>& flipped) {
  using Z = std::complex<T>;
  const T scale = T{1} / 8;
  Workspace ws;
  const PlanOf<T> real(shape, axes, Kind::real), complex(shape, axes, Kind::complex);
  const Layout layout(shape, order, gap, flipped), half_layout(real.spectrum(), order, gap, flipped);
  const auto at = []<class E>(std::vector<E>& memory, const Layout& l) {
    return Strided<E>(memory.data() + l.first, l.strides);
  };
  const auto from = []<class E>(const std::vector<E>& memory, const Layout& l) {
    return Strided<const E>(memory.data() + l.first, l.strides);
  };
  const std::vector<T> x = noise<T>(product(shape), 1);
  const std::vector<Z> z = noise<Z>(product(shape), 2);
  std::vector<Z> half(static_cast<std::size_t>(product(real.spectrum()))), forward(z), inverse(z);
  std::vector<T> back(x.size());
  real.forward({1}, x.data(), half.data(), ws);
  real.inverse({1}, half.data(), back.data(), scale, ws);
  complex.forward({1}, forward.data(), forward.data(), ws);
  complex.inverse({1}, z.data(), inverse.data(), scale, ws);

  const std::vector<T> in = spread(x, shape, layout, T{7});
  std::vector<Z> out(static_cast<std::size_t>(half_layout.size), Z(7));
  real.forward({2}, from(in, layout), at(out, half_layout), ws);
  EXPECT_LE(difference(collect(out, real.spectrum(), half_layout, Z(7)), half), bound<T>());

  const std::vector<Z> spectrum = spread(half, real.spectrum(), half_layout, Z(7));
  std::vector<T> image(static_cast<std::size_t>(layout.size), T{7});
  real.inverse({2}, from(spectrum, half_layout), at(image, layout), scale, ws);
  EXPECT_LE(difference(collect(image, shape, layout, T{7}), back), bound<T>());
  EXPECT_EQ(spectrum, spread(half, real.spectrum(), half_layout, Z(7))) << "the input was written";

  std::vector<Z> data = spread(z, shape, layout, Z(7));
  complex.forward({2}, from(data, layout), at(data, layout), ws);
  EXPECT_LE(difference(collect(data, shape, layout, Z(7)), forward), bound<T>());
  data = spread(z, shape, layout, Z(7));
  complex.inverse({2}, from(data, layout), at(data, layout), scale, ws);
  EXPECT_LE(difference(collect(data, shape, layout, Z(7)), inverse), bound<T>());
}

TEST(FftStrided, AnyOrderGapAndSignEqualsPacked) {
  for (const Shape& shape : {Shape{3, 20, 36}, Shape{9, 5, 17}, Shape{2, 16, 64}, Shape{1, 31, 1}, Shape{8, 24, 2}})
    for (const std::vector<std::size_t>& order : std::vector<std::vector<std::size_t>>{{2, 1, 0}, {0, 1, 2}, {1, 2, 0}})
      for (index_t gap : {0, 3})
        for (const std::vector<bool>& flipped : {std::vector<bool>{false, false, false}, {true, false, true}})
          for (int axes : {1, 2, 3}) {
            SCOPED_TRACE(testing::PrintToString(shape) + testing::PrintToString(order) + std::to_string(gap) +
                         testing::PrintToString(flipped) + std::to_string(axes));
            check<float>(shape, axes, order, gap, flipped);
            check<double>(shape, axes, order, gap, flipped);
          }
}

TEST(FftStrided, RealArraysInPlaceEqualOthers) {
  for (const Shape& shape : {Shape{3, 20, 36}, Shape{2, 9, 27}, Shape{2, 64, 256}})
    for (int axes : {1, 2, 3}) {
      SCOPED_TRACE(testing::PrintToString(shape) + std::to_string(axes));
      const Plan plan(shape, axes, Kind::real);
      const index_t m = plan.spectrum().back();
      const std::vector<float> x = noise<float>(product(shape), 3);
      std::vector<std::complex<float>> half(static_cast<std::size_t>(product(plan.spectrum()))), memory(half.size());
      std::vector<float> back(x.size());
      Workspace ws;
      plan.forward({1}, x.data(), half.data(), ws);
      const Shape strides{2 * m * shape[1], 2 * m, 1};
      const Strided<float> image(reinterpret_cast<float*>(memory.data()), strides);
      for (std::size_t i = 0; i < x.size(); ++i) {
        const auto n = static_cast<std::size_t>(shape[2]);
        image.data[i / n * static_cast<std::size_t>(2 * m) + i % n] = x[i];
      }
      plan.forward({2}, {image.data, strides}, memory.data(), ws);
      EXPECT_EQ(memory, half);
      plan.inverse({2}, memory.data(), image, 1.0F / static_cast<float>(plan.count()), ws);
      for (std::size_t i = 0; i < x.size(); ++i) {
        const auto n = static_cast<std::size_t>(shape[2]);
        back[i] = image.data[i / n * static_cast<std::size_t>(2 * m) + i % n];
      }
      EXPECT_LE(difference(back, x), bound<float>());
    }
}

TEST(FftStrided, WrongPlacesAreRefused) {
  const Plan real(Shape{4, 6}, 2, Kind::real), complex(Shape{4, 6}, 2, Kind::complex);
  std::vector<std::complex<float>> data(64);
  float* const reals = reinterpret_cast<float*>(data.data());
  const Shape short_strides{1}, columns{1, 4}, rows{6, 1};
  Workspace ws;
  EXPECT_THROW(real.forward({}, {reals, short_strides}, data.data(), ws), ArgumentError);
  EXPECT_THROW(real.forward({}, reals, data.data(), ws), ArgumentError) << "rows of 24 and 32 bytes in one place";
  EXPECT_THROW(real.inverse({}, data.data(), {reals, columns}, 1.0F, ws), ArgumentError);
  EXPECT_THROW(complex.forward({}, {data.data(), columns}, {data.data(), rows}, ws), ArgumentError);
}

}  // namespace
}  // namespace cryolith::fft
