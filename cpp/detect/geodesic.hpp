// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <cstdint>

#include "core/parallel.hpp"

namespace cryolith::detect {

// Length of the shortest way inside of `mask` (nz, ny, nx) to each voxel, with voxels of `spacing` (z, y, x). `length`
// comes with what is known where ways begin and infinity elsewhere, and leaves with all lengths; infinity where nothing
// leads. Ways are not bound to the grid: |grad length| = 1 by upwind differences of second order where two voxels in a
// row are known. Source: fast marching, Sethian, SIAM Rev. 41 (1999) 199, sections 4 and 8. O(n log n), one thread.
void geodesic(const Cpu& cpu, View3<const std::uint8_t> mask, const double* spacing, View3<float> length);

}  // namespace cryolith::detect
