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

// patch[p][l] = pixel j + p of line `line + l`, for p < kPatch and l < lines (a multiple of kLanes).
CRYOLITH_INLINE void take_patch(const View2<const float>& image, bool down, index_t j, index_t line, index_t lines,
                                float (*patch)[kPatchLines]) {
  const index_t height = image.extent[0], width = image.extent[1];
  for (index_t l = 0; l < lines; l += kLanes) {
    const index_t r = down ? j : line + l, c = down ? line + l : j;
    if (r >= 0 && r + 8 <= height && c >= 0 && c + 8 <= width) {
      V8 v[8];
      for (index_t i = 0; i < 8; ++i) load8(v[i], image.data + (r + i) * width + c);
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

void load_strips(TapTable table, View2<const float> image, const StripJob& job, Range pixels) {
  index_t first = whole(job.grid[0].across.start), last = first;
  for (index_t b = 0; b < job.blocks; ++b) {
    const index_t low = lowest_line(job.grid[b].across);
    first = smaller(first, low);
    last = larger(last, low + kLanes - 1);
  }
  first -= kTaps / 2 - 1;
  const index_t lines = last + kTaps / 2 - first + 1, padded = (lines + kLanes - 1) / kLanes * kLanes;
  const index_t extent = image.extent[job.grid[0].down ? 0 : 1];
  for (index_t b = 0; b < job.blocks; ++b)
    for (index_t m = 0; m < kStripMargin; ++m) {
      store8(job.strip[b] + (m - kStripMargin) * kLanes, V8{});
      store8(job.strip[b] + (extent + m) * kLanes, V8{});
    }
  alignas(64) float patch[kPatch][kPatchLines];
  for (index_t j = pixels.begin; j < pixels.end; j += kPatch) {
    take_patch(image, job.grid[0].down, j, first, padded, patch);
    for (index_t b = 0; b < job.blocks; ++b) {
      const SampleLine& across = job.grid[b].across;
      V8 weights;
      tap_weights(table, across.start, weights);
      const bool between = (across.start & ((index_t{1} << kPositionBits) - 1)) != 0;
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
CRYOLITH_INLINE void collect(const StripJob& job, Range pixels, index_t samples, const float* weights,
                             const std::int32_t* first) {
  for (index_t j = pixels.begin; j < pixels.end; ++j) {
    V8 sums[kBlocks] = {};
    const index_t from = first[j] * kLanes;
    for (index_t m = 0; m < samples; ++m) {
      const float w = weights[j * kStripSamples + m];
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

// The weights of stretch() by pixel instead of by sample: weights[j][m] belongs to sample first[j] + m. Returns the
// largest number of samples that a pixel has.
index_t transpose_weights(TapTable table, const SampleLine& along, Range range, Range pixels, float* weights,
                          std::int32_t* first) {
  index_t most = 0;
  for (index_t j = pixels.begin; j < pixels.end; ++j) {
    first[j] = static_cast<std::int32_t>(range.begin);
    for (index_t m = 0; m < kStripSamples; ++m) weights[j * kStripSamples + m] = 0.0f;
  }
  Range known{0, 0};  // pixels whose first sample is known
  for (index_t i = range.begin; i < range.end; ++i) {
    V8 w;
    const index_t tap = tap_weights(table, along.start + i * along.step, w);
    const index_t begin = larger(tap, pixels.begin), end = smaller(tap + kTaps, pixels.end);
    for (index_t j = begin; j < end; ++j) {
      if (j < known.begin || j >= known.end) first[j] = static_cast<std::int32_t>(i);
      weights[j * kStripSamples + i - first[j]] = w[j - tap];
      most = larger(most, i - first[j] + 1);
    }
    known = Range{begin, end};
  }
  return most;
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

void collect_strips(TapTable table, const StripJob& job, Range range, Range pixels, float* weights,
                    std::int32_t* first) {
  const index_t samples = transpose_weights(table, job.grid[0].along, range, pixels, weights, first);
  switch (job.blocks) {
    case 1:
      return collect<1>(job, pixels, samples, weights, first);
    case 2:
      return collect<2>(job, pixels, samples, weights, first);
    case 3:
      return collect<3>(job, pixels, samples, weights, first);
    default:
      return collect<4>(job, pixels, samples, weights, first);
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

}  // namespace cryolith::CRYOLITH_VARIANT
