// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// How runs are walked through and what one piece of a run adds, for files compiled once per instruction set: everything
// is always inlined.
#include "detect/region_groups.hpp"
#include "detect/run_kernels.hpp"
#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace cryolith::detect {

// For each word of a super-row that is not empty, bits[q] being its part of row q (z first, then y): calls enter(w,
// bits), piece(w, bits, mask, run) for each part of a run that lies in it, leave(w, bits). Runs are numbered from `run`
// on.
template <int BlockY, int BlockZ, class Enter, class Piece, class Leave>
CRYOLITH_HD void each_piece(const RunGrid& grid, index_t z, index_t y, id_t run, Enter enter, Piece piece,
                            Leave leave) {
  const word_t* rows[BlockY * BlockZ];
  for (int q = 0; q < BlockY * BlockZ; ++q) rows[q] = grid.bits.row(z + q / BlockY, y + q % BlockY);
  const word_t* known = grid.valued ? grid.starts.row(z, y) : nullptr;
  word_t before = 0;
  for (index_t w = 0; w < grid.words; ++w) {
    word_t bits[BlockY * BlockZ], all = 0;
    for (int q = 0; q < BlockY * BlockZ; ++q) all |= bits[q] = rows[q][w];
    const word_t starts = known ? known[w] : run_starts(all, before);
    before = all;
    if (!all) continue;
    enter(w, bits);
    for (word_t rest = all; rest;) {
      const int x = first_one(rest);
      const word_t stops = (~all | starts) & ~bits_upto(x);
      const word_t mask = (stops ? bits_below(first_one(stops)) : ~word_t{0}) & ~bits_below(x);
      rest &= ~mask;
      const bool fresh = starts >> x & 1;
      piece(w, bits, mask, fresh ? run : run - 1);
      run += fresh;
    }
    leave(w, bits);
  }
}

// Sums over the positions x of the ones of a word: how many, x, x^2.
struct Positions {
  std::int64_t count = 0, sum = 0, squares = 0;
};

CRYOLITH_HD Positions positions_of(word_t word) {
  // Bit b of the position is one in kPlane[b].
  constexpr word_t kPlane[6] = {0xAAAAAAAAAAAAAAAA, 0xCCCCCCCCCCCCCCCC, 0xF0F0F0F0F0F0F0F0,
                                0xFF00FF00FF00FF00, 0xFFFF0000FFFF0000, 0xFFFFFFFF00000000};
  Positions out;
  if (!word) return out;
  const std::int64_t n = count_ones(word), low = first_one(word);
  out.count = n;
  if (last_one(word) - low + 1 == n) {  // consecutive: closed forms
    const std::int64_t half = n * (n - 1) / 2;
    out.sum = n * low + half;
    out.squares = n * low * low + 2 * low * half + half * (2 * n - 1) / 3;
    return out;
  }
  for (int a = 0; a < 6; ++a) {
    const word_t plane = word & kPlane[a];
    const std::int64_t ones = count_ones(plane);
    out.sum += ones << a;
    out.squares += ones << (2 * a);
    for (int b = a + 1; b < 6; ++b) out.squares += std::int64_t{count_ones(plane & kPlane[b])} << (a + b + 1);
  }
  return out;
}

// Adds to extent and moments the voxels of `bits` (rows of a block at (z, y)) under `mask` in word w.
template <int BlockY, int BlockZ>
CRYOLITH_HD void add_piece(index_t z, index_t y, index_t w, const word_t* bits, word_t mask, Extent& extent,
                           Moments* moments) {
  const std::int64_t x = 64 * w;
  Positions all, rows[BlockY * BlockZ];
  std::int64_t in_y = 0, in_z = 0, x_in_y = 0, x_in_z = 0, in_both = 0;  // of the second row along y, along z, of both
  for (int q = 0; q < BlockY * BlockZ; ++q) {
    rows[q] = moments ? positions_of(bits[q] & mask) : Positions{count_ones(bits[q] & mask), 0, 0};
    all.count += rows[q].count;
    all.sum += rows[q].sum;
    all.squares += rows[q].squares;
    if (q % BlockY) in_y += rows[q].count, x_in_y += rows[q].sum;
    if (q / BlockY) in_z += rows[q].count, x_in_z += rows[q].sum;
    if (q % BlockY && q / BlockY) in_both += rows[q].count;
  }
  const std::int64_t n = all.count;
  extent.voxels += static_cast<std::uint32_t>(n);
  const std::int64_t low[3] = {z + (n == in_z), y + (n == in_y), x + first_one(mask)};
  const std::int64_t high[3] = {z + (in_z > 0), y + (in_y > 0), x + last_one(mask)};
  for (int i = 0; i < 3; ++i) {
    const auto l = static_cast<std::int32_t>(low[i]), h = static_cast<std::int32_t>(high[i]);
    extent.low[i] = l < extent.low[i] ? l : extent.low[i];
    extent.high[i] = h > extent.high[i] ? h : extent.high[i];
  }
  if (!moments) return;
  const std::int64_t sum_x = all.sum + x * n, sum_y = y * n + in_y, sum_z = z * n + in_z;
  moments->sum[0] += sum_z;
  moments->sum[1] += sum_y;
  moments->sum[2] += sum_x;
  moments->squares[0] += z * z * n + (2 * z + 1) * in_z;
  moments->squares[1] += y * y * n + (2 * y + 1) * in_y;
  moments->squares[2] += all.squares + 2 * x * all.sum + x * x * n;
  moments->squares[3] += z * sum_y + y * in_z + in_both;
  moments->squares[4] += z * sum_x + x_in_z + x * in_z;
  moments->squares[5] += y * sum_x + x_in_y + x * in_y;
}

