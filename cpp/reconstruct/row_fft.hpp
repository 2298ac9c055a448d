// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// Batch FFT along stretched rows, one volume row per vector lane: no shuffling at all. Plain data only: shared with a
// file that is compiled once per instruction set.
#include <cstdint>

#include "core/dispatch.hpp"
#include "core/view.hpp"

namespace cryolith {

// One pass: radix and its twiddle factors (cos, sin of -2 pi j q / length for j < length / radix, 1 <= q < radix).
struct FftPass {
  std::int32_t radix, length;
  const float* twiddles;
};
// Decimation in frequency, in place: position p then holds frequency `frequency[p]` (folded into 0 ... n/2). The
// inverse runs the passes backwards, so nothing is ever reordered. The first pass has radix 4, and there is a second.
struct FftTables {
  index_t n;
  std::int32_t passes;
  const FftPass* pass;
  const std::int32_t* frequency;
};

#define CRYOLITH_DECLARE_ROW_FFT(ns)                                                                            \
  namespace ns {                                                                                                \
  /* Convolves `count` rows of kLanes, a and b (b may be null), with the real even kernel of spectrum `gain` */ \
  /* (n/2 + 1, 1/n included). count <= n/2; work: 16 n floats. */                                               \
  void filter_rows(FftTables tables, const float* gain, index_t count, float* a, float* b, float* work);        \
  }
CRYOLITH_FOR_EACH_VARIANT(CRYOLITH_DECLARE_ROW_FFT)

}  // namespace cryolith
