// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <vector>

#include "core/parallel.hpp"

namespace cryolith::detect {

// A local extremum of a field over place and scale. `height` carries its sign; places in voxels, `scale` an index.
struct Peak {
  double height, scale, z, y, x;
};

// Fields at three neighbouring scales; `below` or `above` is null at either end. Rows begin `row` floats apart.
struct Scales {
  const float* below;
  const float* here;
  const float* above;
  index_t row;
};

// The 3^3 neighbours of a voxel at each of three scales, or what of them there is.
inline constexpr index_t kCells = 27;
struct PeakCells {
  float of[3][kCells];
};
// The peak at voxel (z, y, x) of scale `scale`, of whose neighbours those `below` or `above` in scale may be missing.
Peak refined_peak(const PeakCells& cells, bool below, bool above, double scale, index_t z, index_t y, index_t x);

// Appends to `peaks` the maxima of the field above `threshold` and the minima below its negative, among all neighbours
// (26 at the same scale, 27 at each other); of equal neighbours the first in raster order counts. Voxels nearer than
// `margin` >= 1 to a face are compared with but are no peaks. Height and place are those of the quadratic through the
// 3^4 (or 3^3) neighbours, a step of more than one cell is cut to half a cell. Peaks come in raster order, the same
// for any number of threads.
// Returns how many of the voxels that may be peaks lie within `middle` of 0.
index_t scale_maxima(const Cpu& cpu, const Scales& scales, const index_t (&extent)[3], index_t margin, double index,
                     float threshold, float middle, std::vector<Peak>& peaks);

}  // namespace cryolith::detect
