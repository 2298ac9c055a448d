// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <vector>

#include "core/error.hpp"
#include "projection/free_plan.hpp"
#include "projection/free_sheets.hpp"
#include "projection/free_windows.hpp"
#include "projection/warp_sum.hpp"

namespace cryolith {
namespace {

// Part of the volume (z, y, x) that one job owns. Views that are added in one go: what a run reads of them stays in L1,
// and their windows over kPlanes planes of a part in L2.
constexpr index_t kBox[3] = {40, 40, 64}, kLongestRow = 64, kMostRows = 40;
constexpr index_t kViews = 24, kPlanes = 40;
constexpr index_t kBoxSize = kBox[0] * kBox[1] * kBox[2];
static_assert(kBox[0] % kWarpRows == 0 && kBox[1] % kWarpRows == 0 && kBox[1] % kWarpLanes == 0 &&
              kBox[2] % kWarpLanes == 0);
// 64 lines: window sizes are padded so that neighbouring views meet in different cache sets.
constexpr index_t kSets = 64, kLine = 16;
constexpr index_t kWindowsSize =
    kViews *
    ((kMostRows + widest_shift(kPlanes) + 1) * spread_stride(kLongestRow + widest_shift(kPlanes) + 1) + kSets * kLine);

struct Box {
  Range axis[3];
};

struct Scratch {
  Buffer<float> windows;
  Buffer<float> sums;  // of the box: [z][y][x], kBox of them
  Buffer<float> pile;  // the same as views across x see it: [x][z][y]
  Buffer<WarpTap> taps;
};

// Where the sums of a piling lie: floats from plane to plane and from row to row, and the first.
struct Sums {
  float* data;
  index_t plane, row;
};

Sums sums_of(int piling, Scratch& s) {
  constexpr index_t line = kBox[2], slice = kBox[1] * kBox[2];
  if (piling == 0) return {s.sums.data(), slice, line};
  if (piling == 1) return {s.sums.data(), line, slice};
  return {s.pile.data(), kBox[0] * kBox[1], kBox[1]};
}

// The windows of some views: floats from row to row, and from view to view.
struct Layout {
  index_t stride, size;
};

Layout layout_of(const FreePlan& plan, const index_t* views, index_t n, Range planes, Window box) {
  index_t rows = 0, lanes = 0;
  for (index_t i = 0; i < n; ++i) {
    const Window moved = shift_range(plan.shifts(views[i]), planes);
    rows = std::max(rows, count(moved.rows));
    lanes = std::max(lanes, count(moved.lanes));
  }
  rows += count(box.rows) + 1;
  const index_t stride = spread_stride(count(box.lanes) + lanes + 1);
  // The next view's first row follows, in sets, where a run's last row of this one ends.
  const index_t wanted = (kWarpRows + 1) * stride / kLine, lines = rows * stride / kLine;
  return {stride, (lines + ((wanted - lines) % kSets + kSets) % kSets) * kLine};
}

// Copies the window of each view that some planes of the box see, and notes where each plane finds it.
void load_windows(const FreePlan& plan, const FreePlan::Group& group, const float* sheets, const index_t* views,
                  index_t n, Range planes, Window box, Layout layout, Scratch& s) {
  for (index_t i = 0; i < n; ++i) {
    const FreePlan::Sheet& sheet = plan.sheet(views[i]);
    const PlaneShift* shifts = plan.shifts(views[i]);
    const Window moved = shift_range(shifts, planes);
    const index_t row = sheet.row_centre + box.rows.begin + moved.rows.begin;
    const index_t lane = sheet.lane_centre + box.lanes.begin + moved.lanes.begin;
    const float* from = sheets + group.first[static_cast<std::size_t>(views[i] - group.begin)];
    CRYOLITH_SELECT(spread_rows)(from + row * sheet.stride + lane, sheet.stride,
                                 count(box.rows) + count(moved.rows) + 1, count(box.lanes) + count(moved.lanes) + 1,
                                 s.windows.data() + i * layout.size, layout.stride);
    for (index_t p = planes.begin; p < planes.end; ++p) {
      const PlaneShift& shift = shifts[p];
      const index_t offset =
          i * layout.size + (shift.row - moved.rows.begin) * layout.stride + spread(shift.lane - moved.lanes.begin);
      s.taps[(p - planes.begin) * n + i] = {static_cast<std::int32_t>(offset), shift.row_rest, shift.lane_rest};
    }
  }
}

// Sets, or adds to, the sums of a box, rows and lanes rounded up to whole tiles, those of views of one piling.
void sum_views(const FreePlan& plan, const FreePlan::Group& group, const float* sheets,
               const std::vector<index_t>& views, const Box& box, Sums sums, bool add, Scratch& s) {
  const Piling axes = kPilings[plan.piling(views.front())];
  const Range planes = box.axis[axes.plane];
  Window tile{box.axis[axes.row], box.axis[axes.lane]};
  tile.rows.end = tile.rows.begin + rounded(count(tile.rows), kWarpRows);
  tile.lanes.end = tile.lanes.begin + rounded(count(tile.lanes), kWarpLanes);
  const index_t n = static_cast<index_t>(views.size()), parts = (n + kViews - 1) / kViews;
  const auto run = CRYOLITH_SELECT(warp_sum);
  for (index_t p0 = planes.begin; p0 < planes.end; p0 += kPlanes)
    for (index_t part = 0; part < parts; ++part) {
      const Range some{p0, std::min(planes.end, p0 + kPlanes)};
      const index_t first = n * part / parts, here = n * (part + 1) / parts - first;
      const Layout layout = layout_of(plan, views.data() + first, here, some, tile);
      load_windows(plan, group, sheets, views.data() + first, here, some, tile, layout, s);
      for (index_t row = 0; row < count(tile.rows); row += kWarpRows)
        for (index_t lane = 0; lane < count(tile.lanes); lane += kWarpLanes)
          for (index_t p = some.begin; p < some.end; ++p)
            run(s.windows.data() + row * layout.stride + spread(lane), layout.stride, s.taps.data() + (p - p0) * here,
                here, sums.data + (p - planes.begin) * sums.plane + row * sums.row + lane, sums.row, add || part > 0);
    }
}

// Sets the sums of a box: each voxel of the volume is then written once.
void sum_box(const FreePlan& plan, const FreePlan::Group& group, const float* sheets,
             const std::vector<index_t> (&views)[3], const Box& box, Scratch& s) {
  bool add = false;
  for (int piling = 0; piling < 3; ++piling) {
    if (views[piling].empty()) continue;
    const Sums sums = sums_of(piling, s);
    const bool across_x = piling == 2;
    sum_views(plan, group, sheets, views[piling], box, sums, add && !across_x, s);
    for (index_t z = 0; across_x && z < count(box.axis[0]); ++z)
      CRYOLITH_SELECT(transpose)(sums.data + z * sums.row, sums.plane, count(box.axis[2]), count(box.axis[1]),
                                 s.sums.data() + z * kBox[1] * kBox[2], kBox[2], add);
    add = true;
  }
}

void write_box(const float* sums, const Box& box, bool add, View3<float> volume) {
  const index_t n = count(box.axis[2]);
  for (index_t z = 0; z < count(box.axis[0]); ++z)
    for (index_t y = 0; y < count(box.axis[1]); ++y) {
      const float* from = sums + (z * kBox[1] + y) * kBox[2];
      float* to = volume.data +
                  ((box.axis[0].begin + z) * volume.extent[1] + box.axis[1].begin + y) * volume.extent[2] +
                  box.axis[2].begin;
      if (add)
        for (index_t x = 0; x < n; ++x) to[x] += from[x];
      else
        std::copy_n(from, n, to);
    }
}

std::vector<Box> boxes_of(const FreePlan& plan) {
  std::vector<Box> out;
  const auto part = [&](int axis, index_t begin) {
    return Range{begin, std::min(plan.extent(axis), begin + kBox[axis])};
  };
  for (index_t z = 0; z < plan.extent(0); z += kBox[0])
    for (index_t y = 0; y < plan.extent(1); y += kBox[1])
      for (index_t x = 0; x < plan.extent(2); x += kBox[2]) out.push_back({{part(0, z), part(1, y), part(2, x)}});
  return out;
}

}  // namespace

void backproject(const Cpu& cpu, const FreePlan& plan, View3<const float> images, View3<float> volume) {
  Buffer<float> sheets(largest_group(plan));
  std::vector<Scratch> scratch(static_cast<std::size_t>(resolve_threads(cpu)));
  const std::vector<Box> boxes = boxes_of(plan);
  for (const FreePlan::Group& group : plan.groups()) {
    sample_sheets(cpu, plan, group, images, sheets.data());
    const std::vector<index_t> views[3] = {views_of(plan, group, 0), views_of(plan, group, 1),
                                           views_of(plan, group, 2)};
    parallel_for(cpu, static_cast<index_t>(boxes.size()), [&](index_t job, int worker) {
      Scratch& s = scratch[static_cast<std::size_t>(worker)];
      if (s.windows.size() == 0)
        s = {Buffer<float>(kWindowsSize), Buffer<float>(kBoxSize), Buffer<float>(kBoxSize),
             Buffer<WarpTap>(kViews * kPlanes)};
      const Box& box = boxes[static_cast<std::size_t>(job)];
      sum_box(plan, group, sheets.data(), views, box, s);
      write_box(s.sums.data(), box, group.begin > 0, volume);
    });
  }
}

index_t backproject_scratch_bytes(const FreePlan& plan, index_t threads) {
  const index_t box =
      (kWindowsSize + 2 * kBoxSize) * index_t{sizeof(float)} + kViews * kPlanes * index_t{sizeof(WarpTap)};
  return largest_group(plan) * index_t{sizeof(float)} + threads * std::max(box, sheet_scratch_bytes(plan));
}

}  // namespace cryolith
