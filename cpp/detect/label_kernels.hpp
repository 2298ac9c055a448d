// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// Rows of a label volume, compiled once per instruction set: no containers here.
#include "core/dispatch.hpp"
#include "detect/region_groups.hpp"
#include "detect/row_kernels.hpp"

namespace cryolith::detect {

// Voxels x0 <= x < x1 of a row have one label that is not 0; `region` is its row in the table of the chunk.
struct LabelRun {
  index_t x0, x1;
  std::int32_t label;
  id_t region;
};
// `count` voxels of label a whose neighbour in direction d has label b, neither of them 0.
struct Contact {
  std::int32_t a, b;
  std::int32_t direction;
  std::uint32_t count;
};

// One row (z, y) of labels with the rows it meets, all padded (kRowPad), outside of the volume zero.
struct LabelRow {
  Element element;  // u8, u16 or i32
  const void* own;
  const void* other[4];  // at kRowSteps
  index_t extent[3];     // of the volume
  index_t z, y;
  const LabelRun* runs;
  index_t count;
  const float* intensity;  // of this row, or null
  RegionSums sums;
  Contact* contacts;  // room for 13 nx, or null
};

#define CRYOLITH_DECLARE_LABELS(ns)                                                     \
  namespace ns {                                                                        \
  /* Lists the runs of a padded row of nx labels, `region` left 0; returns how many. */ \
  index_t list_runs(Element element, const void* row, index_t nx, LabelRun* runs);      \
  /* Adds the runs of a row to the sums; returns how many contacts were written. */     \
  index_t add_row(const LabelRow& row);                                                 \
  }
CRYOLITH_FOR_EACH_VARIANT(CRYOLITH_DECLARE_LABELS)
#undef CRYOLITH_DECLARE_LABELS

}  // namespace cryolith::detect
