// SPDX-License-Identifier: BSD-3-Clause
// Raw image <-> strips <-> stretched rows of straight tilts, whose lanes share their weights, compiled once per
// instruction set.
#include "projection/strips.hpp"

#include "projection/lanes.hpp"
#include "projection/strip_patch.hpp"
#include "projection/tap_weights.hpp"

namespace cryolith::CRYOLITH_VARIANT {

void load_strips(TapTable table, View2<const float> image, const StripJob& job, Range pixels, index_t ahead) {
  constexpr index_t fraction = (index_t{1} << kPositionBits) - 1;
  index_t first = whole(job.grid[0].across.start), last = first;
  const bool between = (job.grid[0].across.start & fraction) != 0;  // of all blocks alike
  for (index_t b = 0; b < job.blocks; ++b) {
    const index_t low = lowest_line(job.grid[b].across);
    first = smaller(first, low);
    last = larger(last, low + kLanes - 1);
  }
  first -= between ? kTaps / 2 - 1 : 0;
  last += between ? kTaps / 2 : 0;
  const index_t lines = last - first + 1, padded = (lines + kLanes - 1) / kLanes * kLanes;
  clear_margins(job, image.extent[job.grid[0].down ? 0 : 1]);
  alignas(64) float patch[kPatch][kPatchLines];
  for (index_t j = pixels.begin; j < pixels.end; j += kPatch) {
    take_patch(image, job.grid[0].down, j, first, padded, ahead, patch);
    for (index_t b = 0; b < job.blocks; ++b) {
      const SampleLine& across = job.grid[b].across;
      V8 weights;
      tap_weights(table, across.start, weights);
      const index_t low = lowest_line(across) - first;  // of the tap at the line itself
      for (index_t p = 0; p < smaller(kPatch, pixels.end - j); ++p) {
        V8 sum;
        load8(sum, patch[p] + low);
        if (between) {
          splat8(sum, 0.0f);
#pragma GCC unroll 8
          for (int k = 0; k < kTaps; ++k) {
            V8 v;
            load8(v, patch[p] + low - (kTaps / 2 - 1) + k);
            sum += weights[k] * v;
          }
        }
        if (across.lane < 0) reverse8(sum);
        for (index_t lane = job.lanes[b]; lane < kLanes; ++lane) sum[lane] = 0.0f;
        store8(job.strip[b] + (j + p) * kLanes, sum);
      }
    }
  }
}

namespace {

template <int kBlocks>
CRYOLITH_INLINE void stretch(TapTable table, const StripJob& job, Range range) {
  const SampleLine along = job.grid[0].along;
  for (index_t i = range.begin; i < range.end; ++i) {
    V8 weights, sums[kBlocks] = {};
    const index_t tap = tap_weights(table, along.start + i * along.step, weights) * kLanes;
#pragma GCC unroll 8
    for (int k = 0; k < kTaps; ++k)
#pragma GCC unroll 4
      for (int b = 0; b < kBlocks; ++b) {
        V8 v;
        load8(v, job.strip[b] + tap + k * kLanes);
        sums[b] += weights[k] * v;
      }
#pragma GCC unroll 4
    for (int b = 0; b < kBlocks; ++b) store8(job.rows[b] + i * kLanes, sums[b]);
  }
}

template <int kBlocks>
CRYOLITH_INLINE void collect(const StripJob& job, index_t pixels, const PixelTaps& taps) {
  for (index_t j = 0; j < pixels; ++j) {
    V8 sums[kBlocks] = {};
    const index_t from = taps.first[j] * kLanes;
    for (index_t m = 0; m < taps.samples; ++m) {
      const float w = taps.weights[j * taps.stride + m];
#pragma GCC unroll 4
      for (int b = 0; b < kBlocks; ++b) {
        V8 v;
        load8(v, job.rows[b] + from + m * kLanes);
        sums[b] += w * v;
      }
    }
#pragma GCC unroll 4
    for (int b = 0; b < kBlocks; ++b) store8(job.strip[b] + j * kLanes, sums[b]);
  }
}

}  // namespace

void stretch_strips(TapTable table, const StripJob& job, Range range) {
  switch (job.blocks) {
    case 1:
      return stretch<1>(table, job, range);
    case 2:
      return stretch<2>(table, job, range);
    case 3:
      return stretch<3>(table, job, range);
    default:
      return stretch<4>(table, job, range);
  }
}

void pixel_taps(TapTable table, SampleLine along, index_t samples, index_t pixels, PixelTaps& taps) {
  taps.samples = 0;
  for (index_t j = 0; j < pixels; ++j) {
    taps.first[j] = 0;
    for (index_t m = 0; m < taps.stride; ++m) taps.weights[j * taps.stride + m] = 0.0f;
  }
  Range known{0, 0};  // pixels whose first sample is known
  for (index_t i = 0; i < samples; ++i) {
    V8 w;
    const index_t tap = tap_weights(table, along.start + i * along.step, w);
    const Range now{larger(tap, 0), smaller(tap + kTaps, pixels)};
    for (index_t j = now.begin; j < now.end; ++j) {
      if (j < known.begin || j >= known.end) taps.first[j] = static_cast<std::int32_t>(i);
      const index_t m = i - taps.first[j];
      taps.weights[j * taps.stride + m] = w[j - tap];
      taps.samples = larger(taps.samples, m + 1);
    }
    known = now;
  }
}

void collect_strips(const PixelTaps& taps, const StripJob& job, index_t pixels) {
  switch (job.blocks) {
    case 1:
      return collect<1>(job, pixels, taps);
    case 2:
      return collect<2>(job, pixels, taps);
    case 3:
      return collect<3>(job, pixels, taps);
    default:
      return collect<4>(job, pixels, taps);
  }
}

void store_strips(View2<float> image, const StripJob& job) {
  const bool down = job.grid[0].down;
  const index_t pixels = image.extent[down ? 0 : 1], lines = image.extent[down ? 1 : 0];
  for (index_t j = 0; j < pixels; j += kPatch)
    for (index_t b = 0; b < job.blocks; ++b) {
      const SampleLine& across = job.grid[b].across;
      const index_t line = lowest_line(across), lanes = job.lanes[b];
      const bool reversed = across.lane < 0;
      const Range inside{larger(0, reversed ? line + kLanes - lanes : line),
                         smaller(lines, reversed ? line + kLanes : line + lanes)};
      V8 v[8];
      for (index_t p = 0; p < kPatch; ++p) {
        load8(v[p], job.strip[b] + (j + p) * kLanes);
        if (reversed) reverse8(v[p]);
      }
      put_patch(image, down, j, smaller(kPatch, pixels - j), line, inside, v);
    }
}

// Rows are added in their own order, so that results do not depend on how many are at hand in one call.
void spread_strips(TapTable table, View2<float> image, const StripGrid& grid, Range lines, Range rows,
                   const float* strips, index_t stride) {
  const bool reversed = grid.across.lane < 0;
  const index_t pixels = image.extent[grid.down ? 0 : 1];
  alignas(32) float weights[kTaps];
  V8 w;
  tap_weights(table, grid.across.start, w);
  store8(weights, w);
  alignas(64) float patch[kPatch][kPatchLines];
  for (index_t line = lines.begin; line < lines.end; line += kLanes) {
    // Row v has its tap k on line start + v - 3 + k, or start - v - 3 + k; `from` is the first row of tap 0 or 7 whose
    // kLanes neighbours lie on the lines from `line` on.
    const index_t start = whole(grid.across.start), half = kTaps / 2;
    const index_t from = reversed ? start - line - half + 1 - (kLanes - 1) : line - start - half;
    if (from + kLanes + kTaps - 2 < rows.begin || from >= rows.end) continue;
    for (index_t j = 0; j < pixels; j += kPatch) {
      take_patch(image, grid.down, j, line, kLanes, 0, patch);
      V8 v[kPatch];
      const index_t count = smaller(kPatch, pixels - j);
      for (index_t p = 0; p < kPatch; ++p) {
        load8(v[p], patch[p]);
        if (p >= count) continue;
        if (reversed) reverse8(v[p]);
        const float* strip = strips + (j + p) * stride + from - rows.begin;
#pragma GCC unroll 8
        for (int k = 0; k < kTaps; ++k) {
          V8 row;
          load8(row, strip + k);
          v[p] += weights[reversed ? k : kTaps - 1 - k] * row;
        }
        if (reversed) reverse8(v[p]);
      }
      put_patch(image, grid.down, j, count, line, {line, smaller(lines.end, line + kLanes)}, v);
    }
  }
}

}  // namespace cryolith::CRYOLITH_VARIANT
