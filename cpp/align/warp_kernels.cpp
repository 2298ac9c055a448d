// SPDX-License-Identifier: BSD-3-Clause
#include "align/warp_kernels.hpp"

#include "projection/lanes.hpp"
#include "projection/tap_weights.hpp"

namespace cryolith::CRYOLITH_VARIANT {
namespace {

CRYOLITH_INLINE index_t inside(index_t v, index_t high) { return v < 0 ? 0 : v > high ? high : v; }

// Where one sample lies: its first tap along each axis and all weights.
struct Sample {
  index_t first[3];
  alignas(32) float plane[kTaps], row[kTaps];
  V8 column;
};

// Rows and columns lie inside; planes may not (an image is a volume of one plane).
CRYOLITH_INLINE float sum_inside(const View3<const float>& v, const Sample& s) {
  const index_t height = v.extent[1], width = v.extent[2];
  const index_t low = inside(-s.first[0], kTaps), high = inside(v.extent[0] - s.first[0], kTaps);
  V8 even = {}, odd = {};
  for (index_t i = low; i < high; ++i) {
    const float* p = v.data + ((s.first[0] + i) * height + s.first[1]) * width + s.first[2];
    V8 rows = {};
#pragma GCC unroll 4
    for (int k = 0; k < kTaps; k += 2) {
      V8 one, two;
      load8(one, p + k * width);
      load8(two, p + (k + 1) * width);
      rows += s.row[k] * one;
      odd += (s.plane[i] * s.row[k + 1]) * two;
    }
    even += s.plane[i] * rows;
  }
  even = (even + odd) * s.column;
  float sum = 0;
  for (int k = 0; k < kTaps; ++k) sum += even[k];
  return sum;
}

CRYOLITH_INLINE float sum_at_border(const View3<const float>& v, const Sample& s) {
  index_t low[3], high[3];
  for (int d = 0; d < 3; ++d) {
    low[d] = inside(-s.first[d], kTaps);
    high[d] = inside(v.extent[d] - s.first[d], kTaps);
  }
  float sum = 0;
  for (index_t i = low[0]; i < high[0]; ++i)
    for (index_t j = low[1]; j < high[1]; ++j) {
      const float* p = v.data + ((s.first[0] + i) * v.extent[1] + s.first[1] + j) * v.extent[2] + s.first[2];
      const float w = s.plane[i] * s.row[j];
      for (index_t k = low[2]; k < high[2]; ++k) sum += w * s.column[k] * p[k];
    }
  return sum;
}

CRYOLITH_INLINE double total(const float* lanes) {
  double sum = 0;
  for (int l = 0; l < kLanes; ++l) sum += static_cast<double>(lanes[l]);
  return sum;
}

// Sums run in kLanes partial sums of a fixed order.
template <int Axes>
CRYOLITH_INLINE void moments(const GradientRow& a, const GradientRow& b, float first, float spacing, index_t n,
                             RowMoments& out) {
  constexpr int pairs = Axes * (Axes + 1) / 2;
  float slopes[Axes][kRowSlopes][kLanes] = {}, bends[pairs][kRowBends][kLanes] = {};
  const auto add = [&](index_t i, int l) __attribute__((always_inline)) {
    const float x = first + static_cast<float>(static_cast<std::int32_t>(i)) * spacing;
    float da[Axes], db[Axes];
    for (int d = 0; d < Axes; ++d) da[d] = a.of[1 + d][i], db[d] = b.of[1 + d][i];
    for (int d = 0; d < Axes; ++d) {
      const float s = 0.5f * (da[d] * b.of[0][i] - db[d] * a.of[0][i]);
      slopes[d][0][l] += s;
      slopes[d][1][l] += x * s;
    }
    int pair = 0;
    for (int d = 0; d < Axes; ++d)
      for (int e = d; e < Axes; ++e, ++pair) {
        const float s = 0.5f * (da[d] * db[e] + da[e] * db[d]);
        bends[pair][0][l] += s;
        bends[pair][1][l] += x * s;
        bends[pair][2][l] += x * x * s;
      }
  };
  index_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (int l = 0; l < kLanes; ++l) add(i + l, l);
  for (; i < n; ++i) add(i, 0);
  for (int d = 0; d < Axes; ++d)
    for (int k = 0; k < kRowSlopes; ++k) out.slopes[d][k] = total(slopes[d][k]);
  for (int p = 0; p < pairs; ++p)
    for (int k = 0; k < kRowBends; ++k) out.bends[p][k] = total(bends[p][k]);
}

}  // namespace

void warp_row(TapTable table, const View3<const float>& volume, const index_t* at, const index_t* step, index_t n,
              float* out) {
  for (index_t i = 0; i < n; ++i) {
    Sample s;
    V8 w;
    s.first[0] = tap_weights(table, at[0] + i * step[0], w);
    store8(s.plane, w);
    s.first[1] = tap_weights(table, at[1] + i * step[1], w);
    store8(s.row, w);
    s.first[2] = tap_weights(table, at[2] + i * step[2], s.column);
    bool whole = true, none = false;
    for (int d = 0; d < 3; ++d) {
      whole = whole && (d == 0 || (s.first[d] >= 0 && s.first[d] + kTaps <= volume.extent[d]));
      none = none || s.first[d] + kTaps <= 0 || s.first[d] >= volume.extent[d];
    }
    out[i] = none ? 0.0f : whole ? sum_inside(volume, s) : sum_at_border(volume, s);
  }
}

void row_moments(int axes, const GradientRow& a, const GradientRow& b, float first, float spacing, index_t n,
                 RowMoments& out) {
  if (axes == 2) return moments<2>(a, b, first, spacing, n, out);
  moments<3>(a, b, first, spacing, n, out);
}

}  // namespace cryolith::CRYOLITH_VARIANT
