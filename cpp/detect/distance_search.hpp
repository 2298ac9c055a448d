// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// Parts of distance_kernels.cpp: d = the least of value(j) + squares(|i - j|) over a line, for 64 bytes of lines or of
// positions at once. Sums of the same two numbers whatever the order, so the result does not depend on it.
#include "detect/distance_kernels.hpp"
#include "detect/distance_lanes.hpp"

namespace cryolith::CRYOLITH_VARIANT {
namespace {

using namespace detect;

// Steps to the nearest other label on both sides; nothing beyond counts. Masks have none: a zero ends a search anyway.
template <class K>
struct Reach {
  Lanes<K> before, after;
};

template <class K>
CRYOLITH_INLINE bool settled(const Lanes<K>& d, typename K::T square) {
  typename K::V q[kLaneParts];
  for (int i = 0; i < kLaneParts; ++i) q[i] = K::splat(square);
  return !K::any_above(d.part, q);
}

// Looks at positions up to kNear steps away on both sides of p; false: what is farther may be nearer still.
template <class K, bool kLabels>
CRYOLITH_INLINE bool search_near(const typename K::T* p, index_t step, const typename K::T* squares,
                                 const Reach<K>& reach, Lanes<K>& d) {
  using T = typename K::T;
  using V = typename K::V;
  for (index_t r = 1; r <= kNear; ++r) {
    if (settled<K>(d, squares[r])) return true;
    const V q = K::splat(squares[r]);
    Lanes<K> a, b;
    Lanes<K>::load(a, p - r * step);
    Lanes<K>::load(b, p + r * step);
    for (int i = 0; i < kLaneParts; ++i) {
      if constexpr (kLabels) {
        const V steps = K::splat(static_cast<T>(r));
        a.part[i] = K::where_above(a.part[i], reach.before.part[i], steps);
        b.part[i] = K::where_above(b.part[i], reach.after.part[i], steps);
      }
      d.part[i] = K::min(d.part[i], K::add(K::min(a.part[i], b.part[i]), q));
    }
  }
  return settled<K>(d, squares[kNear + 1]);
}

// An upper bound of a squared distance from that one step aside, sqrt(square) away: (sqrt(d) + sqrt(square))^2, and a
// little more for rounding.
CRYOLITH_INLINE std::uint16_t one_step(std::uint16_t d, float square) {
  const float root = __builtin_sqrtf(square);
  const float bound = (static_cast<float>(d) + 2.0f * root * __builtin_sqrtf(static_cast<float>(d)) + square) + 2.0f;
  return d == 65535 || bound >= 65535.0f ? std::uint16_t{65535} : static_cast<std::uint16_t>(bound);
}
CRYOLITH_INLINE float one_step(float d, float square) {
  return (d + 2.0f * __builtin_sqrtf(square) * __builtin_sqrtf(d) + square) * 1.00001f;
}

template <class K>
CRYOLITH_INLINE void bound_by(const typename K::T* beside, float square, Lanes<K>& bound) {
  alignas(64) typename K::T values[K::lanes];
  for (int l = 0; l < K::lanes; ++l) values[l] = beside == nullptr ? K::far : one_step(beside[l], square);
  Lanes<K>::load(bound, values);
}

// What is left to gain: nothing at or above the least of d and bound counts.
template <class K>
CRYOLITH_INLINE bool may_hold(const Lanes<K>& d, const Lanes<K>& bound, const Lanes<K>& least, typename K::T square) {
  typename K::V cap[kLaneParts], low[kLaneParts];
  for (int i = 0; i < kLaneParts; ++i) {
    cap[i] = K::min(d.part[i], bound.part[i]);
    low[i] = K::add(least.part[i], K::splat(square));
  }
  return K::any_above(cap, low);
}

// As whole numbers, of which compilers find the extremes of many at once; squares are not negative.
CRYOLITH_INLINE void extremes(const std::uint16_t* values, index_t n, std::uint16_t& low, std::uint16_t& high) {
  std::uint16_t least = 65535, most = 0;
  for (index_t i = 0; i < n; ++i) {
    least = values[i] < least ? values[i] : least;
    most = values[i] > most ? values[i] : most;
  }
  low = least;
  high = most;
}
CRYOLITH_INLINE void extremes(const float* values, index_t n, float& low, float& high) {
  std::int32_t least = 0x7f800000, most = 0;
  for (index_t i = 0; i < n; ++i) {
    std::int32_t v;
    std::memcpy(&v, values + i, sizeof v);
    least = v < least ? v : least;
    most = v > most ? v : most;
  }
  std::memcpy(&low, &least, sizeof low);
  std::memcpy(&high, &most, sizeof high);
}

// The largest square that could still be beaten.
template <class K>
CRYOLITH_INLINE typename K::T highest(const Lanes<K>& d, const Lanes<K>& bound) {
  alignas(64) typename K::T values[K::lanes], low, high;
  Lanes<K> cap;
  for (int i = 0; i < kLaneParts; ++i) cap.part[i] = K::min(d.part[i], bound.part[i]);
  Lanes<K>::store(values, cap);
  extremes(values, K::lanes, low, high);
  return high;
}

// The lines of a strip, `stride` elements from row to row, and the least of each kBlock rows, made when first asked
// for.
template <class K>
struct Lines {
  using T = typename K::T;
  const T* rows;
  index_t n, stride;
  const T* squares;
  T* least;   // (n / kBlock + 1, K::lanes)
  T* lowest;  // (n / kBlock + 1), of all lanes
  T bottom;   // of all blocks
  bool known;

