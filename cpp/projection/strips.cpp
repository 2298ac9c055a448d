// SPDX-License-Identifier: BSD-3-Clause
// Raw image <-> strips <-> stretched rows, compiled once per instruction set. Lines of an image are its rows, or its
// columns where strips run down them; a patch is kPatch pixels of some neighbouring lines, lines contiguous.
#include "projection/strips.hpp"

#include "projection/lanes.hpp"
#include "projection/tap_weights.hpp"

namespace cryolith::CRYOLITH_VARIANT {
namespace {

constexpr index_t kPatch = 8;
// Lines of one patch: those of all blocks of a job and the taps around them.
constexpr index_t kPatchLines = kStripBlocks * kLanes + kTaps + kLanes;

CRYOLITH_INLINE index_t smaller(index_t a, index_t b) { return a < b ? a : b; }
CRYOLITH_INLINE index_t larger(index_t a, index_t b) { return a > b ? a : b; }
CRYOLITH_INLINE index_t whole(index_t position) { return position >> kPositionBits; }

CRYOLITH_INLINE void reverse8(V8& v) { v = __builtin_shufflevector(v, v, 7, 6, 5, 4, 3, 2, 1, 0); }

// Lines of kLanes lanes whose taps start at `line`, in the order of the image.
CRYOLITH_INLINE index_t lowest_line(const SampleLine& across) {
  return whole(across.start) - (across.lane < 0 ? kLanes - 1 : 0);
}

// One pixel of an image, addressed along and across its lines; 0 outside.
CRYOLITH_INLINE float pixel(const View2<const float>& image, bool down, index_t line, index_t j) {
  const index_t r = down ? j : line, c = down ? line : j;
  const bool inside = r >= 0 && r < image.extent[0] && c >= 0 && c < image.extent[1];
  return inside ? image.data[r * image.extent[1] + c] : 0.0f;
}

// patch[p][l] = pixel j + p of line `line + l`, for p < kPatch and l < lines (a multiple of kLanes); asks for the
// pixels `ahead` of them.
CRYOLITH_INLINE void take_patch(const View2<const float>& image, bool down, index_t j, index_t line, index_t lines,
                                index_t ahead, float (*patch)[kPatchLines]) {
  const index_t height = image.extent[0], width = image.extent[1];
  for (index_t l = 0; l < lines; l += kLanes) {
    const index_t r = down ? j : line + l, c = down ? line + l : j;
    if (r >= 0 && r + 8 <= height && c >= 0 && c + 8 <= width) {
      V8 v[8];
      for (index_t i = 0; i < 8; ++i) {
        load8(v[i], image.data + (r + i) * width + c);
        __builtin_prefetch(image.data + (r + i) * width + c + ahead);
      }
      if (!down) transpose8(v);
      for (index_t p = 0; p < kPatch; ++p) store8(patch[p] + l, v[p]);
    } else {
      for (index_t p = 0; p < kPatch; ++p)
        for (index_t i = 0; i < kLanes; ++i) patch[p][l + i] = pixel(image, down, line + l + i, j + p);
    }
  }
}

// Sets pixels j to j + count of the lines [first, last) among line ... line + kLanes: v[p][l] <-> pixel p, line l.
CRYOLITH_INLINE void put_patch(const View2<float>& image, bool down, index_t j, index_t count, index_t line,
                               Range lines, V8 v[8]) {
  const index_t width = image.extent[1];
  if (!down) transpose8(v);
  const index_t r = down ? j : line, c = down ? line : j;
  const Range along{0, count}, across{lines.begin - line, lines.end - line};
  const Range rs = down ? along : across, cs = down ? across : along;
  for (index_t i = rs.begin; i < rs.end; ++i) {
    float* to = image.data + (r + i) * width + c;
    if (cs.begin == 0 && cs.end == 8) {
      store8(to, v[i]);
    } else {
      for (index_t k = cs.begin; k < cs.end; ++k) to[k] = v[i][k];
    }
  }
}

}  // namespace

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
  const index_t extent = image.extent[job.grid[0].down ? 0 : 1];
  for (index_t b = 0; b < job.blocks; ++b)
    for (index_t m = 0; m < kStripMargin; ++m) {
      store8(job.strip[b] + (m - kStripMargin) * kLanes, V8{});
      store8(job.strip[b] + (extent + m) * kLanes, V8{});
    }
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
      const float w = taps.weights[j * kStripSamples + m];
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
    for (index_t m = 0; m < kStripSamples; ++m) taps.weights[j * kStripSamples + m] = 0.0f;
  }
  Range known{0, 0};  // pixels whose first sample is known
  for (index_t i = 0; i < samples; ++i) {
    V8 w;
    const index_t tap = tap_weights(table, along.start + i * along.step, w);
    const Range now{larger(tap, 0), smaller(tap + kTaps, pixels)};
    for (index_t j = now.begin; j < now.end; ++j) {
      if (j < known.begin || j >= known.end) taps.first[j] = static_cast<std::int32_t>(i);
      const index_t m = i - taps.first[j];
      taps.weights[j * kStripSamples + m] = w[j - tap];
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
