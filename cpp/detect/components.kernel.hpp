// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// Which voxels touch: the same words for every device.
#include "core/portable.hpp"

namespace cryolith::detect {

// Rows next to a row that come before it in raster order.
constexpr int kRowsBefore = 4;
struct RowStep {
  int dz, dy;
};
CRYOLITH_HD RowStep row_before(int i) { return i == 0 ? RowStep{0, -1} : RowStep{-1, i - 2}; }

// A voxel touches those of a row that is `steps` = |dz| + |dy| away (1 or 2) up to this |dx|; -1: none of them.
CRYOLITH_HD int row_reach(int connectivity, int steps) {
  return connectivity == 26 ? 1 : connectivity == 18 ? 2 - steps : 1 - steps;
}

}  // namespace cryolith::detect