#if defined(__AVX2__)
CRYOLITH_HD double total(__m256d v) {
  const __m128d pair = _mm_add_pd(_mm256_castpd256_pd128(v), _mm256_extractf128_pd(v, 1));
  return _mm_cvtsd_f64(_mm_add_sd(pair, _mm_unpackhi_pd(pair, pair)));
}
CRYOLITH_HD float least_of(__m256 v) {
  __m128 m = _mm_min_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  m = _mm_min_ps(m, _mm_movehl_ps(m, m));
  return _mm_cvtss_f32(_mm_min_ss(m, _mm_movehdup_ps(m)));
}
CRYOLITH_HD float most_of(__m256 v) {
  __m128 m = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  m = _mm_max_ps(m, _mm_movehl_ps(m, m));
  return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}
#endif

// Adds the values under the ones of bits[q]; values[q][x] belongs to bit x, others are not read.
template <int Rows>
CRYOLITH_HD void add_values(const float* const* values, const word_t* bits, Intensity& into) {
#if defined(__AVX2__)
  const __m256d middle = _mm256_set1_pd(into.centre);
  __m256d s[2] = {_mm256_setzero_pd(), _mm256_setzero_pd()}, p[2] = {s[0], s[0]};
  __m256 least = _mm256_set1_ps(into.low), most = _mm256_set1_ps(into.high);
  const __m256i select = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  for (int q = 0; q < Rows; ++q)
    for (word_t rest = bits[q]; rest;) {
      const int at = first_one(rest) & 56;
      const __m256i part = _mm256_set1_epi32(static_cast<int>(rest >> at & 255));
      const __m256i keep = _mm256_cmpeq_epi32(_mm256_and_si256(part, select), select);
      rest &= ~(word_t{255} << at);
      const __m256 v = _mm256_maskload_ps(values[q] + at, keep);
      least = _mm256_blendv_ps(least, _mm256_min_ps(least, v), _mm256_castsi256_ps(keep));
      most = _mm256_blendv_ps(most, _mm256_max_ps(most, v), _mm256_castsi256_ps(keep));
      for (int h = 0; h < 2; ++h) {
        const __m128 half = h ? _mm256_extractf128_ps(v, 1) : _mm256_castps256_ps128(v);
        const __m128i kept = h ? _mm256_extracti128_si256(keep, 1) : _mm256_castsi256_si128(keep);
        const __m256d apart = _mm256_and_pd(_mm256_castsi256_pd(_mm256_cvtepi32_epi64(kept)),
                                            _mm256_sub_pd(_mm256_cvtps_pd(half), middle));
        s[h] = _mm256_add_pd(s[h], apart);
        p[h] = _mm256_fmadd_pd(apart, apart, p[h]);
      }
    }
  into.sum += total(_mm256_add_pd(s[0], s[1]));
  into.squares += total(_mm256_add_pd(p[0], p[1]));
  into.low = least_of(least);
  into.high = most_of(most);
#else
  for (int q = 0; q < Rows; ++q)
    for (word_t rest = bits[q]; rest; rest &= rest - 1) {
      const float v = values[q][first_one(rest)];
      const double apart = static_cast<double>(v) - into.centre;
      into.sum += apart;
      into.squares += apart * apart;
      into.low = v < into.low ? v : into.low;
      into.high = v > into.high ? v : into.high;
    }
#endif
}

}  // namespace cryolith::detect
