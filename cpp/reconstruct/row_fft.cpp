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

}  // namespace

void filter_rows(FftTables tables, const float* gain, index_t count, float* a, float* b, float* work) {
  C8* data = reinterpret_cast<C8*>(work);
  const C8 zero = {V8{}, V8{}};
  for (index_t i = 0; i < tables.n; ++i) {
    data[i] = zero;
    if (i < count) load8(data[i].re, a + 8 * i);
    if (i < count && b != nullptr) load8(data[i].im, b + 8 * i);
  }
  for (int p = 0; p < tables.passes; ++p) run_any<false>(tables.pass[p], tables.n, data);
  for (index_t i = 0; i < tables.n; ++i) data[i] = scaled(data[i], gain[tables.frequency[i]]);
  for (int p = tables.passes; p-- > 0;) run_any<true>(tables.pass[p], tables.n, data);
  for (index_t i = 0; i < count; ++i) {
    store8(a + 8 * i, data[i].re);
    if (b != nullptr) store8(b + 8 * i, data[i].im);
  }
}

}  // namespace cryolith::CRYOLITH_VARIANT
