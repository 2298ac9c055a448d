// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <vector>

#include "core/view.hpp"

namespace cryolith {

// One image of a single-axis tilt series. It sees the specimen point (x, y, z), in voxels from the centre of the
// volume, at
//   u = scale (x cos_tilt + z sin_tilt) + axis_offset,   v = scale across y,
//   column = (width - 1)/2 + u cos_axis - v sin_axis + shift_column,
//   row    = (height - 1)/2 + u sin_axis + v cos_axis + shift_row          (docs/conventions.md),
// in detector pixels.
struct TiltPose {
  double cos_tilt, sin_tilt, cos_axis, sin_axis, shift_row, shift_column, axis_offset;
  double scale = 1.0;   // pixels per voxel: magnification times the voxel's edge
  double across = 1.0;  // v over scale y: other than 1 where images were stretched along the axis
};

struct ImageShape {
  index_t height, width;
};
// Part of every image: the pixels from (row, column) on.
struct ImageWindow {
  index_t row, column, height, width;
};

// Samples of one image for one block of kLanes volume rows: sample i of lane j lies at
//   row = row.start + i row.step + j row.lane,   column = column.start + i column.step + j column.lane,
// in units of 2^-32 pixel: whole numbers, so that every copy of a kernel finds the same pixel and weight.
struct SampleLine {
  index_t start, step, lane;
};
struct SampleGrid {
  SampleLine row, column;
};
inline constexpr int kPositionBits = 32;

// Half-open range of samples.
struct Range {
  index_t begin, end;
};

// The smallest range that holds both; empty ranges hold nothing.
Range united(Range a, Range b);

// The samples i in [0, count) of which any of `lanes` lanes can have a tap inside the given rows and columns of an
// image; at most one sample too many at either end.
Range touching(const SampleGrid& grid, index_t count, index_t lanes, Range image_rows, Range image_columns);

}  // namespace cryolith
