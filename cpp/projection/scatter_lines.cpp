// SPDX-License-Identifier: BSD-3-Clause
// Lines of samples -> raw image, compiled once per instruction set.
//
// Neighbouring samples of a line add to overlapping pixels. Added one by one, each would wait for the stores of the one
// before; here a few neighbours are summed in registers, row by row of the image, and added once.
#include "projection/scatter_lines.hpp"

#include "projection/lanes.hpp"
#include "projection/tap_weights.hpp"

namespace cryolith::CRYOLITH_VARIANT {
namespace {

// Samples whose weights are made before any is used: a load that straddles two stores has to wait for them.
constexpr index_t kChunk = 64;
// Pixels across that one group of samples spans; weights stand in the middle of as many zeros on either side.
constexpr index_t kSpan = 16, kPadded = kTaps + 2 * kSpan;

struct Chunk {
  index_t row[kChunk], column[kChunk];  // first taps
  alignas(32) float row_weights[kChunk][kPadded], column_weights[kChunk][kPadded];
};

CRYOLITH_INLINE index_t least(index_t a, index_t b) { return a < b ? a : b; }
CRYOLITH_INLINE index_t most(index_t a, index_t b) { return a > b ? a : b; }

CRYOLITH_INLINE void make_weights(TapTable table, const SampleGrid& g, index_t lane, index_t first, index_t count,
                                  const float* values, Chunk& c) {
  for (index_t i = 0; i < count; ++i) {
    V8 rows, columns;
    c.row[i] = tap_weights(table, g.row.start + (first + i) * g.row.step + lane * g.row.lane, rows);
    c.column[i] = tap_weights(table, g.column.start + (first + i) * g.column.step + lane * g.column.lane, columns);
    store8(c.row_weights[i] + kSpan, rows);
    store8(c.column_weights[i] + kSpan, columns * values[i]);
  }
}

// Adds 16 pixels of one image row, those of them that exist.
CRYOLITH_INLINE void add_pixels(float* row, index_t first, index_t width, const V8& low, const V8& high) {
  if (first >= 0 && first + kSpan <= width) {
    V8 a, b;
    load8(a, row + first);
    load8(b, row + first + 8);
    store8(row + first, a + low);
    store8(row + first + 8, b + high);
    return;
  }
  float sums[kSpan];
  store8(sums, low);
  store8(sums + 8, high);
  for (index_t i = most(0, -first); i < least(kSpan, width - first); ++i) row[first + i] += sums[i];
}

// Adds samples [begin, end) of a chunk, whose taps span at most kSpan columns.
CRYOLITH_INLINE void add_group(const View2<float>& image, Range band, const Chunk& c, index_t begin, index_t end) {
  const index_t first = least(c.column[begin], c.column[end - 1]);
  const index_t top = most(band.begin, least(c.row[begin], c.row[end - 1]));
  const index_t bottom = least(band.end, most(c.row[begin], c.row[end - 1]) + kTaps);
  for (index_t row = top; row < bottom; ++row) {
    V8 low = {}, high = {};
    for (index_t i = begin; i < end; ++i) {
      V8 a, b, w;
      const float* columns = c.column_weights[i] + kSpan - (c.column[i] - first);
      load8(a, columns);
      load8(b, columns + 8);
      splat8(w, c.row_weights[i][kSpan + row - c.row[i]]);
      low += w * a;
      high += w * b;
    }
    add_pixels(image.data + row * image.extent[1], first, image.extent[1], low, high);
  }
}

}  // namespace

void scatter_lines(TapTable table, View2<float> image, Range band, const SampleGrid& grid, Range range, index_t lanes,
                   const float* values, index_t stride) {
  Chunk c = {};
  const index_t unit = index_t{1} << kPositionBits;
  const index_t step = most(most(grid.row.step, -grid.row.step), most(grid.column.step, -grid.column.step));
  const index_t group = step <= unit ? 8 : 6;  // 8 neighbours at most 1 pixel apart, or 6 at most 1.25, span 16
  for (index_t lane = 0; lane < lanes; ++lane)
    for (index_t first = range.begin; first < range.end; first += kChunk) {
      const index_t count = least(kChunk, range.end - first);
      make_weights(table, grid, lane, first, count, values + lane * stride + first, c);
      for (index_t i = 0; i < count; i += group) add_group(image, band, c, i, least(count, i + group));
    }
}

}  // namespace cryolith::CRYOLITH_VARIANT
