// SPDX-License-Identifier: BSD-3-Clause
// Two blocks of rows form one complex signal: a real even spectrum filters its real and imaginary part independently.
#include "reconstruct/row_fft.hpp"

#include "projection/lanes.hpp"

namespace cryolith::CRYOLITH_VARIANT {
namespace {

struct C8 {
  V8 re, im;
};

CRYOLITH_INLINE C8 sum(const C8& a, const C8& b) { return {a.re + b.re, a.im + b.im}; }
CRYOLITH_INLINE C8 difference(const C8& a, const C8& b) { return {a.re - b.re, a.im - b.im}; }
CRYOLITH_INLINE C8 scaled(const C8& a, float s) { return {a.re * s, a.im * s}; }
CRYOLITH_INLINE C8 product(const C8& a, float c, float s) { return {a.re * c - a.im * s, a.re * s + a.im * c}; }
// a times -i for the forward transform, +i for the inverse.
template <bool kInverse>
CRYOLITH_INLINE C8 turned(const C8& a) {
  return kInverse ? C8{-a.im, a.re} : C8{a.im, -a.re};
}

template <bool kInverse>
CRYOLITH_INLINE void dft2(C8 x[]) {
  const C8 d = difference(x[0], x[1]);
  x[0] = sum(x[0], x[1]);
  x[1] = d;
}

template <bool kInverse>
CRYOLITH_INLINE void dft3(C8 x[]) {
  constexpr float half_root3 = 0.866025403784438647f;
  const C8 s = sum(x[1], x[2]), d = turned<kInverse>(scaled(difference(x[1], x[2]), half_root3));
  const C8 m = difference(x[0], scaled(s, 0.5f));
  x[0] = sum(x[0], s);
  x[1] = sum(m, d);
  x[2] = difference(m, d);
}

template <bool kInverse>
CRYOLITH_INLINE void dft4(C8 x[]) {
  const C8 a = sum(x[0], x[2]), b = difference(x[0], x[2]);
  const C8 c = sum(x[1], x[3]), d = turned<kInverse>(difference(x[1], x[3]));
  x[0] = sum(a, c);
  x[1] = sum(b, d);
  x[2] = difference(a, c);
  x[3] = difference(b, d);
}

template <bool kInverse>
CRYOLITH_INLINE void dft5(C8 x[]) {
  constexpr float c1 = 0.309016994374947424f, c2 = -0.809016994374947424f;
  constexpr float s1 = 0.951056516295153572f, s2 = 0.587785252292473129f;
  const C8 a = sum(x[1], x[4]), b = sum(x[2], x[3]);
  const C8 da = difference(x[1], x[4]), db = difference(x[2], x[3]);
  const C8 p = sum(x[0], sum(scaled(a, c1), scaled(b, c2))), q = sum(x[0], sum(scaled(a, c2), scaled(b, c1)));
  const C8 r = turned<kInverse>(sum(scaled(da, s1), scaled(db, s2)));
  const C8 t = turned<kInverse>(difference(scaled(da, s2), scaled(db, s1)));
  x[0] = sum(x[0], sum(a, b));
  x[1] = sum(p, r);
  x[2] = sum(q, t);
  x[3] = difference(q, t);
  x[4] = difference(p, r);
}

template <int kRadix, bool kInverse>
CRYOLITH_INLINE void dft(C8 x[]) {
  if constexpr (kRadix == 2) dft2<kInverse>(x);
  if constexpr (kRadix == 3) dft3<kInverse>(x);
  if constexpr (kRadix == 4) dft4<kInverse>(x);
  if constexpr (kRadix == 5) dft5<kInverse>(x);
}

// One pass over n samples, whole blocks of the pass's length.
template <int kRadix, bool kInverse>
void run_pass(const FftPass& pass, index_t n, C8* data) {
  const index_t length = pass.length, part = length / kRadix;
  for (index_t block = 0; block < n; block += length)
    for (index_t j = 0; j < part; ++j) {
      C8 x[kRadix];
      C8* p = data + block + j;
      const float* w = pass.twiddles + 2 * (kRadix - 1) * j;
      for (int q = 0; q < kRadix; ++q) {
        x[q] = p[q * part];
        if (kInverse && q > 0) x[q] = product(x[q], w[2 * q - 2], -w[2 * q - 1]);
      }
      dft<kRadix, kInverse>(x);
      for (int q = 0; q < kRadix; ++q)
        p[q * part] = kInverse || q == 0 ? x[q] : product(x[q], w[2 * q - 2], w[2 * q - 1]);
    }
}

template <bool kInverse>
void run_any(const FftPass& pass, index_t n, C8* data) {
  switch (pass.radix) {
    case 2:
      return run_pass<2, kInverse>(pass, n, data);
    case 3:
      return run_pass<3, kInverse>(pass, n, data);
    case 4:
      return run_pass<4, kInverse>(pass, n, data);
    default:
      return run_pass<5, kInverse>(pass, n, data);
  }
}

// The innermost pass there and back with the multiplication in between: its blocks stay in registers, its twiddle
// factors are 1.
template <int kRadix>
void innermost(index_t n, const std::int32_t* frequency, const float* gain, C8* data) {
  for (index_t block = 0; block < n; block += kRadix) {
    C8 x[kRadix];
    for (int q = 0; q < kRadix; ++q) x[q] = data[block + q];
    dft<kRadix, false>(x);
    for (int q = 0; q < kRadix; ++q) x[q] = scaled(x[q], gain[frequency[block + q]]);
    dft<kRadix, true>(x);
    for (int q = 0; q < kRadix; ++q) data[block + q] = x[q];
  }
}

// From pass `first` on, there and back, over one of its blocks, which starts at `at`. Long blocks are cut before they
// are passed over again, so that the rest happens in L1.
void convolve(const FftTables& tables, std::int32_t first, index_t at, const float* gain, C8* data) {
  constexpr index_t in_l1 = 256;
  const index_t n = tables.pass[first].length, last = tables.passes - 1;
  if (n > in_l1 && first < last) {
    run_any<false>(tables.pass[first], n, data + at);
    const index_t part = tables.pass[first + 1].length;
    for (index_t block = 0; block < n; block += part) convolve(tables, first + 1, at + block, gain, data);
    return run_any<true>(tables.pass[first], n, data + at);
  }
  for (std::int32_t p = first; p < last; ++p) run_any<false>(tables.pass[p], n, data + at);
  const std::int32_t* frequency = tables.frequency + at;
  switch (tables.pass[last].radix) {
    case 2:
      innermost<2>(n, frequency, gain, data + at);
      break;
    case 3:
      innermost<3>(n, frequency, gain, data + at);
      break;
    case 4:
      innermost<4>(n, frequency, gain, data + at);
      break;
    default:
      innermost<5>(n, frequency, gain, data + at);
  }
  for (std::int32_t p = static_cast<std::int32_t>(last); p-- > first;) run_any<true>(tables.pass[p], n, data + at);
}

// The outermost pass, of radix 4, from and to the rows themselves: count <= n/2, so that the second half is 0 and
// not wanted.
void outermost_forward(const FftPass& pass, index_t count, const float* a, const float* b, C8* data) {
  const index_t part = pass.length / 4;
  const auto sample = [&](index_t i) {
    C8 x = {V8{}, V8{}};
    if (i < count) load8(x.re, a + 8 * i);
    if (i < count && b != nullptr) load8(x.im, b + 8 * i);
    return x;
  };
  for (index_t j = 0; j < part; ++j) {
    const float* w = pass.twiddles + 6 * j;
    const C8 x = sample(j), y = sample(j + part), t = turned<false>(y);
    data[j] = sum(x, y);
    data[j + part] = product(sum(x, t), w[0], w[1]);
    data[j + 2 * part] = product(difference(x, y), w[2], w[3]);
    data[j + 3 * part] = product(difference(x, t), w[4], w[5]);
  }
}

void outermost_inverse(const FftPass& pass, index_t count, const C8* data, float* a, float* b) {
  const index_t part = pass.length / 4;
  const auto put = [&](index_t i, const C8& x) {
    if (i >= count) return;
    store8(a + 8 * i, x.re);
    if (b != nullptr) store8(b + 8 * i, x.im);
  };
  for (index_t j = 0; j < part; ++j) {
    const float* w = pass.twiddles + 6 * j;
    const C8 x0 = data[j], x1 = product(data[j + part], w[0], -w[1]);
    const C8 x2 = product(data[j + 2 * part], w[2], -w[3]), x3 = product(data[j + 3 * part], w[4], -w[5]);
    put(j, sum(sum(x0, x2), sum(x1, x3)));
    put(j + part, sum(difference(x0, x2), turned<true>(difference(x1, x3))));
  }
}

}  // namespace

void filter_rows(FftTables tables, const float* gain, index_t count, float* a, float* b, float* work) {
  C8* data = reinterpret_cast<C8*>(work);
  outermost_forward(tables.pass[0], count, a, b, data);
  for (index_t block = 0; block < tables.n; block += tables.n / 4) convolve(tables, 1, block, gain, data);
  outermost_inverse(tables.pass[0], count, data, a, b);
}

}  // namespace cryolith::CRYOLITH_VARIANT
