// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <cstdint>

#include "core/parallel.hpp"

namespace cryolith::detect {

// Connected components of `mask` (nz, ny, nx), non-zero is foreground. Voxels that share a face (connectivity 6),
// a face or an edge (18), or a face, an edge or a corner (26) belong together. `labels` gets 0 for background and
// 1..count numbered by the first voxel of each component in raster order. Returns count.
// O(voxels); about 0.25 bytes a voxel beside the output. Same labels for any number of threads.
index_t label(const Cpu& cpu, View3<const std::uint8_t> mask, int connectivity, View3<std::int32_t> labels);

}  // namespace cryolith::detect
