// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// The loops of run_labels.cpp, compiled once per instruction set: no containers here.
#include "core/dispatch.hpp"
#include "detect/row_kernels.hpp"

namespace cryolith::detect {

// What runs are made of. Super-rows are the OR of block_z x block_y rows; where `valued`, blocks are single rows and a
// run also ends where a value is not of one kind with the one before (`starts`).
struct RunGrid {
  BitRows bits, starts;
  bool valued = false;
  Element element = Element::u8;
  float delta = 0;
  int connectivity = 26, block_y = 2, block_z = 2;
  index_t super_ny = 0, words = 0;
};

// One super-plane. Super-row r begins at element r * (words + 2) + 1 of the arrays; ids[w] is the number of the next
// run that begins in or after word w. `values` (padded rows, element of the grid) where valued.
struct RunPlane {
  word_t* bits;
  word_t* starts;
  id_t* ids;
  const void* values;
};

// Where sets are joined: the roots of the runs of the plane and of the one before it, seen through maps if there are
// any.
struct RunJoin {
  id_t* parent;
  const id_t* own_map;
  id_t own_offset;
  const id_t* before_map;
  id_t before_offset;
};

#define CRYOLITH_DECLARE_RUNS(ns)                                                                                    \
  namespace ns {                                                                                                     \
  /* Fills super-plane super_z, numbering its runs from `next` on; row_ids (may be null) gets the first of each row. \
   */                                                                                                                \
  id_t fill_plane(const RunGrid& grid, index_t super_z, id_t next, const RunPlane& plane, id_t* row_ids);            \
  /* Joins the runs of each super-row with those of the one before it in its plane. */                               \
  void touch_rows(const RunGrid& grid, index_t super_z, const RunPlane& plane, const RunJoin& join);                 \
  /* Joins the runs of a super-plane with those of the one before it. */                                             \
  void touch_planes(const RunGrid& grid, index_t super_z, const RunPlane& plane, const RunPlane& before,             \
                    const RunJoin& join);                                                                            \
  }
CRYOLITH_FOR_EACH_VARIANT(CRYOLITH_DECLARE_RUNS)
#undef CRYOLITH_DECLARE_RUNS

}  // namespace cryolith::detect
