// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// Small forward transforms in registers, natural order in and out; for fft_kernels*.cpp only.
#include "core/fft_simd.hpp"

namespace cryolith::fft::CRYOLITH_VARIANT {
namespace {

template <int R>
struct Dft;

template <>
struct Dft<2> {
  static CRYOLITH_INLINE void run(Lane* x) {
    const Lane a = x[0];
    x[0] = a + x[1];
    x[1] = a - x[1];
  }
};

template <>
struct Dft<3> {
  static CRYOLITH_INLINE void run(Lane* x) {
    const Lane s = x[1] + x[2], d = minus_i(x[1] - x[2]) * Real(0.86602540378443865), m = x[0] - s * 0.5f;
    x[0] = x[0] + s;
    x[1] = m + d;
    x[2] = m - d;
  }
};

template <>
struct Dft<4> {
  static CRYOLITH_INLINE void run(Lane* x) {
    const Lane s = x[0] + x[2], d = x[0] - x[2], u = x[1] + x[3], v = minus_i(x[1] - x[3]);
    x[0] = s + u;
    x[1] = d + v;
    x[2] = s - u;
    x[3] = d - v;
  }
};

template <>
struct Dft<5> {
  static CRYOLITH_INLINE void run(Lane* x) {
    constexpr auto c1 = Real(0.30901699437494742), c2 = Real(-0.80901699437494742);  // cos(2 pi k / 5)
    constexpr auto s1 = Real(0.95105651629515357), s2 = Real(0.58778525229247313);   // sin(2 pi k / 5)
    const Lane p = x[1] + x[4], m = x[1] - x[4], q = x[2] + x[3], n = x[2] - x[3];
    const Lane a = x[0] + p * c1 + q * c2, b = x[0] + p * c2 + q * c1;
    const Lane d = minus_i(m * s1 + n * s2), e = minus_i(m * s2 - n * s1);
    x[0] = x[0] + p + q;
    x[1] = a + d;
    x[4] = a - d;
    x[2] = b + e;
    x[3] = b - e;
  }
};

template <>
struct Dft<7> {
  static CRYOLITH_INLINE void run(Lane* x) {
    constexpr Real c[3] = {Real(0.62348980185873353), Real(-0.22252093395631440), Real(-0.90096886790241913)};
    constexpr Real s[3] = {Real(0.78183148246802981), Real(0.97492791218182361), Real(0.43388373911755812)};
    const Lane p1 = x[1] + x[6], p2 = x[2] + x[5], p3 = x[3] + x[4], x0 = x[0];
    const Lane m1 = x[1] - x[6], m2 = x[2] - x[5], m3 = x[3] - x[4];
    const Lane a1 = x0 + p1 * c[0] + p2 * c[1] + p3 * c[2], d1 = minus_i(m1 * s[0] + m2 * s[1] + m3 * s[2]);
    const Lane a2 = x0 + p1 * c[1] + p2 * c[2] + p3 * c[0], d2 = minus_i(m1 * s[1] - m2 * s[2] - m3 * s[0]);
    const Lane a3 = x0 + p1 * c[2] + p2 * c[0] + p3 * c[1], d3 = minus_i(m1 * s[2] - m2 * s[0] + m3 * s[1]);
    x[0] = x0 + p1 + p2 + p3;
    x[1] = a1 + d1;
    x[6] = a1 - d1;
    x[2] = a2 + d2;
    x[5] = a2 - d2;
    x[3] = a3 + d3;
    x[4] = a3 - d3;
  }
};

template <>
struct Dft<8> {
  static CRYOLITH_INLINE void run(Lane* x) {
    constexpr auto h = Real(0.70710678118654752);
    Lane e[4] = {x[0] + x[4], x[1] + x[5], x[2] + x[6], x[3] + x[7]};
    Lane o[4] = {x[0] - x[4], x[1] - x[5], minus_i(x[2] - x[6]), x[3] - x[7]};
    const Lane p = o[1] * h, q = o[3] * h;  // w8 = h (1 - i), w8^3 = -h (1 + i)
    o[1] = {p.re + p.im, p.im - p.re};
    o[3] = {q.im - q.re, -q.re - q.im};
    const Lane s = o[0] + o[2], d = o[0] - o[2], u = o[1] + o[3], v = minus_i(o[1] - o[3]);
    Dft<4>::run(e);
    x[0] = e[0];
    x[2] = e[1];
    x[4] = e[2];
    x[6] = e[3];
    x[1] = s + u;
    x[3] = d + v;
    x[5] = s - u;
    x[7] = d - v;
  }
};

}  // namespace
}  // namespace cryolith::fft::CRYOLITH_VARIANT
