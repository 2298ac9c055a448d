// SPDX-License-Identifier: BSD-3-Clause
// The sum that the pair for free poses spends its time in, compiled once per instruction set.
#include "projection/warp_sum.hpp"

#include "projection/lanes.hpp"

namespace cryolith::CRYOLITH_VARIANT {

// As in shear_sum.cpp: a row that is used twice would be read twice.
#if defined(__AVX__)
#define CRYOLITH_PIN(v) asm("" : "+x"(v))
#else
#define CRYOLITH_PIN(v)
#endif

// Out of line on purpose, as shear_sum.
void warp_sum(const float* in, index_t stride, const WarpTap* taps, index_t count, float* out, index_t out_stride,
              bool add) {
  constexpr int rows = kWarpRows;
  static_assert(kWarpLanes == 8);
  V8 a[rows];
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r) {
    splat8(a[r], 0.0f);
    if (add) __builtin_prefetch(out + r * out_stride, 1);
  }
  for (index_t i = 0; i < count; ++i) {
    const float* p = in + taps[i].offset;
    V8 x, y, above;
    splat8(x, taps[i].lane);
    splat8(y, taps[i].row);
    splat8(above, 1.0f - taps[i].row);
#pragma GCC unroll 16
    for (int r = 0; r <= rows; ++r) {
      V8 left, right;
      load8(left, p);
      CRYOLITH_PIN(left);
      load8(right, p + 1);
      const V8 line = left + x * (right - left);
      if (r > 0) a[r - 1] += y * line;
      if (r < rows) a[r] += above * line;
      p += stride;
    }
  }
  if (add) {
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r) {
      V8 before;
      load8(before, out + r * out_stride);
      a[r] += before;
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r) store8(out + r * out_stride, a[r]);
}

void transpose(const float* from, index_t stride, index_t rows, index_t columns, float* to, index_t to_stride,
               bool add) {
  const index_t whole_rows = rows / 8 * 8, whole_columns = columns / 8 * 8;
  for (index_t r = 0; r < whole_rows; r += 8)
    for (index_t c = 0; c < whole_columns; c += 8) {
      V8 v[8], old;
#pragma GCC unroll 8  // else GCC 12 passes them through memory in halves
      for (int i = 0; i < 8; ++i) load8(v[i], from + (r + i) * stride + c);
      transpose8(v);
#pragma GCC unroll 8
      for (int i = 0; i < 8; ++i) {
        float* p = to + (c + i) * to_stride + r;
        if (add) {
          load8(old, p);
          v[i] += old;
        }
        store8(p, v[i]);
      }
    }
  for (index_t r = 0; r < rows; ++r)
    for (index_t c = r < whole_rows ? whole_columns : 0; c < columns; ++c) {
      float* p = to + c * to_stride + r;
      *p = (add ? *p : 0.0f) + from[r * stride + c];
    }
}

void spread_rows(const float* from, index_t stride, index_t rows, index_t lanes, float* to, index_t to_stride) {
  constexpr index_t ahead = 6;  // rows: each may lie on a page of its own, which no hardware prefetches
  for (index_t r = 0; r < rows; ++r, from += stride, to += to_stride) {
    for (index_t i = 0; i < lanes; i += 16) __builtin_prefetch(from + ahead * stride + i);
    V8 block, next;
    load8(block, from);
    for (index_t i = 0; i < lanes; i += 8) {
      load8(next, from + i + 8);
      store8(to + 2 * i, block);
      store8(to + 2 * i + 8, next);
      block = next;
    }
  }
}

}  // namespace cryolith::CRYOLITH_VARIANT
