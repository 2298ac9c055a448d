// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <bit>
#include <cstdint>

namespace cryolith::detect {

// Bit x of word w stands for position 64 w + x of a row.
using word_t = std::uint64_t;

// Bits 0..x, x in [0, 63].
inline word_t bits_upto(int x) { return ~word_t{0} >> (63 - x); }
// Bits 0..x-1, x in [0, 64].
inline word_t bits_below(int x) { return x == 64 ? ~word_t{0} : (word_t{1} << x) - 1; }
// First position of a zero at or after x, or 64.
inline int run_end(word_t word, int x) {
  const word_t zeros = ~word & ~bits_below(x);
  return zeros ? std::countr_zero(zeros) : 64;
}
// Where runs of ones begin; `before` is the word to the left.
inline word_t run_starts(word_t word, word_t before) { return word & ~((word << 1) | (before >> 63)); }

}  // namespace cryolith::detect
