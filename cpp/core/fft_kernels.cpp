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

// sums[4][n], of which `to` points at kLanes: |x|^2, |y|^2, conj(x) y.
CRYOLITH_INLINE void add_product(Lane x, Lane y, index_t n, float* to) {
  storeu(to, loadu(to) + (x.re * x.re + x.im * x.im));
  storeu(to + n, loadu(to + n) + (y.re * y.re + y.im * y.im));
  storeu(to + 2 * n, loadu(to + 2 * n) + (x.re * y.re + x.im * y.im));
  storeu(to + 3 * n, loadu(to + 3 * n) + (x.re * y.im - x.im * y.re));
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

void row_to_lanes(const float* row, index_t blocks, index_t i, const LaneColumns& to) {
  for (index_t b = 0; b < blocks; ++b) {
    const Lane z = load_complex(row + 2 * kLanes * b);
    float* at = to.data + b * to.block + 2 * kLanes * i;
    storeu(at, z.re);
    storeu(at + kLanes, z.im);
  }
}

void lane_columns(const LaneTable& table, index_t rows, float* block, const Scratch& s) {
  const Work w(s);
  const Samples z{reinterpret_cast<Vec*>(block)};
  transform(table, [&](index_t i) CRYOLITH_LAMBDA { return i < rows ? z(i) : Lane{}; }, z, w.a, w.b);
}

void add_cross(const float* a, const float* b, index_t n, float* sums) {
  for (index_t k = 0; k < n; k += kLanes) add_product(load_complex(a + 2 * k), load_complex(b + 2 * k), n, sums + k);
}

void add_lane_cross(const LaneColumns& a, const LaneColumns& b, index_t n, index_t i, float* sums) {
  for (index_t k = 0; k < n; k += kLanes) {
    const float *p = a.data + k / kLanes * a.block + 2 * kLanes * i,
                *q = b.data + k / kLanes * b.block + 2 * kLanes * i;
    add_product({loadu(p), loadu(p + kLanes)}, {loadu(q), loadu(q + kLanes)}, n, sums + k);
  }
}

void lanes_to_planar(const LaneColumns& from, index_t n, index_t i, float* re, float* im) {
  for (index_t k = 0; k < n; k += kLanes) {
    const float* p = from.data + k / kLanes * from.block + 2 * kLanes * i;
    storeu(re + k, loadu(p));
    storeu(im + k, loadu(p + kLanes));
  }
}

}  // namespace cryolith::fft::CRYOLITH_VARIANT
