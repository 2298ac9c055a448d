// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <cstdint>
#include <vector>

#include "core/view.hpp"

namespace cryolith::detect {

struct Ordered {
  float distance;
  index_t at;
};

// The voxels inside of `mask` (nz, ny, nx) by `distance` (at least 0) from the lowest up, equal ones in raster order.
// Three passes of counting (radix 2^11). 32 bytes for each of them meanwhile, 16 in the end.
std::vector<Ordered> by_distance(View3<const float> distance, View3<const std::uint8_t> mask);

}  // namespace cryolith::detect
