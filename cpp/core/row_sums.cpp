// SPDX-License-Identifier: BSD-3-Clause
// The inner loop of statistics, compiled once per instruction set. No product here is rounded before it is added (the
// square of a float32 is exact in float64), so that fused operations give the bits of separate ones.
#include "core/row_sums.hpp"

#include "core/portable.hpp"

#define CRYOLITH_INLINE inline __attribute__((always_inline))

// Bytes of a register.
#if defined(__AVX512F__)
#define CRYOLITH_ROW_BYTES 64
#elif defined(__AVX__)
#define CRYOLITH_ROW_BYTES 32
#else
#define CRYOLITH_ROW_BYTES 16
#endif

namespace cryolith::CRYOLITH_VARIANT {
namespace {

constexpr int kVectors = kRowLanes * 8 / CRYOLITH_ROW_BYTES, kEach = kRowLanes / kVectors;
typedef double Wide __attribute__((vector_size(CRYOLITH_ROW_BYTES)));
typedef float Narrow __attribute__((vector_size(CRYOLITH_ROW_BYTES / 2)));
typedef std::int32_t Mask __attribute__((vector_size(CRYOLITH_ROW_BYTES / 2)));
typedef float LooseNarrow __attribute__((vector_size(CRYOLITH_ROW_BYTES / 2), aligned(4), may_alias));

struct State {
  struct Sum {
    Wide high, low;
    CRYOLITH_INLINE void add(const Wide& x) {  // Knuth's two-sum
      const Wide sum = high + x, back = sum - high;
      low += (high - (sum - back)) + (x - back);
      high = sum;
    }
  };
  Sum sum, squares;
  Narrow lowest, highest;
  Mask count;

  CRYOLITH_INLINE void take(const float* values) {
    Narrow x = *reinterpret_cast<const LooseNarrow*>(values);
    x += x - x;  // infinities become NaN; -0 becomes 0
    const Mask finite = x == x;
    lowest = x < lowest ? x : lowest;
    highest = x > highest ? x : highest;
    count -= finite;
    const Wide kept = __builtin_convertvector(finite ? x : Narrow{}, Wide);
    sum.add(kept);
    squares.add(kept * kept);
  }
};

template <class Vector, class T>
CRYOLITH_INLINE void put(const Vector& vector, T* to) {
  for (int i = 0; i < kEach; ++i) to[i] = vector[i];
}

}  // namespace

void row_sums(const float* values, index_t n, RowSums& out) {
  constexpr float infinity = __builtin_inff();
  State states[kVectors] = {};
  for (State& s : states) s.lowest += infinity, s.highest -= infinity;
  index_t x = 0;
  for (; x + kRowLanes <= n; x += kRowLanes)
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) states[v].take(values + x + v * kEach);
  if (x < n) {
    float rest[kRowLanes];
    for (int i = 0; i < kRowLanes; ++i) rest[i] = x + i < n ? values[x + i] : infinity;  // not counted
    for (int v = 0; v < kVectors; ++v) states[v].take(rest + v * kEach);
  }
  for (int v = 0; v < kVectors; ++v) {
    const State& s = states[v];
    const int at = v * kEach;
    put(s.sum.high, out.sum.high + at), put(s.sum.low, out.sum.low + at);
    put(s.squares.high, out.squares.high + at), put(s.squares.low, out.squares.low + at);
    put(s.lowest, out.lowest + at), put(s.highest, out.highest + at), put(s.count, out.count + at);
  }
}

}  // namespace cryolith::CRYOLITH_VARIANT
