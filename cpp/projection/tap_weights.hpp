// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// For files compiled once per instruction set: the weights of one position.
#include "projection/lanes.hpp"
#include "projection/sampling.hpp"

namespace cryolith {

// First tap and weights of a position [2^-32 pixel].
CRYOLITH_INLINE index_t tap_weights(TapTable table, index_t position, V8& w) {
  constexpr int rest_bits = kPositionBits - kPhaseBits;
  constexpr float unit = 1.0f / static_cast<float>(index_t{1} << rest_bits);
  const index_t phase = (position >> rest_bits) & (kPhases - 1), rest = position & ((index_t{1} << rest_bits) - 1);
  V8 low, high, between;
  load8(low, table.weights + phase * kTaps);
  load8(high, table.weights + (phase + 1) * kTaps);
  splat8(between, static_cast<float>(static_cast<std::int32_t>(rest)) * unit);
  w = low + between * (high - low);
  return (position >> kPositionBits) - (kTaps / 2 - 1);
}

}  // namespace cryolith
