// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <cstdint>

#include "core/parallel.hpp"

namespace cryolith::detect {

// Grey-scale hole filling: for each voxel the lowest level at which water standing on it runs off. That is the minimum,
// over all paths of face neighbours to an outlet, of the highest value on the path. Outlets are the voxels where
// `outlet` (nz, ny, nx) is not zero and those on the faces of the volume (axes of length 1 have none).
// filled - values is the depth of a basin, 0 where nothing encloses a voxel.
// Source: Barnes, Lehman & Mulla, Computers & Geosciences 62 (2014) 117, algorithm 2 (priority-flood), in 3-D.
// O(n log n) in the worst case, 9 bytes a voxel of scratch at most. One thread; the result does not depend on the order.
void fill_basins(const Cpu& cpu, View3<const float> values, View3<const std::uint8_t> outlet, View3<float> filled);

}  // namespace cryolith::detect