  CRYOLITH_INLINE void know(Lines& lines) {
    if (lines.known) return;
    lines.known = true;
    lines.bottom = K::far;
    for (index_t k = 0; k * kBlock < lines.n; ++k) {
      Lanes<K> v, m;
      Lanes<K>::load(m, lines.rows + k * kBlock * lines.stride);
      for (index_t j = k * kBlock + 1; j < (k + 1) * kBlock && j < lines.n; ++j) {
        Lanes<K>::load(v, lines.rows + j * lines.stride);
        for (int i = 0; i < kLaneParts; ++i) m.part[i] = K::min(v.part[i], m.part[i]);
      }
      T* to = lines.least + k * K::lanes;
      Lanes<K>::store(to, m);
      T high;
      extremes(to, K::lanes, lines.lowest[k], high);
      lines.bottom = lines.lowest[k] < lines.bottom ? lines.lowest[k] : lines.bottom;
    }
  }
};

CRYOLITH_INLINE bool adds_below(std::uint16_t a, std::uint16_t b, std::uint16_t top) { return a + b < top; }
CRYOLITH_INLINE bool adds_below(float a, float b, float top) { return a + b < top; }

// Rows at least `least` steps away from row y on one side (direction -1 or 1).
template <class K, bool kLabels>
CRYOLITH_INLINE void search_lines(const Lines<K>& lines, index_t y, int direction, index_t least_step,
                                  const Lanes<K>& reach, const Lanes<K>& bound, Lanes<K>& d) {
  using T = typename K::T;
  const index_t from = y + direction * least_step, blocks = (lines.n + kBlock - 1) / kBlock;
  if (from < 0 || from >= lines.n) return;
  T top = highest(d, bound);
  if (!(lines.bottom < top)) return;
  for (index_t k = from / kBlock; k >= 0 && k < blocks; k += direction) {
    const index_t low = k * kBlock, high = low + kBlock < lines.n ? low + kBlock : lines.n;
    const index_t gap = direction < 0 ? y - (high - 1) : low - y;
    const T square = lines.squares[gap > least_step ? gap : least_step];
    if (!(square < top)) return;
    if (!adds_below(lines.lowest[k], square, top)) continue;
    Lanes<K> least;
    Lanes<K>::load(least, lines.least + k * K::lanes);
    if (!may_hold<K>(d, bound, least, square)) continue;
    for (index_t j = low; j < high; ++j) {
      const index_t r = direction < 0 ? y - j : j - y;
      if (r < least_step) continue;
      Lanes<K> a;
      Lanes<K>::load(a, lines.rows + j * lines.stride);
      for (int i = 0; i < kLaneParts; ++i) {
        if constexpr (kLabels) a.part[i] = K::where_above(a.part[i], reach.part[i], K::splat(static_cast<T>(r)));
        d.part[i] = K::min(d.part[i], K::add(a.part[i], K::splat(lines.squares[r])));
      }
    }
    top = highest(d, bound);
  }
}

// One row; its lanes are neighbours. squares and steps are tables about their middle: of k^2 and |k|.
template <class K>
struct Row {
  using T = typename K::T;
  const T* values;
  index_t n;
  const T* squares;
  const T* steps;
  T* least;  // (n / kBlock + 1)
  T bottom;  // of all blocks
  bool known;

  CRYOLITH_INLINE void know(Row& row) {
    if (row.known) return;
    row.known = true;
    row.bottom = K::far;
    for (index_t k = 0; k * kBlock < row.n; ++k) {
      T high;
      extremes(row.values + k * kBlock, kBlock, row.least[k], high);  // behind the row all is far
      row.bottom = row.least[k] < row.bottom ? row.least[k] : row.bottom;
    }
  }
};

// Blocks on one side of the lanes x .. x + K::lanes - 1, from block `first` on.
template <class K, bool kLabels>
CRYOLITH_INLINE void search_row(const Row<K>& row, index_t x, int direction, index_t first, const Lanes<K>& reach,
                                const Lanes<K>& bound, Lanes<K>& d) {
  using T = typename K::T;
  const index_t blocks = (row.n + kBlock - 1) / kBlock;
  T top = highest(d, bound);
  if (!(row.bottom < top)) return;
  for (index_t k = first; k >= 0 && k < blocks; k += direction) {
    const index_t low = k * kBlock, high = low + kBlock < row.n ? low + kBlock : row.n;
    const index_t gap = direction < 0 ? x - (low + kBlock - 1) : low - (x + K::lanes - 1);
    const T square = row.squares[gap > 0 ? gap : 0];
    if (!(square < top)) return;
    if (!adds_below(row.least[k], square, top)) continue;
    for (index_t j = low; j < high; ++j) {
      const typename K::V value = K::splat(row.values[j]);
      Lanes<K> q;
      Lanes<K>::load(q, row.squares + (x - j));
      for (int i = 0; i < kLaneParts; ++i) {
        typename K::V a = value;
        if constexpr (kLabels) {
          Lanes<K> steps;
          Lanes<K>::load(steps, row.steps + (x - j));
          a = K::where_above(a, reach.part[i], steps.part[i]);
        }
        d.part[i] = K::min(d.part[i], K::add(a, q.part[i]));
      }
    }
    top = highest(d, bound);
  }
}

}  // namespace
}  // namespace cryolith::CRYOLITH_VARIANT
