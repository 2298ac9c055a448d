// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// Where the taps of a position lie and what they weigh: the same words for every device.
#include "core/portable.hpp"
#include "projection/sampling.hpp"

namespace cryolith {

// Of the kTaps weights of a position [2^-32 pixel]: the first pixel, the table's row, and how far to the next row.
struct TapPlace {
  index_t first;
  int phase;
  float between;
};

CRYOLITH_HD TapPlace tap_place(index_t position) {
  constexpr int rest_bits = kPositionBits - kPhaseBits;
  constexpr float unit = 1.0f / static_cast<float>(index_t{1} << rest_bits);
  const index_t rest = position & ((index_t{1} << rest_bits) - 1);
  return {(position >> kPositionBits) - (kTaps / 2 - 1), static_cast<int>((position >> rest_bits) & (kPhases - 1)),
          static_cast<float>(static_cast<std::int32_t>(rest)) * unit};
}

}  // namespace cryolith
