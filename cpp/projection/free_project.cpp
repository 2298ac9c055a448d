// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <cstring>
#include <vector>

#include "core/error.hpp"
#include "projection/free_plan.hpp"
#include "projection/free_sheets.hpp"
#include "projection/free_windows.hpp"
#include "projection/warp_sum.hpp"

namespace cryolith {
namespace {

// Part of a sheet that one job owns, and planes of the volume that are added to it in one go: they stay in L2.
constexpr index_t kTileRows = 40, kTileLanes = 64, kPlanes = 16;
constexpr index_t kMostSpan = widest_shift(kPlanes / 2);
constexpr index_t kCopySize = kPlanes * (kTileRows + 2 * kMostSpan + 1) * odd_lines(kTileLanes + 2 * kMostSpan + 1);

struct Scratch {
  Buffer<float> copy;  // [plane][row][lane] of the volume, zero outside
  Buffer<WarpTap> taps;
};

// A run of planes of one piling, and how far any view of it moves against its own middle plane.
struct Slice {
  Range planes;
  index_t middle, row_span, lane_span;
};

Slice slice_of(const FreePlan& plan, const std::vector<index_t>& views, Range planes) {
  Slice out{planes, (planes.begin + planes.end - 1) / 2, 0, 0};
  for (index_t view : views) {
    const PlaneShift* shifts = plan.shifts(view);
    const Window moved = shift_range(shifts, planes);
    const PlaneShift& middle = shifts[out.middle];
    out.row_span = std::max({out.row_span, moved.rows.end - middle.row, middle.row - moved.rows.begin});
    out.lane_span = std::max({out.lane_span, moved.lanes.end - middle.lane, middle.lane - moved.lanes.begin});
  }
  return out;
}

// Copies one row of some planes, `width` floats of each, as the piling sees them, with zeros outside the volume.
void load_row(View3<const float> volume, Piling axes, Range planes, index_t row, Range lanes, index_t width, float* to,
              index_t plane_size) {
  const index_t step[3] = {volume.extent[1] * volume.extent[2], volume.extent[2], 1};
  for (index_t p = 0; p < count(planes); ++p)
    std::memset(to + p * plane_size, 0, static_cast<std::size_t>(width) * sizeof(float));
  const Range inside{std::max<index_t>(lanes.begin, 0), std::min(lanes.end, volume.extent[axes.lane])};
  if (row < 0 || row >= volume.extent[axes.row] || inside.begin >= inside.end) return;
  to += inside.begin - lanes.begin;
  const float* from =
      volume.data + planes.begin * step[axes.plane] + row * step[axes.row] + inside.begin * step[axes.lane];
  if (axes.plane == 2)
    return CRYOLITH_SELECT(transpose)(from, step[axes.lane], count(inside), count(planes), to, plane_size, false);
  for (index_t p = 0; p < count(planes); ++p)
    std::memcpy(to + p * plane_size, from + p * step[axes.plane],
                static_cast<std::size_t>(count(inside)) * sizeof(float));
}

// Where a tile lies in the sheet of a view.
float* tile_of(const FreePlan& plan, const FreePlan::Group& group, index_t view, const Slice& slice, Window tile,
               float* sheets) {
  const FreePlan::Sheet& sheet = plan.sheet(view);
  const PlaneShift& middle = plan.shifts(view)[slice.middle];
  return sheets + group.first[static_cast<std::size_t>(view - group.begin)] +
         (sheet.row_centre + middle.row + tile.rows.begin) * sheet.stride + sheet.lane_centre + middle.lane +
         tile.lanes.begin;
}

// Adds to the tile of every view's sheet (rows and lanes counted from where the middle plane of the slice is seen).
void sum_tile(const FreePlan& plan, const FreePlan::Group& group, const std::vector<index_t>& views, const Slice& slice,
              Window tile, View3<const float> volume, Scratch& s, float* sheets) {
  const Piling axes = kPilings[plan.piling(views.front())];
  const Window window{{tile.rows.begin - slice.row_span - 1, tile.rows.end + slice.row_span},
                      {tile.lanes.begin - slice.lane_span - 1, tile.lanes.end + slice.lane_span}};
  const index_t stride = odd_lines(count(window.lanes)), size = count(window.rows) * stride;
  const index_t n = count(slice.planes);
  for (index_t row = 0; row < count(window.rows); ++row)
    load_row(volume, axes, slice.planes, window.rows.begin + row, window.lanes, stride, s.copy.data() + row * stride,
             size);
  const auto run = CRYOLITH_SELECT(warp_sum);
  for (std::size_t i = 0; i < views.size(); ++i) {
    const PlaneShift *shifts = plan.shifts(views[i]), &middle = shifts[slice.middle];
    for (index_t p = 0; p < n; ++p) {
      const PlaneShift& shift = shifts[slice.planes.begin + p];
      const index_t row = slice.row_span + middle.row - shift.row, lane = slice.lane_span + middle.lane - shift.lane;
      s.taps[p] = {static_cast<std::int32_t>(p * size + row * stride + lane), 1.0f - shift.row_rest,
                   1.0f - shift.lane_rest};
    }
    // The next view's tile lies far away in memory: it is asked for while this one is summed.
    const index_t next = views[std::min(i + 1, views.size() - 1)];
    const float* ahead = tile_of(plan, group, next, slice, tile, sheets);
    float* out = tile_of(plan, group, views[i], slice, tile, sheets);
    const index_t out_stride = plan.sheet(views[i]).stride, ahead_stride = plan.sheet(next).stride;
    for (index_t row = 0; row < count(tile.rows); row += kWarpRows)
      for (index_t lane = 0; lane < count(tile.lanes); lane += kWarpLanes) {
        for (index_t r = row; r < row + kWarpRows; ++r) __builtin_prefetch(ahead + r * ahead_stride + lane, 1);
        run(s.copy.data() + row * stride + lane, stride, s.taps.data(), n, out + row * out_stride + lane, out_stride,
            true);
      }
  }
}

// Tiles that cover the shadow of a slice, each a whole number of runs.
std::vector<Window> tiles_of(const FreePlan& plan, Piling axes, const Slice& slice) {
  const auto cut = [](index_t extent, index_t span, index_t unit, index_t tile) {
    std::vector<Range> out;
    const index_t end = extent + span + 1;
    for (index_t at = -rounded(span, unit); at < end; at += tile)
      out.push_back({at, at + rounded(std::min(tile, end - at), unit)});
    return out;
  };
  std::vector<Window> out;
  for (Range rows : cut(plan.extent(axes.row), slice.row_span, kWarpRows, kTileRows))
    for (Range lanes : cut(plan.extent(axes.lane), slice.lane_span, kWarpLanes, kTileLanes))
      out.push_back({rows, lanes});
  return out;
}

void sum_group(const Cpu& cpu, const FreePlan& plan, const FreePlan::Group& group, View3<const float> volume,
               std::vector<Scratch>& scratch, float* sheets) {
  for (int piling = 0; piling < 3; ++piling) {
    const std::vector<index_t> views = views_of(plan, group, piling);
    const Piling axes = kPilings[piling];
    if (views.empty()) continue;
    for (index_t plane = 0; plane < plan.extent(axes.plane); plane += kPlanes) {
      const Slice slice = slice_of(plan, views, {plane, std::min(plan.extent(axes.plane), plane + kPlanes)});
      const std::vector<Window> tiles = tiles_of(plan, axes, slice);
      parallel_for(cpu, static_cast<index_t>(tiles.size()), [&](index_t tile, int worker) {
        Scratch& s = scratch[static_cast<std::size_t>(worker)];
        if (s.copy.size() == 0) s = {Buffer<float>(kCopySize), Buffer<WarpTap>(kPlanes)};
        sum_tile(plan, group, views, slice, tiles[static_cast<std::size_t>(tile)], volume, s, sheets);
      });
    }
  }
}

}  // namespace

void project(const Cpu& cpu, const FreePlan& plan, View3<const float> volume, View3<float> images, bool add) {
  if (!add) std::memset(images.data, 0, static_cast<std::size_t>(images.size()) * sizeof(float));
  Buffer<float> sheets(largest_group(plan));
  std::vector<Scratch> scratch(static_cast<std::size_t>(resolve_threads(cpu)));
  for (const FreePlan::Group& group : plan.groups()) {
    if (group.begin > 0) sheets.clear();
    sum_group(cpu, plan, group, volume, scratch, sheets.data());
    scatter_sheets(cpu, plan, group, sheets.data(), images);
  }
}

index_t project_scratch_bytes(const FreePlan& plan, index_t threads) {
  const index_t tile = kCopySize * index_t{sizeof(float)} + kPlanes * index_t{sizeof(WarpTap)};
  return (largest_group(plan) * index_t{sizeof(float)}) + threads * tile;
}

}  // namespace cryolith
