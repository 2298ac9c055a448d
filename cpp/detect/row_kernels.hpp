// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// Rows of voxels to bits, compiled once per instruction set: no containers here.
#include "core/dispatch.hpp"
#include "detect/bits.hpp"

namespace cryolith::detect {

// What the elements of a row are.
enum class Element { u8, u16, i32, f32 };

// Rows of values are compared in copies with this many zeros on either side.
inline constexpr index_t kRowPad = 64;

#define CRYOLITH_DECLARE_ROWS(ns)                                                                                      \
  namespace ns {                                                                                                       \
  /* Bits of non-zero bytes. */                                                                                        \
  void pack_bytes(const std::uint8_t* values, index_t n, word_t* row);                                                 \
  /* Bits of low <= value <= high. */                                                                                  \
  void pack_between(const float* values, index_t n, float low, float high, word_t* row);                               \
  /* Of a padded row: `bits` where a value is no background (not 0, NaN or infinite), `starts` where a run begins that \
   */                                                                                                                  \
  /* is not of one kind with the voxel to its left: of another value (integers) or further than delta away (f32). */   \
  void split_row(Element element, const void* row, index_t words, float delta, word_t* bits, word_t* starts);          \
  }
CRYOLITH_FOR_EACH_VARIANT(CRYOLITH_DECLARE_ROWS)
#undef CRYOLITH_DECLARE_ROWS

}  // namespace cryolith::detect
