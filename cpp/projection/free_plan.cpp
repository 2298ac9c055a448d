// SPDX-License-Identifier: BSD-3-Clause
#include "projection/free_plan.hpp"

#include <algorithm>
#include <cmath>

#include "core/error.hpp"
#include "projection/warp_sum.hpp"

namespace cryolith {
namespace {

using Vector = std::array<double, 3>;

double half(index_t n) { return 0.5 * static_cast<double>(n - 1); }
double dot(const Vector& a, const Vector& b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }
Vector cross(const Vector& a, const Vector& b) {
  return {a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]};
}

// Positions are counted in 2^-32 pixel: this bound leaves 2^10 times the largest image before they overflow.
void require_usable(const FreePose& p) {
  constexpr double rounding = 1e-6, farthest = 1 << 20;
  const double row = std::sqrt(dot(p.row, p.row)), column = std::sqrt(dot(p.column, p.column));
  for (double scale : {row, column})
    require(scale >= kSmallestScale && scale <= kLargestScale * (1.0 + rounding), "poses: found a scale of ", scale,
            " px per voxel, expected ", kSmallestScale, " to ", kLargestScale);
  require(std::abs(row - column) <= rounding * row && std::abs(dot(p.row, p.column)) <= rounding * row * row,
          "poses: found a pose that shears or scales unequally, expected perpendicular rows of one length");
  for (double length : {p.shift_row, p.shift_column})
    require(std::abs(length) <= farthest, "poses: found a shift of ", length, " px, expected at most ", farthest);
}

// The axis to sum across: z up to the fast path's steepest slope, beyond it the axis nearest to the beam; of equals, to
// rounding, the first: every compiler chooses alike.
int plane_axis(const Vector& beam) {
  constexpr double rounding = 1e-9;
  const double z = std::abs(beam[0]), y = std::abs(beam[1]), x = std::abs(beam[2]);
  if (std::max(y, x) <= ProjectionPlan::kSteepTangent * z * (1.0 + rounding)) return 0;
  return x > y * (1.0 + rounding) ? 2 : 1;
}

}  // namespace

FreePlan::FreePlan(const std::vector<FreePose>& views, VolumeShape volume, ImageShape image)
    : volume_(volume), image_(image), table_(tap_table(kTurnTaps, kTurnBeta)) {
  require(!views.empty(), "geometry: found no views, expected at least one");
  for (index_t extent : {volume.nz, volume.ny, volume.nx, image.height, image.width})
    require(extent > 0 && extent <= (1 << 20), "shape: found an extent of ", extent, ", expected 1 to 1048576");
  for (const FreePose& pose : views) {
    require_usable(pose);
    add_view(pose);
  }
  make_groups();
}

void FreePlan::add_view(const FreePose& pose) {
  const Vector beam = cross(pose.row, pose.column);
  View view{pose, plane_axis(beam), 0.0, 0.0, {}, static_cast<index_t>(shifts_.size())};
  const Piling axes = kPilings[view.piling];
  const auto slope = [&](int axis) {
    return -beam[static_cast<std::size_t>(axis)] / beam[static_cast<std::size_t>(axes.plane)];
  };
  view.row_slope = slope(axes.row);
  view.lane_slope = slope(axes.lane);
  const index_t planes = extent(axes.plane);
  for (index_t p = 0; p < planes; ++p) {
    const Shear row = shear(view.row_slope, p, planes), lane = shear(view.lane_slope, p, planes);
    shifts_.push_back(
        {static_cast<std::int32_t>(row.whole), static_cast<std::int32_t>(lane.whole), row.rest, lane.rest});
  }
  // Beyond the voxels' shadow: the second tap, and the tiles that the forward projector rounds up to.
  const auto reach = [&](double s) { return static_cast<index_t>(std::ceil(std::abs(s) * half(planes))); };
  view.sheet.row_centre = reach(view.row_slope) + 2 * kWarpRows + 2;
  view.sheet.lane_centre = reach(view.lane_slope) + 2 * kWarpLanes + 2;
  view.sheet.rows = extent(axes.row) + 2 * view.sheet.row_centre;
  view.sheet.lanes = extent(axes.lane) + 2 * view.sheet.lane_centre;
  view.sheet.stride = (view.sheet.lanes + 15) / 16 * 16;
  views_.push_back(view);
}

void FreePlan::make_groups() {
  for (index_t view = 0; view < views(); ++view) {
    const index_t size = sheet(view).size();
    if (groups_.empty() || (groups_.back().size + size) * index_t{sizeof(float)} > kSheetBytes)
      groups_.push_back({view, view, {}, 0});
    Group& group = groups_.back();
    group.first.push_back(group.size);
    group.size += size;
    ++group.end;
  }
}

Turn FreePlan::turn(index_t view) const {
  const View& v = at(view);
  const Piling axes = kPilings[v.piling];
  const double first_row = static_cast<double>(-v.sheet.row_centre) - half(extent(axes.row));
  const double first_lane = static_cast<double>(-v.sheet.lane_centre) - half(extent(axes.lane));
  const auto line = [&](const Vector& pose, double origin) {
    const auto fixed = [](double x) { return static_cast<index_t>(std::llround(std::ldexp(x, kPositionBits))); };
    const double row = pose[static_cast<std::size_t>(axes.row)], lane = pose[static_cast<std::size_t>(axes.lane)];
    return SampleLine{fixed(origin + row * first_row + lane * first_lane), fixed(lane), fixed(row)};
  };
  const SampleGrid grid{line(v.pose.row, half(image_.height) + v.pose.shift_row),
                        line(v.pose.column, half(image_.width) + v.pose.shift_column)};
  return make_turn(grid, v.sheet.rows, {0, v.sheet.rows}, {0, v.sheet.lanes}, image_,
                   {0, 0, image_.height, image_.width});
}

}  // namespace cryolith
