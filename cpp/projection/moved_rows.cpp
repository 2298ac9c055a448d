// SPDX-License-Identifier: BSD-3-Clause
// Samples of an image at positions that follow no lattice, compiled once per instruction set.
#include "projection/moved_rows.hpp"

#include "projection/tap_weights.hpp"

namespace cryolith::CRYOLITH_VARIANT {
namespace {

// Both taps' weights of position i, and where its first tap lies.
CRYOLITH_INLINE index_t weights_at(TapTable table, const Positions& at, index_t i, index_t stride, float* row,
                                   V8& column) {
  V8 w;
  const index_t first_row = tap_weights(table, at.rows[i], w);
  store8(row, w);
  return first_row * stride + tap_weights(table, at.columns[i], column);
}

}  // namespace

void sample_moved(TapTable table, const float* image, index_t stride, const Positions& at, float* out) {
  alignas(32) float row[kTaps];
  for (index_t i = 0; i < at.count; i += 8) {
    const index_t count = at.count - i < 8 ? at.count - i : 8;
    V8 products[8] = {}, sums;
    for (index_t j = 0; j < count; ++j) {
      V8 column, sum = {};
      const float* from = image + weights_at(table, at, i + j, stride, row, column);
#pragma GCC unroll 8
      for (int k = 0; k < kTaps; ++k) {
        V8 v;
        load8(v, from + k * stride);
        sum += row[k] * v;
      }
      products[j] = column * sum;
    }
    sums8(sums, products);
    for (index_t j = 0; j < count; ++j) out[i + j] = sums[j];
  }
}

void spread_moved(TapTable table, const float* values, const Positions& at, float* image, index_t stride) {
  alignas(32) float row[kTaps];
  for (index_t i = 0; i < at.count; ++i) {
    V8 column;
    float* to = image + weights_at(table, at, i, stride, row, column);
    column *= values[i];
#pragma GCC unroll 8
    for (int k = 0; k < kTaps; ++k) {
      V8 v;
      load8(v, to + k * stride);
      v += row[k] * column;
      store8(to + k * stride, v);
    }
  }
}

}  // namespace cryolith::CRYOLITH_VARIANT
