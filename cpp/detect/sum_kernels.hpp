// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// Sums over the runs of a super-plane, compiled once per instruction set: no containers here.
#include "core/dispatch.hpp"
#include "detect/region_groups.hpp"
#include "detect/run_kernels.hpp"

namespace cryolith::detect {

// One super-plane, the component of each run of its chunk, and where the sums go; what is null is not computed.
struct PlanePieces {
  const RunGrid* grid;
  index_t extent[3];  // of the volume
  index_t super_z;
  const id_t* row_ids;    // first run of each super-row
  const id_t* component;  // of each run of the chunk
  RegionSums sums;
  index_t* first;          // raster index of the first voxel of each component
  const float* intensity;  // of slice super_z * block_z
};

#define CRYOLITH_DECLARE_SUMS(ns)            \
  namespace ns {                             \
  void add_pieces(const PlanePieces& plane); \
  }
CRYOLITH_FOR_EACH_VARIANT(CRYOLITH_DECLARE_SUMS)
#undef CRYOLITH_DECLARE_SUMS

}  // namespace cryolith::detect
