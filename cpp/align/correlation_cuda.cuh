// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// Kernels of registration. Nothing is added up by atomics: a sum has one owner and one order.
#include <cstdint>

#include "align/band.hpp"
#include "align/band.kernel.hpp"
#include "core/kernel.hpp"

namespace cryolith::CRYOLITH_DEVICE {

// A band of the half spectrum (py, px / 2 + 1) of an image, as kernels walk it: `upper` rows of frequencies from 0 up,
// then those below 0.
struct BandShape {
  int rows, upper, columns, py, px;
  CRYOLITH_HD int frequency(int row) const { return row < upper ? row : row - rows; }
  // Frequency -f lies on the same rings as f, and shares its line of the tables.
  CRYOLITH_HD int line(int row) const { return row < upper ? row : rows - row; }
  CRYOLITH_HD float times(int column) const { return column == 0 || 2 * column == px ? 1.0f : 2.0f; }
};

inline BandShape shape_of(const Band& band) {
  int upper = 0;
  for (double f : band.fy) upper += f >= 0 ? 1 : 0;
  return {static_cast<int>(band.rows), upper, static_cast<int>(band.columns), static_cast<int>(band.py),
          static_cast<int>(band.px)};
}

// The part of it that is of use.
struct BandPart {
  int lines, columns;
};

// Coefficients of a band: rows of `terms`, `gap` rows of other frequencies behind those from 0 up.
struct Coefficients {
  const Wave* data;
  int terms, gap;
  CRYOLITH_HD index_t row(const BandShape& band, int y) const {
    return (index_t{y} + (y < band.upper ? 0 : gap)) * terms;
  }
};

inline constexpr int kSumWarps = 4, kSumThreads = kSumWarps * kWarp;

// Writes the block's sums of what its threads have; needs kN kWarps float64 of shared memory.
template <int kWarps, int kN>
CRYOLITH_DEVICE_CODE void add_up(const double (&mine)[kN], double* out) {
  const auto thread = static_cast<int>(thread_index().x);
  const Shared<double> all = shared_memory<double>();
  for (int k = 0; k < kN; ++k) {
    double sum = mine[k];
    for (int lanes = kWarp / 2; lanes > 0; lanes /= 2) sum += shuffle_xor(sum, lanes);
    if (thread % kWarp == 0) store_shared<double>(all + (thread / kWarp * kN + k), sum);
  }
  sync_block();
  if (thread >= kN) return;
  double sum = 0;
  for (int warp = 0; warp < kWarps; ++warp) sum += load_shared<double>(all + (warp * kN + thread));
  GlobalMemory::write(out + thread, sum);
}

// exp(2 pi i f shift) of the columns and rows of a band. Grid over both.
struct FillPhases {
  static constexpr int kThreads = 128, kBlocks = 8;
  BandShape band;
  double y, x;  // the shift
  Wave *along, *across;

  CRYOLITH_DEVICE_CODE void operator()() const {
    const auto i = static_cast<int>(block_index().x) * kThreads + static_cast<int>(thread_index().x);
    if (i >= band.columns + band.rows) return;
    const bool column = i < band.columns;
    const int row = i - band.columns;
    // Frequencies along rows are float32 on the CPU, too.
    const double f = column ? static_cast<double>(static_cast<float>(static_cast<double>(i) / band.px))
                            : static_cast<double>(band.frequency(row)) / band.py;
    const double half_turns = 2 * f * (column ? x : y);
    const Wave e{static_cast<float>(cos_pi(half_turns)), static_cast<float>(sin_pi(half_turns))};
    store<Wave>(column ? along + i : across + row, e);
  }
};

// Sums over rings: |a|^2 and, with three kinds, |b|^2 and Re(conj(a) b e). A thread has a ring and looks at a few rows,
// in each of which the ring is a run of columns. Grid (rings, rows).
template <int kKinds>
struct SumRings {
  static constexpr int kThreads = 128, kBlocks = 8, kRows = 32;
  BandShape band;
  BandPart part;
  Coefficients a, b;
  const Wave *along, *across;
  const std::uint16_t* begins;  // (upper, rings + 1): the first column of each ring or one beyond it
  int rings;
  float* sums;  // (grid y, kKinds, rings)

