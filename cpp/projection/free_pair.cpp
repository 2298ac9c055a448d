// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <cstring>
#include <vector>

#include "core/error.hpp"
#include "projection/free_plan.hpp"
#include "projection/free_sheets.hpp"
#include "projection/warp_sum.hpp"

namespace cryolith {
namespace {

// Part of the volume that one job of the back-projector owns (z, y, x), and of a sheet that one job of the projector
// owns. Views, or planes, that are added in one go: their windows stay in L2 and what a run reads of them in L1.
constexpr index_t kBox[3] = {32, 32, 64};
constexpr index_t kTileRows = 64, kTileLanes = 64;
constexpr index_t kViewsPerRun = 24, kPlanesPerRun = 32, kPlanesPerTile = 16;

using Views = std::vector<index_t>;
struct Window {
  Range rows, lanes;
};
struct Scratch {
  Buffer<float> windows, pile;
  Buffer<WarpTap> taps;
};

index_t rounded(index_t n, index_t unit) { return (n + unit - 1) / unit * unit; }
index_t count(Range r) { return r.end - r.begin; }

Views views_of(const FreePlan& plan, const FreePlan::Group& group, int piling) {
  Views out;
  for (index_t view = group.begin; view < group.end; ++view)
    if (plan.piling(view) == piling) out.push_back(view);
  return out;
}

// ---- back-projection

struct Box {
  Range axis[3];
};

// Lowest and highest whole shifts of a view over some planes: they are monotonous.
Window shift_range(const PlaneShift* shifts, Range planes) {
  const PlaneShift &a = shifts[planes.begin], &b = shifts[planes.end - 1];
  return {{std::min(a.row, b.row), std::max(a.row, b.row)}, {std::min(a.lane, b.lane), std::max(a.lane, b.lane)}};
}

struct WindowSize {
  index_t rows, lanes;  // beyond those of the box
};
constexpr WindowSize kWidest{kPlanesPerRun + 1, kPlanesPerRun + 1};  // slopes are at most 1

// Copies the window of each view that some planes of the box see, and notes where each plane finds it.
void load_windows(const FreePlan& plan, const FreePlan::Group& group, const float* sheets, const index_t* views,
                  index_t n, Range planes, Window box, index_t stride, Scratch& s) {
  const index_t size = (count(box.rows) + kWidest.rows) * stride;
  for (index_t i = 0; i < n; ++i) {
    const FreePlan::Sheet& sheet = plan.sheet(views[i]);
    const PlaneShift* shifts = plan.shifts(views[i]);
    const Window moved = shift_range(shifts, planes);
    const index_t row = sheet.row_centre + box.rows.begin + moved.rows.begin;
    const index_t lane = sheet.lane_centre + box.lanes.begin + moved.lanes.begin;
    const float* from = sheets + group.first[static_cast<std::size_t>(views[i] - group.begin)];
    CRYOLITH_SELECT(spread_rows)(from + row * sheet.stride + lane, sheet.stride,
                                 count(box.rows) + count(moved.rows) + 1, count(box.lanes) + count(moved.lanes) + 1,
                                 s.windows.data() + i * size, stride);
    for (index_t p = planes.begin; p < planes.end; ++p) {
      const PlaneShift& shift = shifts[p];
      const index_t offset =
          i * size + (shift.row - moved.rows.begin) * stride + spread(shift.lane - moved.lanes.begin);
      s.taps[(p - planes.begin) * n + i] = {static_cast<std::int32_t>(offset), shift.row_rest, shift.lane_rest};
    }
  }
}

// Fills pile [plane][row][lane], rows and lanes rounded up to whole tiles, with the sums of views of one piling.
void sum_pile(const FreePlan& plan, const FreePlan::Group& group, const float* sheets, const Views& views,
              const Box& box, Scratch& s) {
  const Piling axes = kPilings[plan.piling(views.front())];
  const Range planes = box.axis[axes.plane];
  Window tile{box.axis[axes.row], box.axis[axes.lane]};
  tile.rows.end = tile.rows.begin + rounded(count(tile.rows), kWarpRows);
  tile.lanes.end = tile.lanes.begin + rounded(count(tile.lanes), kWarpLanes);
  const index_t rows = count(tile.rows), lanes = count(tile.lanes), stride = spread_stride(lanes + kWidest.lanes);
  const index_t n = static_cast<index_t>(views.size()), parts = (n + kViewsPerRun - 1) / kViewsPerRun;
  const auto run = CRYOLITH_SELECT(warp_sum);
  for (index_t p0 = planes.begin; p0 < planes.end; p0 += kPlanesPerRun)
    for (index_t part = 0; part < parts; ++part) {
      const Range some{p0, std::min(planes.end, p0 + kPlanesPerRun)};
      const index_t first = n * part / parts, views_here = n * (part + 1) / parts - first;
      load_windows(plan, group, sheets, views.data() + first, views_here, some, tile, stride, s);
      for (index_t row = 0; row < rows; row += kWarpRows)
        for (index_t lane = 0; lane < lanes; lane += kWarpLanes)
          for (index_t p = some.begin; p < some.end; ++p)
            run(s.windows.data() + row * stride + spread(lane), stride, 16, s.taps.data() + (p - p0) * views_here,
                views_here, s.pile.data() + ((p - planes.begin) * rows + row) * lanes + lane, lanes, part > 0);
    }
}

// Sets, or adds to, the box of the volume. x runs fastest there: along the lanes, or across the planes.
void write_pile(const float* pile, Piling axes, const Box& box, bool add, View3<float> volume) {
  const index_t step[3] = {volume.extent[1] * volume.extent[2], volume.extent[2], 1};
  const Range planes = box.axis[axes.plane], rows = box.axis[axes.row], lanes = box.axis[axes.lane];
  const index_t all_lanes = rounded(count(lanes), kWarpLanes), plane = rounded(count(rows), kWarpRows) * all_lanes;
  float* to =
      volume.data + planes.begin * step[axes.plane] + rows.begin * step[axes.row] + lanes.begin * step[axes.lane];
  for (index_t row = 0; row < count(rows); ++row, pile += all_lanes, to += step[axes.row]) {
    if (axes.plane == 2) {
      CRYOLITH_SELECT(transpose)(pile, plane, count(planes), count(lanes), to, step[axes.lane], add);
      continue;
    }
    for (index_t p = 0; p < count(planes); ++p) {
      const float* from = pile + p * plane;
      float* out = to + p * step[axes.plane];
      for (index_t lane = 0; lane < count(lanes); ++lane) out[lane] = (add ? out[lane] : 0.0f) + from[lane];
    }
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

constexpr index_t kPileSize = kBox[0] * kBox[1] * kBox[2];
constexpr index_t kWindowsSize = kViewsPerRun * (kBox[1] + kWidest.rows) * spread_stride(kBox[2] + kWidest.lanes);
constexpr index_t kTaps3 = kViewsPerRun * kPlanesPerRun;

// ---- projection

// A run of planes across one piling, and how far any view of it moves against its own middle plane.
struct Slice {
  Range planes;
  index_t middle, row_span, lane_span;
};

Slice slice_of(const FreePlan& plan, const Views& views, Range planes) {
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

// Copies rows of some planes of the volume as the piling sees them, lanes of one row for each plane, with zeros around.
void load_lines(View3<const float> volume, Piling axes, Range planes, index_t row, Range lanes, index_t width,
                float* to, index_t to_stride) {
  const index_t step[3] = {volume.extent[1] * volume.extent[2], volume.extent[2], 1};
  for (index_t p = 0; p < count(planes); ++p)
    std::memset(to + p * to_stride, 0, static_cast<std::size_t>(width) * sizeof(float));
  if (row < 0 || row >= volume.extent[axes.row]) return;
  const Range inside{std::max<index_t>(lanes.begin, 0), std::min(lanes.end, volume.extent[axes.lane])};
  if (inside.begin >= inside.end) return;
  to += inside.begin - lanes.begin;
  const float* from =
      volume.data + planes.begin * step[axes.plane] + row * step[axes.row] + inside.begin * step[axes.lane];
  if (axes.plane == 2)
    return CRYOLITH_SELECT(transpose)(from, step[axes.lane], count(inside), count(planes), to, to_stride, false);
  for (index_t p = 0; p < count(planes); ++p)
    std::memcpy(to + p * to_stride, from + p * step[axes.plane],
                static_cast<std::size_t>(count(inside)) * sizeof(float));
}

void load_planes(View3<const float> volume, Piling axes, Range planes, Window window, index_t stride, float* to) {
  const index_t size = count(window.rows) * stride;
  for (index_t row = window.rows.begin; row < window.rows.end; ++row, to += stride)
    load_lines(volume, axes, planes, row, window.lanes, stride, to, size);
}

// Adds to the tile of every view's sheet (rows and lanes counted from where the middle plane of the slice is seen).
void sum_tile(const FreePlan& plan, const FreePlan::Group& group, const Views& views, const Slice& slice, Window tile,
              View3<const float> volume, Scratch& s, float* sheets) {
  const Piling axes = kPilings[plan.piling(views.front())];
  const Window window{{tile.rows.begin - slice.row_span - 1, tile.rows.end + slice.row_span},
                      {tile.lanes.begin - slice.lane_span - 1, tile.lanes.end + slice.lane_span}};
  const index_t stride = odd_lines(count(window.lanes)), size = count(window.rows) * stride;
  const index_t n = count(slice.planes);
  load_planes(volume, axes, slice.planes, window, stride, s.windows.data());
  const auto run = CRYOLITH_SELECT(warp_sum);
  for (index_t view : views) {
    const FreePlan::Sheet& sheet = plan.sheet(view);
    const PlaneShift *shifts = plan.shifts(view), &middle = shifts[slice.middle];
    for (index_t i = 0; i < n; ++i) {
      const PlaneShift& shift = shifts[slice.planes.begin + i];
      const index_t row = slice.row_span + middle.row - shift.row, lane = slice.lane_span + middle.lane - shift.lane;
      s.taps[i] = {static_cast<std::int32_t>(i * size + row * stride + lane), 1.0f - shift.row_rest,
                   1.0f - shift.lane_rest};
    }
    float* out = sheets + group.first[static_cast<std::size_t>(view - group.begin)] +
                 (sheet.row_centre + middle.row + tile.rows.begin) * sheet.stride + sheet.lane_centre + middle.lane +
                 tile.lanes.begin;
    for (index_t row = 0; row < count(tile.rows); row += kWarpRows)
      for (index_t lane = 0; lane < count(tile.lanes); lane += kWarpLanes)
        run(s.windows.data() + row * stride + lane, stride, 8, s.taps.data(), n, out + row * sheet.stride + lane,
            sheet.stride, true);
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

constexpr index_t kTileWindowSize =
    kPlanesPerTile * (kTileRows + kPlanesPerTile + 2) * odd_lines(kTileLanes + kPlanesPerTile + 2);

void sum_group(const Cpu& cpu, const FreePlan& plan, const FreePlan::Group& group, View3<const float> volume,
               std::vector<Scratch>& scratch, float* sheets) {
  for (int piling = 0; piling < 3; ++piling) {
    const Views views = views_of(plan, group, piling);
    const Piling axes = kPilings[piling];
    if (views.empty()) continue;
    for (index_t plane = 0; plane < plan.extent(axes.plane); plane += kPlanesPerTile) {
      const Slice slice = slice_of(plan, views, {plane, std::min(plan.extent(axes.plane), plane + kPlanesPerTile)});
      const std::vector<Window> tiles = tiles_of(plan, axes, slice);
      parallel_for(cpu, static_cast<index_t>(tiles.size()), [&](index_t tile, int worker) {
        Scratch& s = scratch[static_cast<std::size_t>(worker)];
        if (s.windows.size() == 0) {
          s.windows = Buffer<float>(kTileWindowSize);
          s.taps = Buffer<WarpTap>(kPlanesPerTile);
        }
        sum_tile(plan, group, views, slice, tiles[static_cast<std::size_t>(tile)], volume, s, sheets);
      });
    }
  }
}

index_t largest_group(const FreePlan& plan) {
  index_t size = 0;
  for (const FreePlan::Group& group : plan.groups()) size = std::max(size, group.size);
  return size;
}

}  // namespace

void backproject(const Cpu& cpu, const FreePlan& plan, View3<const float> images, View3<float> volume) {
  Buffer<float> sheets(largest_group(plan));
  std::vector<Scratch> scratch(static_cast<std::size_t>(resolve_threads(cpu)));
  const std::vector<Box> boxes = boxes_of(plan);
  bool add = false;
  for (const FreePlan::Group& group : plan.groups()) {
    sample_sheets(cpu, plan, group, images, sheets.data());
    const Views views[3] = {views_of(plan, group, 0), views_of(plan, group, 1), views_of(plan, group, 2)};
    parallel_for(cpu, static_cast<index_t>(boxes.size()), [&](index_t job, int worker) {
      Scratch& s = scratch[static_cast<std::size_t>(worker)];
      if (s.windows.size() == 0) {
        s.windows = Buffer<float>(kWindowsSize);
        s.pile = Buffer<float>(kPileSize);
        s.taps = Buffer<WarpTap>(kTaps3);
      }
      const Box& box = boxes[static_cast<std::size_t>(job)];
      bool more = add;
      for (int piling = 0; piling < 3; ++piling) {
        if (views[piling].empty()) continue;
        sum_pile(plan, group, sheets.data(), views[piling], box, s);
        write_pile(s.pile.data(), kPilings[piling], box, more, volume);
        more = true;
      }
    });
    add = true;
  }
}

void project(const Cpu& cpu, const FreePlan& plan, View3<const float> volume, View3<float> images) {
  std::memset(images.data, 0, static_cast<std::size_t>(images.size()) * sizeof(float));
  Buffer<float> sheets(largest_group(plan));
  std::vector<Scratch> scratch(static_cast<std::size_t>(resolve_threads(cpu)));
  for (const FreePlan::Group& group : plan.groups()) {
    if (group.begin > 0) sheets.clear();
    sum_group(cpu, plan, group, volume, scratch, sheets.data());
    scatter_sheets(cpu, plan, group, sheets.data(), images);
  }
}

index_t free_scratch_bytes(const FreePlan& plan, index_t threads) {
  const index_t box = (kWindowsSize + kPileSize) * index_t{sizeof(float)} + kTaps3 * index_t{sizeof(WarpTap)};
  const index_t tile = kTileWindowSize * index_t{sizeof(float)} + kPlanesPerTile * index_t{sizeof(WarpTap)};
  const index_t worker = std::max({box, tile, sheet_scratch_bytes(plan)});
  return largest_group(plan) * index_t{sizeof(float)} + threads * worker;
}

}  // namespace cryolith
