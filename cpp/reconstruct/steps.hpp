// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include "core/exact_sum.hpp"
#include "core/parallel.hpp"
#include "core/view.hpp"
#include "reconstruct/steps.kernel.hpp"

namespace cryolith {

// What iterative solvers do between the two projectors; views of equal shape throughout. A fused pass each: these
// loops are memory traffic, and NumPy would make six passes of them. W are the ray weights, b the data, x the volume.
// Passes over pieces of whole rows (last axis) give the bits of one over the whole.

struct ResidualSums {
  ExactSum residual, data;  // sum of W (b - Ax)^2 and of W b^2
};

// projected <- gain W (b - projected), with `projected` = Ax before; an empty `gain` is 1.
ResidualSums weigh_residual(const Cpu& cpu, View3<const float> measured, View3<const float> weights,
                            View3<const float> gain, View3<float> projected);

// earlier <- W (b - Ax - momentum (Ax - earlier)), with `projected` = Ax: the weighted residual of x + momentum (x -
// x_earlier), whose projections are Ax and `earlier`. The sums are those of Ax itself.
ResidualSums extrapolate_residual(const Cpu& cpu, View3<const float> measured, View3<const float> weights,
                                  View3<const float> projected, float momentum, View3<float> earlier);

// projected <- W max(b, 0) / max(projected, least): the Poisson ratio of MLEM; the sums are those of the residual
// before.
ResidualSums poisson_ratio(const Cpu& cpu, View3<const float> measured, View3<const float> weights, float least,
                           View3<float> projected);

// Sum of W v, and of W v^2.
ExactSum weighted_sum(const Cpu& cpu, View3<const float> weights, View3<const float> values);
ExactSum weighted_square(const Cpu& cpu, View3<const float> weights, View3<const float> values);

// residual <- residual - step projected, then projected <- W residual; returns the sum of W residual^2.
ExactSum subtract_projection(const Cpu& cpu, View3<const float> weights, float step, View3<float> residual,
                             View3<float> projected);

// x <- min(upper, max(lower, x + step voxel_weights correction)) where voxel_weights > 0.
void update_volume(const Cpu& cpu, View1<const float> correction, View1<const float> voxel_weights, float step,
                   Bounds bounds, View1<float> volume);

// x <- min(upper, max(lower, x voxel_weights max(correction, 0))) where voxel_weights > 0.
void multiply_volume(const Cpu& cpu, View1<const float> correction, View1<const float> voxel_weights, Bounds bounds,
                     View1<float> volume);

// descent <- descent - damping x, but 0 where x lies on a bound that it would cross; returns the sum of its squares.
ExactSum free_descent(const Cpu& cpu, View3<const float> volume, double damping, Bounds bounds, View3<float> descent);

struct DirectionSums {
  ExactSum square, slope;  // <p, p> and <descent, p>
};

// p <- descent + factor p, but 0 where the descent is 0: a held voxel stays.
DirectionSums conjugate_direction(const Cpu& cpu, View3<const float> descent, float factor, View3<float> direction);

// x <- min(upper, max(lower, x + step direction)) where direction is not 0; returns how many voxels a bound stopped.
index_t walk_volume(const Cpu& cpu, View3<const float> direction, float step, Bounds bounds, View3<float> volume);

// sums <- 1 / max(sums, 1) where sums > 1/2, else 0: a ray (voxel) that meets less than half a voxel (ray) says
// nothing.
void invert_sums(const Cpu& cpu, View1<float> sums);

// out <- value; out <- from; out <- out by; out <- out / divisor; out <- max(out, least).
void fill(const Cpu& cpu, float value, View1<float> out);
void copy(const Cpu& cpu, View1<const float> from, View1<float> out);
void multiply(const Cpu& cpu, View1<const float> by, View1<float> out);
void divide(const Cpu& cpu, float divisor, View1<float> out);
void raise_to(const Cpu& cpu, View1<const float> least, View1<float> out);
// weights <- 0 where sums < least; out <- min(upper, factor out); out <- 1 / max(out, least).
void graze(const Cpu& cpu, View1<const float> sums, float least, View1<float> weights);
void scale(const Cpu& cpu, float factor, float upper, View1<float> out);
void reciprocal(const Cpu& cpu, float least, View1<float> out);

}  // namespace cryolith
