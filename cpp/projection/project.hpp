// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include "core/parallel.hpp"
#include "core/view.hpp"
#include "projection/plan.hpp"

namespace cryolith {

// Sets `images` (n_tilts, height, width) to the projections of `volume` (nz, ny, nx): voxel values summed along the
// rays, step one pixel. Finite input. O(n_tilts nz ny nx). Scratch: one padded copy of kLanes volume rows per thread,
// and the stretched rows of a slab of blocks, about kSlabBytes.
// With `add`, the projections are added to what `images` holds: the slabs of a volume, added in order to zeroed images,
// give the bytes of the whole.
void project(const Cpu& cpu, const ProjectionPlan& plan, View3<const float> volume, View3<float> images,
             bool add = false);

// Memory that project() takes beside its arguments.
index_t project_scratch_bytes(const ProjectionPlan& plan, index_t threads);

// Stretched rows that are kept between the two steps of project(); more only when one block per thread needs more.
inline constexpr index_t kSlabBytes = index_t{48} << 20;

}  // namespace cryolith
