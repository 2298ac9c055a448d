// SPDX-License-Identifier: BSD-3-Clause
// Raw image <-> strips <-> stretched rows where the tilt axis lies near an image axis, compiled once per instruction
// set: each lane has its own weights.
#include "projection/lanes.hpp"
#include "projection/strip_patch.hpp"
#include "projection/strips.hpp"
#include "projection/tap_weights.hpp"

namespace cryolith::CRYOLITH_VARIANT {
namespace {

constexpr int kLaneTaps = kTaps + 1;

// Weights of kLanes positions: weight[k] belongs to the pixels first + k + lane unit, unit 0 or 1.
struct LaneTaps {
  index_t first;
  V8 weight[kLaneTaps];
};

// Of the positions start + lane step, which differ from whole units by less than a pixel.
CRYOLITH_INLINE void lane_taps(TapTable table, index_t start, index_t step, index_t unit, LaneTaps& taps) {
  V8 w[kLanes], later = {};
  index_t tap[kLanes];
  for (index_t lane = 0; lane < kLanes; ++lane)
    tap[lane] = tap_weights(table, start + lane * step, w[lane]) - lane * unit;
  taps.first = tap[0] < tap[kLanes - 1] ? tap[0] : tap[kLanes - 1];
  const bool alike = tap[0] == tap[kLanes - 1];  // positions rise or fall all the way
  transpose8(w);
  for (int k = 0; k < kTaps; ++k) taps.weight[k] = w[k];
  taps.weight[kTaps] = V8{};
  if (alike) return;
  for (index_t lane = 0; lane < kLanes; ++lane) later[lane] = tap[lane] == taps.first ? 0.0f : 1.0f;
  const V8 now = 1.0f - later;
  taps.weight[0] = w[0] * now;
  for (int k = 1; k < kTaps; ++k) taps.weight[k] = w[k] * now + w[k - 1] * later;
  taps.weight[kTaps] = w[kTaps - 1] * later;
}

// Weights across the lines at pixel j, lanes in the order of the image.
CRYOLITH_INLINE void line_taps(TapTable table, const SampleLine& across, index_t j, LaneTaps& taps) {
  const bool reversed = across.lane < 0;
  const index_t start = across.start + j * across.step + (reversed ? (kLanes - 1) * across.lane : 0);
  lane_taps(table, start, reversed ? -across.lane : across.lane, 1, taps);
}

// Lines that the taps of a job's blocks lie on at the pixels j to j + kPatch, and one before them: that of the first
// tap, of weight 0, where lanes lie less than a pixel apart.
CRYOLITH_INLINE Range patch_lines(const StripJob& job, index_t j) {
  const SampleLine &a = job.grid[0].across, &b = job.grid[job.blocks - 1].across;
  index_t low = whole(a.start + j * a.step), high = low;
  for (index_t p : {j, j + kPatch - 1})
    for (index_t start : {a.start, b.start + (kLanes - 1) * b.lane}) {
      const index_t line = whole(start + p * a.step);
      low = smaller(low, line);
      high = larger(high, line);
    }
  return {low - kTaps / 2, high + kTaps / 2 + 2};
}

}  // namespace

void load_sheared(TapTable table, View2<const float> image, const StripJob& job, Range pixels, index_t ahead) {
  const bool down = job.grid[0].down, reversed = job.grid[0].across.lane < 0;
  clear_margins(job, image.extent[down ? 0 : 1]);
  alignas(64) float patch[kPatch][kPatchLines];
  for (index_t j = pixels.begin; j < pixels.end; j += kPatch) {
    const Range lines = patch_lines(job, j);
    const index_t padded = (lines.end - lines.begin + kLanes - 1) / kLanes * kLanes;
    take_patch(image, down, j, lines.begin, padded, ahead, patch);
    for (index_t b = 0; b < job.blocks; ++b)
      for (index_t p = 0; p < smaller(kPatch, pixels.end - j); ++p) {
        LaneTaps taps;
        line_taps(table, job.grid[b].across, j + p, taps);
        const float* from = patch[p] + taps.first - lines.begin;
        V8 sum = {};
        for (int k = 0; k < kLaneTaps; ++k) {
          V8 v;
          load8(v, from + k);
          sum += taps.weight[k] * v;
        }
        if (reversed) reverse8(sum);
        for (index_t lane = job.lanes[b]; lane < kLanes; ++lane) sum[lane] = 0.0f;
        store8(job.strip[b] + (j + p) * kLanes, sum);
      }
  }
}

void stretch_sheared(TapTable table, const StripJob& job, Range range) {
  for (index_t b = 0; b < job.blocks; ++b) {
    const SampleLine along = job.grid[b].along;
    for (index_t i = range.begin; i < range.end; ++i) {
      LaneTaps taps;
      lane_taps(table, along.start + i * along.step, along.lane, 0, taps);
      const float* from = job.strip[b] + taps.first * kLanes;
      V8 sum = {};
      for (int k = 0; k < kLaneTaps; ++k) {
        V8 v;
        load8(v, from + k * kLanes);
        sum += taps.weight[k] * v;
      }
      store8(job.rows[b] + i * kLanes, sum);
    }
  }
}

void collect_sheared(TapTable table, const StripJob& job, Range range, index_t pixels) {
  for (index_t b = 0; b < job.blocks; ++b) {
    const SampleLine along = job.grid[b].along;
    for (index_t j = -kStripMargin; j < pixels + kStripMargin; ++j) store8(job.strip[b] + j * kLanes, V8{});
    for (index_t i = range.begin; i < range.end; ++i) {
      LaneTaps taps;
      lane_taps(table, along.start + i * along.step, along.lane, 0, taps);
      float* to = job.strip[b] + taps.first * kLanes;
      V8 row;
      load8(row, job.rows[b] + i * kLanes);
      for (int k = 0; k < kLaneTaps; ++k) {
        V8 v;
        load8(v, to + k * kLanes);
        v += taps.weight[k] * row;
        store8(to + k * kLanes, v);
      }
    }
  }
}

// Rows are added in their own order to what the image holds, so that results do not depend on how many are at hand in
// one call. What falls beside `lines` belongs to another call.
void spread_sheared(TapTable table, View2<float> image, const StripGrid& grid, Range lines, Range rows,
                    const float* strips, index_t stride) {
  const bool reversed = grid.across.lane < 0;
  const index_t pixels = image.extent[grid.down ? 0 : 1];
  const index_t count = (lines.end - lines.begin + kLanes - 1) / kLanes * kLanes;
  // Of kLanes rows of which one may touch the lines the others lie up to kLanes lines further, each with its taps and a
  // line for what the lines' tilt adds from pixel to pixel.
  constexpr index_t margin = 2 * kTaps + kLanes;
  alignas(64) float patch[kPatch][kSpreadLines + 2 * margin];
  for (index_t j = 0; j < pixels; j += kPatch) {
    for (index_t l = 0; l < count; l += kLanes)
      take_patch(image, grid.down, j, lines.begin + l, kLanes, 0, patch, margin + l);
    for (index_t v = rows.begin; v < rows.end; v += kLanes) {
      LaneTaps taps[kPatch];
      SampleLine across = grid.across;
      across.start += v * across.lane;
      const index_t a = whole(across.start + j * across.step) - lines.begin;
      const index_t z = whole(across.start + (kLanes - 1) * across.lane + j * across.step) - lines.begin;
      if (larger(a, z) < -kTaps || smaller(a, z) >= count + kTaps) continue;
      for (index_t p = 0; p < kPatch; ++p) line_taps(table, across, j + p, taps[p]);
      for (int k = 0; k < kLaneTaps; ++k)  // the pixels in between: a load that straddles a fresh store waits for it
        for (index_t p = 0; p < smaller(kPatch, pixels - j); ++p) {
          V8 row, sum;
          load8(row, strips + (j + p) * stride + v - rows.begin);
          if (reversed) reverse8(row);
          float* to = patch[p] + taps[p].first - lines.begin + margin + k;
          load8(sum, to);
          sum += taps[p].weight[k] * row;
          store8(to, sum);
        }
    }
    for (index_t l = 0; l < count; l += kLanes) {
      V8 v[kPatch];
      for (index_t p = 0; p < kPatch; ++p) load8(v[p], patch[p] + margin + l);
      const index_t line = lines.begin + l;
      put_patch(image, grid.down, j, smaller(kPatch, pixels - j), line, {line, smaller(lines.end, line + kLanes)}, v);
    }
  }
}

}  // namespace cryolith::CRYOLITH_VARIANT
