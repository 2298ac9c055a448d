// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// Shared with row_sums.cpp, which is compiled once per instruction set: no containers here.
#include <cstdint>

#include "core/dispatch.hpp"
#include "core/view.hpp"

namespace cryolith {

inline constexpr int kRowLanes = 8;  // sums side by side: lane i takes the elements i, i + 8, ... in order

// What a row came to. A sum is its float64 part `high` plus that of its rounding errors, `low`.
struct RowSums {
  struct Lanes {
    double high[kRowLanes], low[kRowLanes];
  };
  Lanes sum, squares;
  float lowest[kRowLanes], highest[kRowLanes];
  std::int32_t count[kRowLanes];
};

#define CRYOLITH_DECLARE_ROW_SUMS(ns)                                                    \
  namespace ns {                                                                         \
  /* Of the finite ones of n < 2^31 values; the same bits from every instruction set. */ \
  void row_sums(const float* values, index_t n, RowSums& out);                           \
  }
CRYOLITH_FOR_EACH_VARIANT(CRYOLITH_DECLARE_ROW_SUMS)

}  // namespace cryolith