  CRYOLITH_DEVICE_CODE void operator()() const {
    const auto ring = static_cast<int>(block_index().x) * kThreads + static_cast<int>(thread_index().x);
    if (ring >= rings) return;
    float mine[kKinds] = {};
    const auto first = static_cast<int>(block_index().y) * kRows;
    for (int y = first; y < lesser(first + kRows, band.rows); ++y)
      if (band.line(y) <= part.lines) add_row(y, ring, mine);
    float* to = sums + index_t{block_index().y} * kKinds * rings + ring;
    for (int k = 0; k < kKinds; ++k) GlobalMemory::write(to + index_t{k} * rings, mine[k]);
  }

  CRYOLITH_DEVICE_CODE void add_row(int y, int ring, float (&mine)[kKinds]) const {
    const std::uint16_t* run = begins + index_t{band.line(y)} * (rings + 1) + ring;
    const int begin = GlobalMemory::read(run), end = lesser(int{GlobalMemory::read(run + 1)}, part.columns);
    if (begin >= end) return;
    const index_t from_a = a.row(band, y), from_b = b.row(band, y);
    Wave row{};
    if constexpr (kKinds == 3) row = load_constant<Wave>(across + y);
    for (int x = begin; x < end; ++x) {
      const float times_seen = band.times(x);
      const Wave p = load_constant<Wave>(a.data + from_a + x);
      mine[0] += times_seen * power_of(p);
      if constexpr (kKinds == 3) {
        const Wave q = load_constant<Wave>(b.data + from_b + x);
        mine[1] += times_seen * power_of(q);
        mine[2] += times_seen * common_power(p, q, times(load_constant<Wave>(along + x), row));
      }
    }
  }
};

// The sums of `count` numbers over `parts` arrays of them.
struct AddParts {
  static constexpr int kThreads = 128, kBlocks = 8;
  const float* in;
  int parts, count;
  double* out;

  CRYOLITH_DEVICE_CODE void operator()() const {
    const auto i = static_cast<int>(block_index().x) * kThreads + static_cast<int>(thread_index().x);
    if (i >= count) return;
    double sum = 0;
    for (int k = 0; k < parts; ++k) sum += static_cast<double>(GlobalMemory::read(in + index_t{k} * count + i));
    GlobalMemory::write(out + i, sum);
  }
};

// conj(a) b times the weight of its ring and, for sums over the whole plane, its multiplicity. Grid (columns, rows).
struct CrossSpectra {
  static constexpr int kThreads = 128, kBlocks = 8;
  BandShape band;
  BandPart part;
  Coefficients a, b;
  const std::uint16_t* ring;  // (upper, columns)
  const float* weight;
  bool whole_plane;
  Wave* out;  // (rows, columns), written in the part only

  CRYOLITH_DEVICE_CODE void operator()() const {
    const auto x = static_cast<int>(block_index().x) * kThreads + static_cast<int>(thread_index().x);
    const auto y = static_cast<int>(block_index().y);
    const int line = band.line(y);
    if (x >= part.columns || line > part.lines) return;
    const int r = GlobalMemory::read(ring + index_t{line} * band.columns + x);
    const float w = GlobalMemory::read(weight + r) * (whole_plane ? band.times(x) : 1.0f);
    const Wave p = load_constant<Wave>(a.data + a.row(band, y) + x),
               q = load_constant<Wave>(b.data + b.row(band, y) + x);
    store<Wave>(out + index_t{y} * band.columns + x, cross_wave(p, q, w));
  }
};

// What Newton's step needs of a correlation: sums of z, fy z, x z, fy fy z, fy x z and x x z, z = cross e, x the
// column. A warp has a row.
struct SumSlopes {
  static constexpr int kWarps = 8, kThreads = kWarps * kWarp, kBlocks = 4, kSums = 6;
  BandShape band;
  BandPart part;
  const Wave *cross, *along, *across;
  double* out;  // (blocks, kSums): real part of the first, imaginary of the next two, real of the others

  CRYOLITH_DEVICE_CODE void operator()() const {
    const auto thread = static_cast<int>(thread_index().x);
    const int y = static_cast<int>(block_index().x) * kWarps + thread / kWarp;
    double mine[kSums] = {};
    if (y < band.rows && band.line(y) <= part.lines) add_row(y, thread % kWarp, mine);
    add_up<kWarps>(mine, out + index_t{block_index().x} * kSums);
  }

