// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// Plain data shared with scatter_lines.cpp, which is compiled once per instruction set: no containers here.
#include "core/dispatch.hpp"
#include "core/view.hpp"
#include "projection/geometry.hpp"
#include "projection/sampling.hpp"

namespace cryolith {

#define CRYOLITH_DECLARE_SCATTER_LINES(ns)                                                                            \
  namespace ns {                                                                                                      \
  /* The transpose of gather_rows for values that lie line by line: adds sample i of lane j, at values[j stride + i], \
   * to the image's rows [band.begin, band.end), for i in range and j < lanes. */                                     \
  void scatter_lines(TapTable table, View2<float> image, Range band, const SampleGrid& grid, Range range,             \
                     index_t lanes, const float* values, index_t stride);                                             \
  }
CRYOLITH_FOR_EACH_VARIANT(CRYOLITH_DECLARE_SCATTER_LINES)

}  // namespace cryolith
