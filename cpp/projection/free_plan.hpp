// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <array>
#include <vector>

#include "core/buffer.hpp"
#include "core/parallel.hpp"
#include "core/view.hpp"
#include "projection/geometry.hpp"
#include "projection/plan.hpp"
#include "projection/turn.hpp"

namespace cryolith {

// One image at a free pose. It sees the specimen point p = (z, y, x), in voxels from the centre of the volume, at
//   row = (height - 1)/2 + row . p + shift_row,   column = (width - 1)/2 + column . p + shift_column.
struct FreePose {
  std::array<double, 3> row, column;  // pixels per voxel: perpendicular, of one length
  double shift_row, shift_column;
};

// The volume seen as a pile of planes across one of its axes: voxels [plane][row][lane], all axes of (z, y, x).
struct Piling {
  int plane, row, lane;
};
inline constexpr Piling kPilings[3] = {{0, 1, 2}, {1, 0, 2}, {2, 0, 1}};

// How one view shifts against one plane: whole voxels and rest, along the rows and the lanes.
struct PlaneShift {
  std::int32_t row, lane;
  float row_rest, lane_rest;
};

// Everything about views at free poses and one pair of shapes that does not depend on the data. Make once, run often.
//
// Definition (design/009-general-geometry.md). One axis of the volume is summed across: z, or for beams
// steeper than kSteepTangent the one nearest to the beam. Sample (j, i) of a
// view's sheared image is the image where the view sees voxel (row j, lane i) of the middle plane, interpolated as
// turn.hpp says. Plane p of the volume lies sheared by p slope along both axes: a voxel
// receives the sheared image, interpolated linearly along rows and lanes.
class FreePlan {
 public:
  FreePlan(const std::vector<FreePose>& views, VolumeShape volume, ImageShape image);

  VolumeShape volume() const { return volume_; }
  index_t extent(int axis) const { return axis == 0 ? volume_.nz : axis == 1 ? volume_.ny : volume_.nx; }
  ImageShape image() const { return image_; }
  index_t views() const { return static_cast<index_t>(views_.size()); }
  const float* table() const { return table_.data(); }  // of kTurnTaps

  // Which of kPilings a view sums along.
  int piling(index_t view) const { return at(view).piling; }
  // Sheared image of a view: rows, samples of a row and the distance between rows in floats. Voxel (0, 0) of the
  // middle plane is sample (row_centre, lane_centre).
  struct Sheet {
    index_t rows, lanes, stride, row_centre, lane_centre;
    index_t size() const { return rows * stride; }
  };
  const Sheet& sheet(index_t view) const { return at(view).sheet; }
  // [plane] of the view's piling; sheet row j + row and j + row + 1 go to row j of the plane.
  const PlaneShift* shifts(index_t view) const { return shifts_.data() + at(view).first_shift; }

  // How the sheet is sampled.
  Turn turn(index_t view) const;

  // Views are worked on in groups whose sheets together stay below kSheetBytes (or in ones).
  struct Group {
    index_t begin, end;
    std::vector<index_t> first;  // float of the sheets' buffer at which each view's begins
    index_t size;                // floats
  };
  const std::vector<Group>& groups() const { return groups_; }

 private:
  struct View {
    FreePose pose;
    int piling;
    double row_slope, lane_slope;
    Sheet sheet;
    index_t first_shift;
  };
  const View& at(index_t view) const { return views_[static_cast<std::size_t>(view)]; }
  void add_view(const FreePose& pose);
  void make_groups();

  VolumeShape volume_;
  ImageShape image_;
  std::vector<View> views_;
  std::vector<PlaneShift> shifts_;
  std::vector<Group> groups_;
  Buffer<float> table_;
};

// Memory for the sheared images of a group of views: more groups read and write the volume more often.
inline constexpr index_t kSheetBytes = index_t{128} << 20;

// The pair for free poses, each the exact transpose of the other; as project() and backproject() of a ProjectionPlan.
void project(const Cpu& cpu, const FreePlan& plan, View3<const float> volume, View3<float> images, bool add = false);
void backproject(const Cpu& cpu, const FreePlan& plan, View3<const float> images, View3<float> volume);

// Bytes that each holds besides its arguments, for this many threads.
index_t project_scratch_bytes(const FreePlan& plan, index_t threads);
index_t backproject_scratch_bytes(const FreePlan& plan, index_t threads);

}  // namespace cryolith
