// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <cstdint>
#include <vector>

#include "core/parallel.hpp"

namespace cryolith::detect {

// Parts a phase into pores, the catchment areas of the maxima of `distance` inside of `mask` (nz, ny, nx). Going down
// from the highest, where two areas meet at level s the one with the lower peak p is no pore of its own if
// p - s <= max(least, share p). From the peaks that are left the phase is flooded: higher voxels first, equal ones in
// the order in which they are reached, by face neighbours. labels: from 1 in the raster order of the peaks, else 0.
// Returns the indices of the peaks. Source: watershed by ordered queues, Meyer, Signal Process. 38 (1994) 113; which
// maxima count: Gostick, Phys. Rev. E 96 (2017) 023307 (there by other rules). One thread; 40 bytes for each voxel
// inside.
std::vector<index_t> split_pores(const Cpu& cpu, View3<const float> distance, View3<const std::uint8_t> mask,
                                 double least, double share, View3<std::int32_t> labels);

}  // namespace cryolith::detect
