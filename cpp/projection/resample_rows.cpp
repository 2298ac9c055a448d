// SPDX-License-Identifier: BSD-3-Clause
// Raw image <-> rows sampled along a line of the specimen, compiled once per instruction set. gather_rows and
// scatter_rows use the same weights in the same order: transposes of each other.
#include "projection/lanes.hpp"
#include "projection/sampling.hpp"
#include "projection/tap_weights.hpp"

namespace cryolith::CRYOLITH_VARIANT {
namespace {

// Where one sample lies: its first tap and the weights of all of them.
struct Sample {
  index_t row, column;
  alignas(32) float row_weights[kTaps];
  V8 column_weights;
};

CRYOLITH_INLINE index_t position(const SampleLine& line, index_t i, index_t lane) {
  return line.start + i * line.step + lane * line.lane;
}

CRYOLITH_INLINE void locate(TapTable table, const SampleGrid& g, index_t i, index_t lane, Sample& s) {
  V8 w;
  s.row = tap_weights(table, position(g.row, i, lane), w);
  store8(s.row_weights, w);
  s.column = tap_weights(table, position(g.column, i, lane), s.column_weights);
}

CRYOLITH_INLINE index_t clamped(index_t v, index_t low, index_t high) { return v < low ? low : v > high ? high : v; }

// The pixels under the taps, weighted by row only: sums[k] belongs to column tap k.
CRYOLITH_INLINE void gather_columns(const View2<const float>& image, const Sample& s, V8& sums) {
  splat8(sums, 0.0f);
  const index_t height = image.extent[0], width = image.extent[1];
  if (s.row >= 0 && s.row + kTaps <= height && s.column >= 0 && s.column + kTaps <= width) {
    const float* p = image.data + s.row * width + s.column;
    V8 odd = {};  // two chains of additions: one would wait for itself
#pragma GCC unroll 4
    for (int k = 0; k < kTaps; k += 2) {
      V8 even_pixels, odd_pixels;
      load8(even_pixels, p + k * width);
      load8(odd_pixels, p + (k + 1) * width);
      sums += s.row_weights[k] * even_pixels;
      odd += s.row_weights[k + 1] * odd_pixels;
    }
    sums += odd;
    return;
  }
  const index_t k0 = clamped(-s.row, 0, kTaps), k1 = clamped(height - s.row, 0, kTaps);
  const index_t c0 = clamped(-s.column, 0, kTaps), c1 = clamped(width - s.column, 0, kTaps);
  float total[kTaps] = {};
  for (index_t k = k0; k < k1; ++k)
    for (index_t c = c0; c < c1; ++c) total[c] += s.row_weights[k] * image.data[(s.row + k) * width + s.column + c];
  load8(sums, total);
}

// Adds value times both weights to the pixels under the taps that lie in the band of rows.
CRYOLITH_INLINE void scatter_one(const View2<float>& image, Range band, const Sample& s, float value) {
  const index_t width = image.extent[1];
  const V8 weighted = s.column_weights * value;
  const index_t k0 = clamped(band.begin - s.row, 0, kTaps), k1 = clamped(band.end - s.row, 0, kTaps);
  const index_t c0 = clamped(-s.column, 0, kTaps), c1 = clamped(width - s.column, 0, kTaps);
  const bool whole = c0 == 0 && c1 == kTaps;
  for (index_t k = k0; k < k1; ++k) {
    float* p = image.data + (s.row + k) * width + s.column;
    if (whole) {
      V8 pixels;
      load8(pixels, p);
      pixels += s.row_weights[k] * weighted;
      store8(p, pixels);
    } else {
      for (index_t c = c0; c < c1; ++c) p[c] += s.row_weights[k] * weighted[c];
    }
  }
}

}  // namespace

void gather_rows(TapTable table, View2<const float> image, const SampleGrid& grid, Range range, index_t lanes,
                 float* rows) {
  const index_t width = image.extent[1];
  for (index_t i = range.begin; i < range.end; ++i) {
    for (index_t lane = 0; lane < lanes;
         lane += kLanes - 1) {  // where a line of samples crosses image rows nothing else prefetches
      const index_t r = position(grid.row, i + 16, lane) >> kPositionBits;
      const index_t c = position(grid.column, i + 16, lane) >> kPositionBits;
      if (r >= 0 && r < image.extent[0] && c >= 0 && c < width) __builtin_prefetch(image.data + r * width + c);
    }
    V8 parts[kLanes], out;
    for (index_t lane = 0; lane < kLanes; ++lane) {
      if (lane >= lanes) {
        splat8(parts[lane], 0.0f);
        continue;
      }
      Sample s;
      locate(table, grid, i, lane, s);
      gather_columns(image, s, parts[lane]);
      parts[lane] *= s.column_weights;
    }
    sums8(out, parts);
    store8(rows + i * kLanes, out);
  }
}

void scatter_rows(TapTable table, View2<float> image, Range band, const SampleGrid& grid, Range range, index_t lanes,
                  const float* rows) {
  // Neighbouring samples add to overlapping pixels, and a load that straddles a store just made waits for it; so
  // samples are visited 2 kTaps apart. The order does not depend on the range.
  constexpr index_t apart = 2 * kTaps;
  for (index_t lane = 0; lane < lanes; ++lane)
    for (index_t phase = 0; phase < apart; ++phase)
      for (index_t i = range.begin + (phase + apart - range.begin % apart) % apart; i < range.end; i += apart) {
        Sample s;
        locate(table, grid, i, lane, s);
        if (s.row < band.end && s.row + kTaps > band.begin) scatter_one(image, band, s, rows[i * kLanes + lane]);
      }
}

}  // namespace cryolith::CRYOLITH_VARIANT
