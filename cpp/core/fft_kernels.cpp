// SPDX-License-Identifier: BSD-3-Clause
// The tuned part of the FFT, compiled once per instruction set (cryolith_add_variants).
#include "core/fft_rows.hpp"

namespace cryolith::fft::CRYOLITH_VARIANT {
namespace {

// Bytes: the columns after next. 64, 128, 192 and 256 were tried: 128 is best, 15-30 % of a large 2-D transform.
constexpr index_t kAhead = 128;

template <bool Inverse>
struct ColumnLoad {  // sample i of kLanes adjacent columns
  const float* p;
  index_t stride;
  CRYOLITH_INLINE Lane operator()(index_t i) const {
    __builtin_prefetch(reinterpret_cast<const void*>(reinterpret_cast<std::uintptr_t>(p + i * stride) + kAhead));
    return swap_if<Inverse>(load_lanes(p + i * stride));
  }
};
template <bool Inverse>
struct ColumnStore {
  float* p;
  index_t stride;
  CRYOLITH_INLINE void operator()(index_t i, Lane z) const { store_lanes(p + i * stride, swap_if<Inverse>(z)); }
};

// The last count < kLanes columns, through a small buffer.
template <bool Inverse>
void few_columns(const LaneTable& t, const float* in, index_t in_stride, float* out, index_t out_stride, index_t count,
                 const Work& w) {
  const std::size_t bytes = sizeof(float) * 2 * static_cast<std::size_t>(count);
  float sample[2 * kLanes] = {};
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
void columns_one_way(const LaneTable& t, const ColumnBlock& b, const Work& w) {
  for (index_t c = b.first; c < b.last; c += kLanes) {
    const float* in = b.in + 2 * c;
    float* out = b.out + 2 * c;
    if (b.last - c >= kLanes)
      transform(t, ColumnLoad<Inverse>{in, b.in_stride}, ColumnStore<Inverse>{out, b.out_stride}, w.a, w.b);
    else
      few_columns<Inverse>(t, in, b.in_stride, out, b.out_stride, b.last - c, w);
  }
}

}  // namespace

int lane_count() { return kLanes; }

void columns(const LaneTable& table, const ColumnBlock& block, const Scratch& s) {
  if (block.inverse)
    columns_one_way<true>(table, block, Work(s));
  else
    columns_one_way<false>(table, block, Work(s));
}

void complex_rows(const RowTable& table, const RowBlock& rows, const Scratch& s) {
  const Work w(s);
  if (table.split != nullptr)
    for (index_t r = rows.first; r < rows.last; ++r) complex_split(table, rows, r, w);
  else
    for (index_t r = rows.first; r < rows.last; r += kLanes) complex_group(table, rows, r, w);
}

void real_rows(const RowTable& table, const RowBlock& rows, const Scratch& s) {
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

}  // namespace cryolith::fft::CRYOLITH_VARIANT
