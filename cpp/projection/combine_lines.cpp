// SPDX-License-Identifier: BSD-3-Clause
// The sum that every pass of a turn consists of, compiled once per instruction set.
#include "projection/combine_lines.hpp"

#include "projection/lanes.hpp"

namespace cryolith::CRYOLITH_VARIANT {
namespace {

template <int kVectors>
CRYOLITH_INLINE void combine(const float* in, index_t stride, const float* weights, index_t count, float* out) {
  V8 sums[kVectors] = {};
  for (index_t m = 0; m < count; ++m, in += stride)
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      V8 line;
      load8(line, in + 8 * v);
      sums[v] += weights[m] * line;
    }
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) store8(out + 8 * v, sums[v]);
}

}  // namespace

void combine_lines(const float* in, index_t stride, const float* weights, index_t count, float* out, index_t n) {
  index_t i = 0;
  for (; i + 32 <= n; i += 32) combine<4>(in + i, stride, weights, count, out + i);
  for (; i < n; i += 8) combine<1>(in + i, stride, weights, count, out + i);
}

}  // namespace cryolith::CRYOLITH_VARIANT
