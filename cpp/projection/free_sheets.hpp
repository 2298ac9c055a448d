// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include "core/parallel.hpp"
#include "core/view.hpp"
#include "projection/free_plan.hpp"

namespace cryolith {

// Sets the sheets of a group to samples of its images (n_views, height, width).
void sample_sheets(const Cpu& cpu, const FreePlan& plan, const FreePlan::Group& group, View3<const float> images,
                   float* sheets);

// The transpose: adds the sheets to the images.
void scatter_sheets(const Cpu& cpu, const FreePlan& plan, const FreePlan::Group& group, const float* sheets,
                    View3<float> images);

// Bytes that one thread of either holds.
index_t sheet_scratch_bytes(const FreePlan& plan);

}  // namespace cryolith
