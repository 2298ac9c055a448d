// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// Distances along an axis and their squares: the same words for every device. Without branches, so that compilers make
// vectors of them.
#include <cstdint>

#include "core/portable.hpp"

namespace cryolith::detect {

// A run without an end, and a distance without a voxel.
constexpr std::uint16_t kNoEnd = 65535;

enum class Kind : int { mask = 0, labels = 1, all_labels = 2 };  // all_labels: 0 is a label like the others

template <class U>
CRYOLITH_HD U ones_if(bool is) {
  return static_cast<U>(-static_cast<U>(is));
}
CRYOLITH_HD std::uint16_t one_more(std::uint16_t run) { return static_cast<std::uint16_t>(run + (run != kNoEnd)); }

// A voxel's distance to the nearest other value on one side, from that of its neighbour there.
template <Kind kKind, class V>
CRYOLITH_HD std::uint16_t next_run(std::uint16_t run, V value, V beside) {
  const std::uint16_t longer = one_more(run), counts = ones_if<std::uint16_t>(value != 0);
  if constexpr (kKind == Kind::mask) return longer & counts;
  const std::uint16_t same = ones_if<std::uint16_t>(value == beside);
  const std::uint16_t next = static_cast<std::uint16_t>((longer & same) | (~same & 1));
  return kKind == Kind::labels ? next & counts : next;
}

// What lies beyond an end of a line: nothing, or (border) another label next to all but zeros of all_labels.
template <Kind kKind, class V>
CRYOLITH_HD std::uint16_t run_beyond(bool border, V value) {
  return border && (kKind != Kind::all_labels || value != 0) ? std::uint16_t{0} : kNoEnd;
}

// `square`: of an edge. Whole numbers below 2^24 are exact.
CRYOLITH_HD float square_of_run(std::uint16_t run, float square) {
  const float r = static_cast<float>(static_cast<std::int32_t>(run));
  return run == kNoEnd ? __builtin_inff() : square * (r * r);
}

}  // namespace cryolith::detect
