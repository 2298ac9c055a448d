// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// The passes of a plan for one element type; for fft_kernels*.cpp only.
#include "core/fft_rows.hpp"

namespace cryolith::fft::CRYOLITH_VARIANT {
namespace {

// Bytes: the columns after next. 64, 128, 192 and 256 were tried: 128 is best, 15-30 % of a large 2-D transform.
constexpr index_t kAhead = 128;

template <bool Inverse>
struct ColumnLoad {  // sample i of kLanes adjacent columns
  const Real* p;
  index_t stride;
  CRYOLITH_INLINE Lane operator()(index_t i) const {
    __builtin_prefetch(reinterpret_cast<const void*>(reinterpret_cast<std::uintptr_t>(p + i * stride) + kAhead));
    return swap_if<Inverse>(load_lanes(p + i * stride));
  }
};
template <bool Inverse>
struct ColumnStore {
  Real* p;
  index_t stride;
  CRYOLITH_INLINE void operator()(index_t i, Lane z) const { store_lanes(p + i * stride, swap_if<Inverse>(z)); }
};

struct TurnedStore {  // of an inverse, to rows that begin where `turns` says
  Real* p;
  index_t stride, column;
  const Turns& turns;
  CRYOLITH_INLINE void operator()(index_t i, Lane z) const {
    index_t at = column + turns.turn[i];
    if (at >= turns.wrap) at -= turns.wrap;
    store_lanes(p + i * stride + 2 * at, swap(z));
  }
};

// The last count < kLanes columns, through a small buffer.
template <bool Inverse>
void few_columns(const LaneTable<Real>& t, const Real* in, index_t in_stride, Real* out, index_t out_stride,
                 index_t count, const Work& w) {
  const std::size_t bytes = sizeof(Real) * 2 * static_cast<std::size_t>(count);
  Real sample[2 * kLanes] = {};
  for (index_t i = 0; i < t.n; ++i) {
    __builtin_memcpy(sample, in + i * in_stride, bytes);
    Samples{w.b}(i, swap_if<Inverse>(load_lanes(sample)));
  }
  const Samples r{to_scratch(t, Samples{w.b}, w.a, w.b)};
  for (index_t i = 0; i < t.n; ++i) {
    store_lanes(sample, swap_if<Inverse>(r(i)));
    __builtin_memcpy(out + i * out_stride, sample, bytes);
  }
}

template <bool Inverse>
void columns_one_way(const LaneTable<Real>& t, const ColumnBlock<Real>& b, const Work& w) {
  for (index_t c = b.first; c < b.last; c += kLanes) {
    const Real* in = b.in + 2 * c;
    Real* out = b.out + 2 * c;
    if constexpr (Inverse) {
      if (b.packed != nullptr && b.packed->turn != nullptr) {
        transform(t, ColumnLoad<true>{in, b.in_stride}, TurnedStore{b.out, b.out_stride, c, *b.packed}, w.a, w.b);
        continue;
      }
    }
    if (b.last - c >= kLanes)
      transform(t, ColumnLoad<Inverse>{in, b.in_stride}, ColumnStore<Inverse>{out, b.out_stride}, w.a, w.b);
    else
      few_columns<Inverse>(t, in, b.in_stride, out, b.out_stride, b.last - c, w);
  }
}

void columns(const LaneTable<Real>& table, const ColumnBlock<Real>& block, const Scratch<Real>& s) {
  if (block.inverse)
    columns_one_way<true>(table, block, Work(s));
  else
    columns_one_way<false>(table, block, Work(s));
}

void complex_rows(const RowTable<Real>& table, const RowBlock<Real>& rows, const Scratch<Real>& s) {
  const Work w(s);
  if (table.split != nullptr)
    for (index_t r = rows.first; r < rows.last; ++r) complex_split(table, rows, r, w);
  else
    for (index_t r = rows.first; r < rows.last; r += kLanes) complex_group(table, rows, r, w);
}

void real_rows(const RowTable<Real>& table, const RowBlock<Real>& rows, const Scratch<Real>& s) {
  const Work w(s);
  if (table.split != nullptr) {
    const auto one = rows.inverse ? real_split_inverse : real_split_forward;
    for (index_t r = rows.first; r < rows.last; ++r) one(table, rows, r, w, s.c);
  } else if (table.n % 2 == 0) {
    const auto group = rows.inverse ? real_even_inverse : real_even_forward;
    for (index_t r = rows.first; r < rows.last; r += kLanes) group(table, rows, r, w);
  } else {
    const auto group = rows.inverse ? real_odd_inverse : real_odd_forward;
    for (index_t r = rows.first; r < rows.last; r += 2 * kLanes) group(table, rows, r, w);
  }
}

constexpr Kernels<Real> kKernels{kLanes, real_rows, complex_rows, columns};

}  // namespace
}  // namespace cryolith::fft::CRYOLITH_VARIANT
