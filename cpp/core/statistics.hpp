// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <limits>

#include "core/exact_sum.hpp"
#include "core/parallel.hpp"
#include "core/view.hpp"

namespace cryolith {

// Of the finite values of a volume. Squares of float32 are exact in float64, rows are summed with their rounding errors
// and added without rounding: the same for any number of threads, and added up for a volume handed over in pieces of
// whole rows. low is above high where no value is finite; neither is ever -0.
struct Statistics {
  float low = std::numeric_limits<float>::infinity(), high = -std::numeric_limits<float>::infinity();
  index_t count = 0;
  ExactSum sum, squares;
};
Statistics statistics(const Cpu& cpu, View3<const float> volume);

// half(z, y, x) is the mean of the finite values of the 2 x 2 x 2 voxels from (2z, 2y, 2x) on, of those that there are
// at the far edges; NaN where none is finite. Its extents are those of `volume`, halved and rounded up. Sums are made
// in float64, in order z, y, x.
template <class T>
void halve(const Cpu& cpu, View3<const T> volume, View3<T> half);

}  // namespace cryolith
