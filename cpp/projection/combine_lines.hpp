// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// Shared with combine_lines.cpp, which is compiled once per instruction set: no containers here.
#include "core/dispatch.hpp"
#include "core/view.hpp"

namespace cryolith {

#define CRYOLITH_DECLARE_COMBINE_LINES(ns)                                                                             \
  namespace ns {                                                                                                       \
  /* out[i] = sum over m < count of weights[m] in[m stride + i], i < n, m rising; reads and writes up to 7 further. */ \
  void combine_lines(const float* in, index_t stride, const float* weights, index_t count, float* out, index_t n);     \
  }
CRYOLITH_FOR_EACH_VARIANT(CRYOLITH_DECLARE_COMBINE_LINES)

}  // namespace cryolith
