// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// Labels of a super-plane, compiled once per instruction set: no containers here.
#include "core/dispatch.hpp"
#include "detect/run_kernels.hpp"

namespace cryolith::detect {

// One super-plane, the label of each run of its chunk, and its slices of the output (null: not wanted), rows of nx
// elements apart by `stride` of them.
struct PlaneLabels {
  const RunGrid* grid;
  index_t ny, nx;
  index_t super_z;
  const id_t* row_ids;
  const id_t* component;
  const std::int32_t* labels;  // of each component of the chunk
  Element element;             // u8, u16 or i32
  void* slices[2];
  index_t stride;
};

#define CRYOLITH_DECLARE_WRITE(ns)             \
  namespace ns {                               \
  void write_labels(const PlaneLabels& plane); \
  }
CRYOLITH_FOR_EACH_VARIANT(CRYOLITH_DECLARE_WRITE)
#undef CRYOLITH_DECLARE_WRITE

}  // namespace cryolith::detect