  CRYOLITH_DEVICE_CODE void add_row(int y, int lane, double (&sums)[kSums]) const {
    Wave z0{}, z1{}, z2{};
    for (int x = lane; x < part.columns; x += kWarp) {
      const Wave z = times(load_constant<Wave>(cross + index_t{y} * band.columns + x), load_constant<Wave>(along + x));
      const auto f = static_cast<float>(x);
      const Wave fz{f * z.re, f * z.im};
      z0.re += z.re, z0.im += z.im, z1.re += fz.re, z1.im += fz.im, z2.re += f * fz.re, z2.im += f * fz.im;
    }
    const Wave row = load_constant<Wave>(across + y);
    const double c = static_cast<double>(row.re), s = static_cast<double>(row.im);
    const double fy = static_cast<double>(band.frequency(y)) / band.py;
    const auto real = [&](const Wave& z) { return static_cast<double>(z.re) * c - static_cast<double>(z.im) * s; };
    const auto imaginary = [&](const Wave& z) { return static_cast<double>(z.re) * s + static_cast<double>(z.im) * c; };
    sums[0] = real(z0), sums[1] = fy * imaginary(z0), sums[2] = imaginary(z1);
    sums[3] = fy * fy * sums[0], sums[4] = fy * real(z1), sums[5] = real(z2);
  }
};

// |a|^2, |b|^2 and conj(a) b of a column of the spectrum as every second row of the images has it: a half spectrum
// folded upon itself. Grid (columns, rows).
struct SumColumns {
  static constexpr int kThreads = 128, kBlocks = 8, kRows = 32, kSums = 4;
  const Wave *a, *b;  // (2 half, terms)
  int half, terms, first, columns;
  float* sums;  // (grid y, kSums, columns)

  CRYOLITH_DEVICE_CODE void operator()() const {
    const auto x = static_cast<int>(block_index().x) * kThreads + static_cast<int>(thread_index().x);
    if (x >= columns) return;
    float mine[kSums] = {};
    const auto begin = static_cast<int>(block_index().y) * kRows;
    for (int y = begin; y < lesser(begin + kRows, half); ++y) {
      const Wave p = folded(a, y, x), q = folded(b, y, x), both = cross_wave(p, q, 1.0f);
      mine[0] += power_of(p), mine[1] += power_of(q), mine[2] += both.re, mine[3] += both.im;
    }
    float* to = sums + index_t{block_index().y} * kSums * columns + x;
    for (int k = 0; k < kSums; ++k) GlobalMemory::write(to + index_t{k} * columns, mine[k]);
  }
  CRYOLITH_DEVICE_CODE Wave folded(const Wave* of, int y, int x) const {
    const Wave p = load_constant<Wave>(of + index_t{y} * terms + first + x),
               q = load_constant<Wave>(of + index_t{y + half} * terms + first + x);
    return {p.re + q.re, p.im + q.im};
  }
};

// |a|^2, |b|^2 and Re(conj(a) b e) of groups of rows, and of their twins below 0. Grid (groups, 2).
struct SumLines {
  static constexpr int kThreads = kSumThreads, kBlocks = 8, kSums = 3;
  const Wave *a, *b, *along;
  int terms, py, first, width, columns;
  double y;     // of the shift
  double* out;  // (2, groups, kSums)
  int groups;

  CRYOLITH_DEVICE_CODE void operator()() const {
    const auto group = static_cast<int>(block_index().x);
    const bool twin = block_index().y > 0;
    const int begin = (first + group) * width;
    const double turns = (static_cast<double>(begin) + 0.5 * (width - 1)) / py * (twin ? -y : y);
    const Wave row{static_cast<float>(cos_pi(2 * turns)), static_cast<float>(sin_pi(2 * turns))};
    float sums[kSums] = {};
    for (int k = begin; k < begin + width; ++k)
      for (int x = static_cast<int>(thread_index().x); x < columns; x += kThreads) {
        const index_t at = index_t{twin ? py - k : k} * terms + x;
        const Wave p = load_constant<Wave>(a + at), q = load_constant<Wave>(b + at);
        sums[0] += power_of(p), sums[1] += power_of(q);
        sums[2] += common_power(p, q, times(load_constant<Wave>(along + x), row));
      }
    const double mine[kSums] = {static_cast<double>(sums[0]), static_cast<double>(sums[1]),
                                static_cast<double>(sums[2])};
    add_up<kSumWarps>(mine, out + ((twin ? index_t{groups} : 0) + group) * kSums);
  }
};

}  // namespace cryolith::CRYOLITH_DEVICE
