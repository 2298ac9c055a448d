// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <cstdint>

#include "core/parallel.hpp"

namespace cryolith::detect {

// Thins `mask` (nz, ny, nx; 1 inside, else 0) to lines in place: takes voxels away in the order of `distance`, which is
// that of detect::distance with voxels of `spacing` (z, y, x), as long as that changes no component, no tunnel and no
// cavity (26 neighbours inside, 6 outside; what lies around the volume is outside). An end stays: a voxel with a single
// neighbour, unless the distance rises from it as in a ball (by more than 0.6 a length).
// Voxels of equal distance go in the order of their eight parities: those of one parity do not meet, so the order among
// them does not matter. Source: distance-ordered homotopic thinning, Pudney, Comput. Vis. Image Underst. 72 (1998) 404;
// simple points, Bertrand & Malandain, Pattern Recognit. Lett. 15 (1994) 169; subfields, Bertrand & Aktouf, Vision
// Geometry III (1995) 113. One thread; 32 bytes for each voxel inside, a quarter byte for each voxel.
void thin(const Cpu& cpu, View3<const float> distance, const double* spacing, View3<std::uint8_t> mask);

}  // namespace cryolith::detect
