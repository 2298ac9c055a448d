// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <cstdint>
#include <vector>

#include "core/parallel.hpp"

namespace cryolith::detect {

// The graph of a skeleton. A node is a voxel with one neighbour (of 26) or none, all voxels with three or more that are
// joined, or the first voxel of a loop without any; nodes are numbered from 1 in raster order of their first voxel.
// A branch is the way from one voxel of a node to one of another (or of itself) through voxels with two neighbours.
struct BranchTrace {
  std::vector<index_t> places;           // of all branches, one after the other, ends included: indices of voxels
  std::vector<index_t> first;            // of each branch in `places`; one more at the end
  std::vector<std::int32_t> start, end;  // node of each branch
  std::vector<index_t> node_places;      // of all nodes, one after the other
  std::vector<index_t> node_first;       // of each node in `node_places`; one more at the end
};

// `skeleton` (nz, ny, nx): lines of 1, else 0. O(voxels). Branches come in the order of their first nodes' voxels, then
// of the direction in which they leave.
BranchTrace trace_branches(View3<const std::uint8_t> skeleton);

}  // namespace cryolith::detect
