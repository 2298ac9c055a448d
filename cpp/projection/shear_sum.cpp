// SPDX-License-Identifier: BSD-3-Clause
// The sum that both halves of the projector pair spend their time in, compiled once per instruction set.
#include <cstdint>

#include "projection/lanes.hpp"
#include "projection/sampling.hpp"

namespace cryolith::CRYOLITH_VARIANT {

// Compilers fold a row that is used twice into two memory operands; pinned it stays in a register: one load, not two
// (18.5 to 21.9 GUPS on Zen 3, field notes of the prototype); volatile, in the order written here. Only where a V8 is
// one register.
#if defined(__AVX__)
#define CRYOLITH_PIN(v) asm volatile("" : "+x"(v))
#define CRYOLITH_PIN_ADDRESS(p) asm volatile("" : "+r"(p))
#else
#define CRYOLITH_PIN(v)
#define CRYOLITH_PIN_ADDRESS(p)
#endif

// sum += a b in the form that overwrites the sum. GCC 12 takes the one that overwrites a factor for 8 of 12 rows and
// moves the sum back: a slot of the six that are issued each cycle.
#if defined(__FMA__)
#define CRYOLITH_MULTIPLY_ADD(sum, a, b) asm volatile("vfmadd231ps %2, %1, %0" : "+x"(sum) : "x"(a), "x"(b))
#else
#define CRYOLITH_MULTIPLY_ADD(sum, a, b) sum += (a) * (b)
#endif

// Out of line on purpose: inlined into loops over tiles, GCC 12 spills the accumulators.
//
// Two multiply-adds a voxel keep two of a core's four floating-point pipes busy; four of twelve voxels are summed by
// low + w (high - low) instead, one multiply-add and two additions, which go to the others. Both products of a row come
// one after the other, so that those of one voxel do not. A tile of back-projection takes, in G updates/s of a Zen 4
// core (multiply-adds alone: 29.3), as compiled 28.3; with voxels 0, 2, 5, 7, 10 instead of 1, 4, 7, 10 27.7, with
// 1, 6, 11 27.1; as GCC forms and orders the products, 3 of 12, 27.1. As assembler: 0 of 12 25.6, 2 28.1, 4 28.5,
// 6 28.2; both products of a voxel side by side 28.2; weights by scalar arithmetic 1 less. Sums begun from acc instead
// of zero 1.4 less; sums of 13 or 53 instead of 27 tilts 26.2 and 25.0 (rows that neighbouring lines share leave L1).
constexpr bool summed_by_difference(int r) { return r % 3 == 1; }

void shear_sum(const float* in, const Tap* taps, index_t count, float* acc, index_t stride, bool add) {
  V8 a[kRun];
#pragma GCC unroll 16
  for (int r = 0; r < kRun; ++r) splat8(a[r], 0.0f);
  for (const Tap* tap = taps; tap != taps + count; ++tap) {
    const float* p = in + tap->offset;
    CRYOLITH_PIN_ADDRESS(p);
    V8 w0, w1, low, high;
    splat8(w1, tap->weight);
    CRYOLITH_PIN(w1);
    splat8(w0, 1.0f);
    CRYOLITH_PIN(w0);
    w0 -= w1;
#pragma GCC unroll 16
    for (int r = 0; r <= kRun; ++r) {
      load8(high, p + r * kLanes);
      CRYOLITH_PIN(high);
      if (r > 0 && summed_by_difference(r - 1)) {
        low = high - low;
        CRYOLITH_PIN(low);
        CRYOLITH_MULTIPLY_ADD(a[r - 1], w1, low);
      } else if (r > 0) {
        CRYOLITH_MULTIPLY_ADD(a[r - 1], w1, high);
      }
      if (r == kRun) break;
      if (summed_by_difference(r)) {
        a[r] += high;
        CRYOLITH_PIN(a[r]);
        low = high;
      } else {
        CRYOLITH_MULTIPLY_ADD(a[r], w0, high);
      }
    }
  }
  if (add) {
    const float* from = acc;
#pragma GCC unroll 16
    for (int r = 0; r < kRun; ++r) {
      V8 before;
      load8(before, from);
      a[r] += before;
      from += stride;
      CRYOLITH_PIN_ADDRESS(from);  // or all addresses are kept, in registers saved for them
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRun; ++r) {
    store8(acc, a[r]);
    acc += stride;
    CRYOLITH_PIN_ADDRESS(acc);
  }
}

void shear_sum_fixed(const float* in, const PairTap* taps, index_t count, float scale, float* acc, index_t stride,
                     bool add) {
  V8i a[kRun] = {};
  for (index_t i = 0; i < count; ++i) {
    const float* p = in + taps[i].offset;
    const std::int32_t w = taps[i].weights;
    const V8i weights = V8i{w, w, w, w, w, w, w, w};
#pragma GCC unroll 16
    for (int r = 0; r < kRun; ++r) {
      V8i pairs, sums;
      std::memcpy(&pairs, p + r * kLanes, sizeof pairs);
      sum_pairs8(sums, weights, pairs);
      a[r] += sums;
      CRYOLITH_PIN(a[r]);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRun; ++r) {
    V8 before = {};
    if (add) load8(before, acc + r * stride);
    store8(acc + r * stride, before + scale * __builtin_convertvector(a[r], V8));
  }
}

float pack_pairs(index_t count, float* rows) {
  V8 most = {};
  for (index_t i = 0; i < count; ++i) {
    V8 v;
    load8(v, rows + i * kLanes);
    v = v < 0.0f ? -v : v;
    most = v > most ? v : most;
  }
  float largest = 0.0f;
  for (int l = 0; l < kLanes; ++l) largest = most[l] > largest ? most[l] : largest;
  const float scale = largest > 0.0f ? kFixedMost / largest : 0.0f;
  V8i low = {};
  for (index_t i = count; i-- > 0;) {
    V8 v;
    load8(v, rows + i * kLanes);
    v *= scale;
    v += v < 0.0f ? V8{} - 0.5f : V8{} + 0.5f;  // conversion cuts off
    const V8i next = low;
    low = __builtin_convertvector(v, V8i) & 0xffff;
    const V8i pairs = low | (next << 16);
    std::memcpy(rows + i * kLanes, &pairs, sizeof pairs);
  }
  return largest / (kFixedMost * static_cast<float>(kFixedOne));
}

void to_lanes(const float* plain, index_t stride, index_t n, index_t lanes, index_t ahead, float* rows,
              index_t row_stride) {
  index_t x = 0;
  if (lanes == kLanes)
    for (; x + 8 <= n; x += 8) {
      V8 v[8];
      for (int y = 0; y < 8; ++y) {
        load8(v[y], plain + y * stride + x);
        __builtin_prefetch(plain + y * stride + x + ahead, 0, 2);  // to L2: what L1 holds is in use (3 % at size M)
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
  for (; x + 4 <= n && lanes == kLanes; x += 4) {  // what lies between whole cache lines in most arrays
    V8 v[8] = {};
    for (int i = 0; i < 4; ++i) load8(v[i], rows + (x + i) * kLanes);
    transpose8(v);
    for (int y = 0; y < 8; ++y) std::memcpy(plain + y * stride + x, &v[y], 4 * sizeof(float));
  }
  for (; x < n; ++x)
    for (index_t y = 0; y < lanes; ++y) plain[y * stride + x] = rows[x * kLanes + y];
}

void stream_lanes(const float* rows, index_t line_rows, index_t lines, index_t n, float* plain, index_t plane,
                  index_t stride) {
  // Whole cache lines lie between a head, which completes one that the part before began, and a tail.
  const index_t past = static_cast<index_t>(reinterpret_cast<std::uintptr_t>(plain) / sizeof(float) % 16);
  const index_t head = past == 0 ? 0 : n < 16 - past ? n : 16 - past, whole = head + (n - head) / 16 * 16;
  for (index_t line = 0; line < lines; ++line) {
    const float* from = rows + line * line_rows * kLanes;
    float* to = plain + line * plane;
    from_lanes(from, head, kLanes, to, stride);
    for (index_t x = head; x < whole; x += 16) {
      V8 v[16];
      for (int i = 0; i < 16; ++i) load8(v[i], from + (x + i) * kLanes);
      transpose8(v);
      transpose8(v + 8);
      for (int y = 0; y < 8; ++y) {
        stream8(to + y * stride + x, v[y]);
        stream8(to + y * stride + x + 8, v[y + 8]);
      }
    }
    from_lanes(from + whole * kLanes, n - whole, kLanes, to + whole, stride);
  }
#if defined(__x86_64__)
  __builtin_ia32_sfence();  // streamed stores are ordered by nothing else
#endif
}

}  // namespace cryolith::CRYOLITH_VARIANT
