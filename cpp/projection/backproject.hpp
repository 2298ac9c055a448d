// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <functional>

#include "core/parallel.hpp"
#include "core/view.hpp"
#include "projection/plan.hpp"

namespace cryolith {

// Changes the stretched rows of one tilt, two blocks at a time (b is null for the last of an odd number), between
// sampling and summing: a row filter. Rows outside `range` lie outside the image and are zero; they must stay so.
using RowStage = std::function<void(int worker, index_t tilt, Range range, float* rows_a, float* rows_b)>;

// What the sums over tilts are made in. fixed16: stretched rows rounded to 16 bits of the largest value of their block
// of kLanes volume rows, interpolated with weights of 11 bits, summed exactly.
enum class Precision { float32, fixed16 };

// Sets `volume` (nz, ny, nx) to the sum over tilts of their images (n_tilts, height, width), smeared along the rays:
// the exact transpose of project(). Finite input. O(n_tilts nz ny nx); scratch per thread: up to four blocks of
// stretched rows, 4 plan.rows() kLanes floats.
void backproject(const Cpu& cpu, const ProjectionPlan& plan, View3<const float> images, View3<float> volume,
                 const RowStage& stage = {}, Precision precision = Precision::float32);

// Memory that backproject() takes beside its arguments.
index_t backproject_scratch_bytes(const ProjectionPlan& plan, index_t threads);

}  // namespace cryolith
