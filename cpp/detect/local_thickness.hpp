// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include "core/parallel.hpp"

namespace cryolith::detect {

// thickness(p) = twice the largest distance(q) of all q with |p - q| < distance(q): the diameter of the largest ball
// that fits into the phase and holds p; 0 where distance is 0. `distance` (nz, ny, nx) is that of detect::distance with
// voxels of `spacing` (z, y, x): from centre to centre, no infinity. A ball is skipped when that of a neighbour holds
// all of its voxels; the rest is painted from the largest down, each voxel once. Source: Hildebrand & Ruegsegger, J.
// Microsc. 185 (1997) 67, eq. 2; skipping: Remy & Thiel, Image Vis. Comput. 23 (2005) 167, section 3. Same bytes for
// any number of threads. About 12 bytes for each ball that is left.
void local_thickness(const Cpu& cpu, View3<const float> distance, const double* spacing, View3<float> thickness);

}  // namespace cryolith::detect
