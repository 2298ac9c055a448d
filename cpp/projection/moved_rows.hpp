// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// Plain data shared with moved_rows.cpp, which is compiled once per instruction set: no containers here.
#include "projection/sampling.hpp"

namespace cryolith {

// Positions [2^-32 pixel] of some samples in an image, and their kLanes-wide taps there: all of them lie inside.
struct Positions {
  const index_t *rows, *columns;
  index_t count;
};

#define CRYOLITH_DECLARE_MOVED_ROWS(ns)                                                                      \
  namespace ns {                                                                                             \
  /* out[i] = sum over 8 x 8 taps of the image (`stride` floats from row to row) around position i. */       \
  void sample_moved(TapTable table, const float* image, index_t stride, const Positions& at, float* out);    \
  /* The transpose: adds values[i] to the taps, i in order. */                                               \
  void spread_moved(TapTable table, const float* values, const Positions& at, float* image, index_t stride); \
  }
CRYOLITH_FOR_EACH_VARIANT(CRYOLITH_DECLARE_MOVED_ROWS)

}  // namespace cryolith
