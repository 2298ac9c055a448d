// SPDX-License-Identifier: BSD-3-Clause
// Raw image <-> rows sampled along a line of the specimen, compiled once per instruction set. gather_rows and
// scatter_rows use the same weights in the same order: transposes of each other.
#include "projection/lanes.hpp"
#include "projection/sampling.hpp"

namespace cryolith::CRYOLITH_VARIANT {
namespace {

// Where one sample lies: its first tap and the weights of all of them.
struct Sample {
  index_t row, column;
  V8 row_weights, column_weights;
};

CRYOLITH_INLINE index_t floor_to_index(double x) {
  const index_t i = static_cast<index_t>(x);
  return i - (static_cast<double>(i) > x ? 1 : 0);
}

CRYOLITH_INLINE void tap_weights(TapTable table, double fraction, V8& w) {
  const double phase = fraction * kPhases;
  const int p = static_cast<int>(phase);
  V8 low, high, between;
  load8(low, table.weights + p * kTaps);
  load8(high, table.weights + (p + 1) * kTaps);
  splat8(between, static_cast<float>(phase - p));
  w = low + between * (high - low);
}

CRYOLITH_INLINE void locate(TapTable table, const SampleGrid& g, index_t i, index_t lane, Sample& s) {
  const double di = static_cast<double>(i), dj = static_cast<double>(lane);
  const double row = g.row_start + di * g.row_step + dj * g.row_lane;
  const double column = g.column_start + di * g.column_step + dj * g.column_lane;
  const index_t r = floor_to_index(row), c = floor_to_index(column);
  s.row = r - (kTaps / 2 - 1);
  s.column = c - (kTaps / 2 - 1);
  tap_weights(table, row - static_cast<double>(r), s.row_weights);
  tap_weights(table, column - static_cast<double>(c), s.column_weights);
}

CRYOLITH_INLINE index_t clamped(index_t v, index_t low, index_t high) { return v < low ? low : v > high ? high : v; }

// The pixels under the taps, weighted by row only: sums[k] belongs to column tap k.
CRYOLITH_INLINE void gather_columns(const View2<const float>& image, const Sample& s, V8& sums) {
  splat8(sums, 0.0f);
  const index_t height = image.extent[0], width = image.extent[1];
  if (s.row >= 0 && s.row + kTaps <= height && s.column >= 0 && s.column + kTaps <= width) {
    const float* p = image.data + s.row * width + s.column;
#pragma GCC unroll 8
    for (int k = 0; k < kTaps; ++k) {
      V8 pixels;
      load8(pixels, p + k * width);
      sums += s.row_weights[k] * pixels;
    }
    return;
  }
  const index_t k0 = clamped(-s.row, 0, kTaps), k1 = clamped(height - s.row, 0, kTaps);
  const index_t c0 = clamped(-s.column, 0, kTaps), c1 = clamped(width - s.column, 0, kTaps);
  float total[kTaps] = {};
  for (index_t k = k0; k < k1; ++k)
    for (index_t c = c0; c < c1; ++c)
      total[c] += s.row_weights[k] * image.data[(s.row + k) * width + s.column + c];
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
  for (index_t i = range.begin; i < range.end; ++i) {
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
