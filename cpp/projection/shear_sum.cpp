// SPDX-License-Identifier: BSD-3-Clause
// The sum that both halves of the projector pair spend their time in, compiled once per instruction set.
#include "projection/lanes.hpp"
#include "projection/sampling.hpp"

namespace cryolith::CRYOLITH_VARIANT {

// Compilers fold a row that is used twice into two memory operands; pinned it stays in a register: one load, not two
// (18.5 to 21.9 GUPS on Zen 3, field notes of the prototype). Only where a V8 is one register.
#if defined(__AVX__)
#define CRYOLITH_PIN(v) asm("" : "+x"(v))
#else
#define CRYOLITH_PIN(v)
#endif

// Out of line on purpose: inlined into loops over tiles, GCC 12 spills the accumulators.
void shear_sum(const float* in, const Tap* taps, index_t count, float* acc, bool add) {
  V8 a[kRun], one;
  splat8(one, 1.0f);
#pragma GCC unroll 16
  for (int r = 0; r < kRun; ++r) splat8(a[r], 0.0f);
  if (add) {
#pragma GCC unroll 16
    for (int r = 0; r < kRun; ++r) load8(a[r], acc + r * kLanes);
  }
  for (index_t i = 0; i < count; ++i) {
    const float* p = in + taps[i].offset;
    V8 w1, low, high;
    splat8(w1, taps[i].weight);
    const V8 w0 = one - w1;
    load8(low, p);
    CRYOLITH_PIN(low);
#pragma GCC unroll 16
    for (int r = 0; r < kRun; ++r) {
      load8(high, p + (r + 1) * kLanes);
      CRYOLITH_PIN(high);
      a[r] += w0 * low;
      CRYOLITH_PIN(a[r]);
      a[r] += w1 * high;
      CRYOLITH_PIN(a[r]);
      low = high;
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRun; ++r) store8(acc + r * kLanes, a[r]);
}

void to_lanes(const float* plain, index_t stride, index_t n, index_t lanes, index_t ahead, float* rows,
              index_t row_stride) {
  index_t x = 0;
  if (lanes == kLanes)
    for (; x + 8 <= n; x += 8) {
      V8 v[8];
      for (int y = 0; y < 8; ++y) {
        load8(v[y], plain + y * stride + x);
        __builtin_prefetch(plain + y * stride + x + ahead);
      }
      transpose8(v);
      for (int i = 0; i < 8; ++i) store8(rows + (x + i) * row_stride, v[i]);
    }
  for (; x < n; ++x)
    for (index_t y = 0; y < kLanes; ++y) rows[x * row_stride + y] = y < lanes ? plain[y * stride + x] : 0.0f;
}

void from_lanes(const float* rows, index_t n, index_t lanes, float* plain, index_t stride) {
  index_t x = 0;
  if (lanes == kLanes)
    for (; x + 8 <= n; x += 8) {
      V8 v[8];
      for (int i = 0; i < 8; ++i) load8(v[i], rows + (x + i) * kLanes);
      transpose8(v);
      for (int y = 0; y < 8; ++y) store8(plain + y * stride + x, v[y]);
    }
  for (; x < n; ++x)
    for (index_t y = 0; y < lanes; ++y) plain[y * stride + x] = rows[x * kLanes + y];
}

void stream_lanes(const float* rows, index_t line_rows, index_t lines, index_t n, float* plain, index_t plane,
                  index_t stride) {
  for (index_t line = 0; line < lines; ++line)
    for (index_t x = 0; x < n; x += 16) {
      V8 v[16];
      for (int i = 0; i < 16; ++i) load8(v[i], rows + (line * line_rows + x + i) * kLanes);
      transpose8(v);
      transpose8(v + 8);
      for (int y = 0; y < 8; ++y) {
        stream8(plain + line * plane + y * stride + x, v[y]);
        stream8(plain + line * plane + y * stride + x + 8, v[y + 8]);
      }
    }
#if defined(__x86_64__)
  __builtin_ia32_sfence();  // streamed stores are ordered by nothing else
#endif
}

}  // namespace cryolith::CRYOLITH_VARIANT
