// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// What is done to one coefficient of a spectrum, the same words for every device.
#include "core/portable.hpp"

namespace cryolith {

// A complex number; devices read and write it whole.
struct alignas(8) Wave {
  float re, im;
};

CRYOLITH_HD Wave times(const Wave& a, const Wave& b) { return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re}; }
CRYOLITH_HD float power_of(const Wave& a) { return a.re * a.re + a.im * a.im; }
// weight conj(a) b
CRYOLITH_HD Wave cross_wave(const Wave& a, const Wave& b, float weight) {
  return {weight * (a.re * b.re + a.im * b.im), weight * (a.re * b.im - a.im * b.re)};
}
// Re(conj(a) b e)
CRYOLITH_HD float common_power(const Wave& a, const Wave& b, const Wave& e) {
  return (a.re * b.re + a.im * b.im) * e.re - (a.re * b.im - a.im * b.re) * e.im;
}

// `factor` times a coefficient of an image that is moved: the phase is that along the row times that of the row.
CRYOLITH_HD Wave moved_wave(const Wave& f, const Wave& along, const Wave& across, float factor) {
  const float u = factor * (along.re * across.re - along.im * across.im);
  const float v = factor * (along.re * across.im + along.im * across.re);
  return {f.re * u - f.im * v, f.re * v + f.im * u};
}

// Whether at(0, 0) is higher than its neighbours at(-1 ... 1, -1 ... 1); of equal ones the first counts.
template <class At>
CRYOLITH_HD bool is_top(const At& at) {
  const float here = at(0, 0);
  bool top = true;
  for (int j = -1; j <= 1 && top; ++j)
    for (int i = -1; i <= 1; ++i) top = top && (at(j, i) < here || (at(j, i) == here && (j > 0 || (j == 0 && i >= 0))));
  return top;
}

inline constexpr float kWhole = 8388608.0f;  // above 2^23 every float is whole, and adding that rounds
// Whether a pixel is a whole number from 0.
CRYOLITH_HD bool is_count(float v) { return v >= 0 && (v + kWhole) - kWhole == v; }
CRYOLITH_HD bool is_finite(float v) { return v - v == 0; }

// A pixel under a window, less the mean.
CRYOLITH_HD float windowed(float value, float w, float wy, float mean) { return wy * w * (value - mean); }

}  // namespace cryolith
