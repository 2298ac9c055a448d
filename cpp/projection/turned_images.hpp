// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include "core/buffer.hpp"
#include "core/parallel.hpp"
#include "core/view.hpp"
#include "projection/plan.hpp"

namespace cryolith {

// The images of a plan whose tilt axis lies away from the image axes, turned so that it lies along their columns:
// those that plan.turned() is for. A job owns one tilt's image and what it is turned to.
Buffer<float> turned_images(const Cpu& cpu, const ProjectionPlan& plan, View3<const float> images);
// The transpose: adds turned images to the images.
void turn_images_back(const Cpu& cpu, const ProjectionPlan& plan, const float* turned, View3<float> images);

// How turned images lie in their buffer.
View3<float> turned_view(const ProjectionPlan& plan, float* turned);
// Bytes that are held at once where turned images are made or turned back before or after work on them that holds
// `of_turned`, the turned images included.
index_t turned_scratch_bytes(const ProjectionPlan& plan, index_t threads, index_t of_turned);

}  // namespace cryolith
