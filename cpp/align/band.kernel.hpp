// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// What is done to one coefficient of a spectrum, the same words for every device.
#include "core/portable.hpp"

namespace cryolith {

struct Wave {
  float re, im;
};

// `factor` times a coefficient of an image that is moved: the phase is that along the row times that of the row.
CRYOLITH_HD Wave moved_wave(const Wave& f, const Wave& along, const Wave& across, float factor) {
  const float u = factor * (along.re * across.re - along.im * across.im);
  const float v = factor * (along.re * across.im + along.im * across.re);
  return {f.re * u - f.im * v, f.re * v + f.im * u};
}

}  // namespace cryolith
