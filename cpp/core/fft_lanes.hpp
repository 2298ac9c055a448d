// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// Stockham passes on lanes (Stockham 1966; Van Loan, Computational Frameworks for the FFT, 1992, section 1.7) and
// Bluestein's convolution (IEEE Trans. Audio 18, 451, 1970); for fft_kernels*.cpp only. `load` and `store` are
// functors, so that the first and the last pass work on the caller's array directly.
#include "core/fft_small.hpp"

namespace cryolith::fft::CRYOLITH_VARIANT {
namespace {

template <int R, class Load, class Store>
void pass(const Pass<Real>& p, const Load& load, const Store& store) {
  const index_t l1 = p.l1, ido = p.ido;
  if (ido == 1) {
    for (index_t k = 0; k < l1; ++k) {
      Lane x[R];
      static_for<R>([&](auto j) CRYOLITH_LAMBDA { x[j] = load(j + R * k); });
      Dft<R>::run(x);
      static_for<R>([&](auto j) CRYOLITH_LAMBDA { store(k + l1 * j, x[j]); });
    }
    return;
  }
  for (index_t k = 0; k < l1; ++k) {
    const Root* t = p.twiddle;
    for (index_t i = 0; i < ido; ++i, t += R - 1) {
      Lane x[R];
      static_for<R>([&](auto j) CRYOLITH_LAMBDA { x[j] = load(i + ido * (j + R * k)); });
      Dft<R>::run(x);
      store(i + ido * k, x[0]);
      static_for<R - 1>([&](auto j) CRYOLITH_LAMBDA { store(i + ido * (k + l1 * (j + 1)), x[j + 1] * t[j]); });
    }
  }
}

// Odd radix by its definition: sums and differences of mirrored samples, then outputs m, m + 1 and their mirror images
// in one sweep, so that they share every load. Roots come as (cos, sin)(m j) and (cos, sin)((m + 1) j), j = 1 ... h.
template <class Put>
CRYOLITH_INLINE void odd_outputs(int radix, Lane x0, const Lane* s, const Lane* d, const Root* c, const Put& put) {
  const int h = (radix - 1) / 2;
  int m = 1;
  for (; m + 1 <= h; m += 2) {
    Lane a0 = x0, a1 = x0, b0{}, b1{};
#pragma GCC unroll 2
    for (int j = 1; j <= h; ++j, c += 2) {
      Lane u = s[j], v = d[j];
      keep(u);
      keep(v);
      a0.re += u.re * c[0].re;
      a0.im += u.im * c[0].re;
      a1.re += u.re * c[1].re;
      a1.im += u.im * c[1].re;
      b0.re += v.re * c[0].im;
      b0.im += v.im * c[0].im;
      b1.re += v.re * c[1].im;
      b1.im += v.im * c[1].im;
    }
    b0 = minus_i(b0);
    b1 = minus_i(b1);
    put(m, a0 + b0);
    put(radix - m, a0 - b0);
    put(m + 1, a1 + b1);
    put(radix - m - 1, a1 - b1);
  }
  if (m != h) return;
  Lane a = x0, b{};
  for (int j = 1; j <= h; ++j, ++c) {
    a = a + s[j] * c->re;
    b = b + d[j] * c->im;
  }
  b = minus_i(b);
  put(m, a + b);
  put(radix - m, a - b);
}

template <class Load, class Store>
void pass_odd(const Pass<Real>& p, const Load& load, const Store& store) {
  const index_t l1 = p.l1, ido = p.ido, radix = p.radix, h = (radix - 1) / 2;
  Lane s[kMaxDirect / 2 + 1], d[kMaxDirect / 2 + 1];
  for (index_t k = 0; k < l1; ++k) {
    for (index_t i = 0; i < ido; ++i) {
      const Lane x0 = load(i + ido * radix * k);
      Lane sum = x0;
      for (index_t j = 1; j <= h; ++j) {
        const Lane a = load(i + ido * (j + radix * k)), b = load(i + ido * (radix - j + radix * k));
        s[j] = a + b;
        d[j] = a - b;
        sum = sum + s[j];
      }
      store(i + ido * k, sum);
      const auto put = [&](index_t m, Lane z) CRYOLITH_LAMBDA {
        store(i + ido * (k + l1 * m), ido > 1 ? z * p.twiddle[i * (radix - 1) + m - 1] : z);
      };
      odd_outputs(p.radix, x0, s, d, p.roots, put);
    }
  }
}

template <class Load, class Store>
void step(const Pass<Real>& p, const Load& load, const Store& store) {
  switch (p.radix) {
    case 2:
      return pass<2>(p, load, store);
    case 3:
      return pass<3>(p, load, store);
    case 4:
      return pass<4>(p, load, store);
    case 5:
      return pass<5>(p, load, store);
    case 7:
      return pass<7>(p, load, store);
    case 8:
      return pass<8>(p, load, store);
    default:
      return pass_odd(p, load, store);
  }
}

// All passes, from `load` to `store`, through a and b. `load` may read from b, `store` may write the array that the
// last pass does not read: a after an even number of passes, b after an odd one.
template <class Load, class Store>
void smooth(const LaneTable<Real>& t, const Load& load, const Store& store, Vec* a, Vec* b) {
  if (t.passes == 0) return store(0, load(0));
  const int last = t.passes - 1;
  if (last == 0) return step(t.pass[0], load, store);
  step(t.pass[0], load, Samples{a});
  for (int i = 1; i < last; ++i) {
    step(t.pass[i], Samples{a}, Samples{b});
    Vec* const swapped = a;
    a = b;
    b = swapped;
  }
  step(t.pass[last], Samples{a}, store);
}

template <class Load>
Vec* smooth_to_scratch(const LaneTable<Real>& t, const Load& load, Vec* a, Vec* b) {
  Vec* const last = t.passes % 2 == 1 || t.passes == 0 ? a : b;
  smooth(t, load, Samples{last}, a, b);
  return last;
}

template <class Load>
Vec* bluestein(const LaneTable<Real>& t, const Load& load, Vec* a, Vec* b) {
  const LaneTable<Real>& conv = *t.convolution;
  for (index_t i = 0; i < t.n; ++i) Samples{a}(i, load(i) * t.chirp[i]);  // load may read b: b is free only after this
  for (index_t i = t.n; i < conv.n; ++i) Samples{a}(i, Lane{});
  Vec* r = smooth_to_scratch(conv, Samples{a}, b, a);
  for (index_t i = 0; i < conv.n; ++i) Samples{r}(i, swap(Samples{r}(i)*t.kernel[i]));
  r = smooth_to_scratch(conv, Samples{r}, r == a ? b : a, r);
  for (index_t i = 0; i < t.n; ++i) Samples{r}(i, swap(Samples{r}(i)) * t.chirp[i]);
  return r;
}

// Forward transform from `load` to scratch; returns which of a and b holds the result. `load` may read from b.
template <class Load>
Vec* to_scratch(const LaneTable<Real>& t, const Load& load, Vec* a, Vec* b) {
  return t.convolution ? bluestein(t, load, a, b) : smooth_to_scratch(t, load, a, b);
}

// Forward transform from `load` to `store`, which may be the same array.
template <class Load, class Store>
void transform(const LaneTable<Real>& t, const Load& load, const Store& store, Vec* a, Vec* b) {
  if (!t.convolution) return smooth(t, load, store, a, b);
  const Samples r{bluestein(t, load, a, b)};
  for (index_t i = 0; i < t.n; ++i) store(i, r(i));
}

}  // namespace
}  // namespace cryolith::fft::CRYOLITH_VARIANT
