// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// Words of packed voxels, also for files compiled once per instruction set: everything is always inlined.
#include <cstdint>

#include "core/portable.hpp"
#include "core/view.hpp"

namespace cryolith::detect {

// Bit x of word w stands for position 64 w + x of a row.
using word_t = std::uint64_t;
// Numbers runs within a chunk, and components before the chunks are joined.
using id_t = std::uint32_t;

CRYOLITH_HD int count_ones(word_t word) { return __builtin_popcountll(word); }
// Position of the first one; word is not zero.
CRYOLITH_HD int first_one(word_t word) { return __builtin_ctzll(word); }
CRYOLITH_HD int last_one(word_t word) { return 63 - __builtin_clzll(word); }
// Bits 0..x, x in [0, 63].
CRYOLITH_HD word_t bits_upto(int x) { return ~word_t{0} >> (63 - x); }
// Bits 0..x-1, x in [0, 64].
CRYOLITH_HD word_t bits_below(int x) { return x == 64 ? ~word_t{0} : (word_t{1} << x) - 1; }
// Where runs of ones begin; `before` is the word to the left.
CRYOLITH_HD word_t run_starts(word_t word, word_t before) { return word & ~((word << 1) | (before >> 63)); }

// Rows of bits (z, y) of a volume. Row (0, 0) begins at `origin`; at least one zero word lies on either side of each
// row.
struct BitRows {
  const word_t* origin;
  index_t row_stride, slice_stride;
  CRYOLITH_HD const word_t* row(index_t z, index_t y) const { return origin + z * slice_stride + y * row_stride; }
};

}  // namespace cryolith::detect
