// SPDX-License-Identifier: BSD-3-Clause
#include "detect/scale_kernels.hpp"

namespace cryolith::detect::CRYOLITH_VARIANT {
namespace {

constexpr index_t kAhead = 8;  // rows

}  // namespace

void scale_row(const float* from, const float* factors, float gain, index_t n, float* to) {
  for (index_t x = 0; x < n; ++x) {
    const float g = gain * factors[x];
    to[2 * x] = from[2 * x] * g;
    to[2 * x + 1] = from[2 * x + 1] * g;
  }
}

void rest_row(const float* base, const float* factors, index_t n, float* rest) {
  for (index_t x = 0; x < n; ++x) {
    const float g = factors[x];
    rest[2 * x] = base[2 * x] - rest[2 * x] * g;
    rest[2 * x + 1] = base[2 * x + 1] - rest[2 * x + 1] * g;
  }
}

index_t survey_row(const float* row, index_t n, std::int32_t low, std::int32_t* largest) {
  index_t inside = 0;
  for (index_t begin = 0; begin < n; begin += kChunk) {
    const index_t end = begin + kChunk < n ? begin + kChunk : n;
    std::int32_t most = 0, within = 0;
    for (index_t x = begin; x < end; ++x) {
      std::int32_t size;
      __builtin_memcpy(&size, row + x, sizeof size);
      size &= 0x7fffffff;
      most = size > most ? size : most;
      within += size < low;
    }
    *largest++ = most;
    inside += within;
  }
  return inside;
}

void weigh_rows(const float* const* rows, index_t count, index_t n, const Weights& weights, double* sums) {
  double *plain = sums, *along = sums + n, *bent = sums + 2 * n;
  for (index_t x = 0; x < 3 * n; ++x) sums[x] = 0;
  for (index_t y = 0; y < count; ++y) {
    const float* row = rows[y];
    // Short rows of a large field: the processor does not see them coming.
    if (y + kAhead < count)
      for (index_t x = 0; x < n; x += 16) __builtin_prefetch(rows[y + kAhead] + x);
    const double g = weights.value[y], slope = weights.slope[y], bend = weights.bend[y];
    for (index_t x = 0; x < n; ++x) {
      const double v = static_cast<double>(row[x]);
      plain[x] += g * v;
      along[x] += slope * v;
      bent[x] += bend * v;
    }
  }
}

void fold_rows(const float* const* rows, index_t n, float* sums) {
  const float *a = rows[0], *b = rows[1], *c = rows[2], *d = rows[3];
  for (index_t x = 0; x < n; ++x) {
    sums[x] = (a[x] + b[x]) + (c[x] + d[x]);
    sums[n + x] = (a[x] - b[x]) - (c[x] - d[x]);
    sums[2 * n + x] = (a[x] + b[x]) - (c[x] + d[x]);
    sums[3 * n + x] = (a[x] - b[x]) + (c[x] - d[x]);
  }
}

}  // namespace cryolith::detect::CRYOLITH_VARIANT
