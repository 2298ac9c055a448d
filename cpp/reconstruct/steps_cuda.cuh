// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// The loops over the bodies of *.kernel.hpp on a device. They are memory traffic: what counts is that neighbouring
// lanes touch neighbouring elements, and that sums have one order.
#include "core/kernel.hpp"
#include "reconstruct/elements.kernel.hpp"
#include "reconstruct/variation.kernel.hpp"

namespace cryolith::CRYOLITH_DEVICE {

// grid: parts of kPart elements.
template <class Body>
struct EachElement {
  static constexpr int kThreads = 256, kBlocks = 4, kPart = 4 * kThreads;
  Body body;
  index_t count;

  CRYOLITH_DEVICE_CODE void operator()() const {
    const index_t first = index_t{block_index().x} * kPart + thread_index().x;
    typename Body::Taken taken[4];
    CRYOLITH_UNROLL
    for (int k = 0; k < 4; ++k)
      if (first + k * kThreads < count) taken[k] = body.template read<GlobalMemory>(first + k * kThreads);
    CRYOLITH_UNROLL
    for (int k = 0; k < 4; ++k)
      if (first + k * kThreads < count) body.template write<GlobalMemory>(first + k * kThreads, taken[k]);
  }
};

struct VolumeExtent {
  index_t nz, ny, nx;
};

// Bodies that look at a voxel's neighbours. grid: parts of a plane; planes.
template <class Body>
struct EachVoxel {
  static constexpr int kThreads = 256, kBlocks = 4;
  Body body;
  VolumeExtent extent;

  CRYOLITH_DEVICE_CODE void operator()() const {
    const unsigned i = block_index().x * kThreads + thread_index().x, nx = static_cast<unsigned>(extent.nx);
    const unsigned y = i / nx, x = i - y * nx;
    if (y < extent.ny)
      body.template at<GlobalMemory>(volume_row(extent.nz, extent.ny, extent.nx, block_index().y, y), x);
  }
};

// What a body does at one place of a row: of any array, and of a volume.
template <class Body>
struct InRows {
  Body body;
  VolumeExtent extent;
  CRYOLITH_DEVICE_CODE auto read(index_t row, index_t x) const {
    return body.template read<GlobalMemory>(row * extent.nx + x);
  }
  CRYOLITH_DEVICE_CODE auto write(index_t row, index_t x, const typename Body::Taken& taken) const {
    return body.template write<GlobalMemory>(row * extent.nx + x, taken);
  }
};
template <class Body>
struct InVolume {
  Body body;
  VolumeExtent extent;
  struct Nothing {};
  CRYOLITH_DEVICE_CODE Nothing read(index_t, index_t) const { return {}; }
  CRYOLITH_DEVICE_CODE auto write(index_t row, index_t x, Nothing) const {
    const index_t z = row / extent.ny;
    return body.template at<GlobalMemory>(volume_row(extent.nz, extent.ny, extent.nx, z, row - z * extent.ny), x);
  }
};

// Runs a body and sums its terms over each row as the CPU does, in eight parts, one a lane: the same bits. Eight
// neighbouring floats are what memory hands out at once, and four times as many are asked for before the first is
// waited for. sums: (kSums, rows). grid: groups of kRows rows.
template <class Where, int kSums>
struct SumRows {
  // Three blocks: with four, the 64 registers left a thread spill on compute capability 8.0.
  static constexpr int kThreads = 256, kBlocks = 3, kParts = 8, kRows = kThreads / kParts;
  static constexpr int kAtOnce = 4;
  Where where;
  index_t rows, length;
  double* sums;

  CRYOLITH_DEVICE_CODE void operator()() const {
    const int thread = static_cast<int>(thread_index().x), part = thread % kParts;
    const index_t row = index_t{block_index().x} * kRows + thread / kParts;
    const index_t whole = length - length % kParts;
    double sum[kSums] = {};
    if (row < rows) {
      index_t x = part;
      CRYOLITH_KEEP_LOOP
      for (; x + (kAtOnce - 1) * kParts < whole; x += kAtOnce * kParts) several<kAtOnce>(sum, row, x);
      CRYOLITH_KEEP_LOOP
      for (; x < whole; x += kParts) several<1>(sum, row, x);
      if (part == 0) {
        CRYOLITH_KEEP_LOOP
        for (x = whole; x < length; ++x) several<1>(sum, row, x);
      }
    }
    CRYOLITH_UNROLL
    for (int n = 0; n < kSums; ++n) {
      double s = sum[n];
      for (int lanes = 1; lanes < kParts; lanes *= 2) s += shuffle_xor(s, lanes);
      if (part == 0 && row < rows) store<double>(sums + n * rows + row, s);
    }
  }

 private:
  // kCount elements of a part, from x on.
  template <int kCount>
  CRYOLITH_DEVICE_CODE void several(double (&sum)[kSums], index_t row, index_t x) const {
    decltype(where.read(row, x)) taken[kCount];
    CRYOLITH_UNROLL
    for (int k = 0; k < kCount; ++k) taken[k] = where.read(row, x + k * kParts);
    CRYOLITH_UNROLL
    for (int k = 0; k < kCount; ++k) {
      const Terms<kSums> terms = where.write(row, x + k * kParts, taken[k]);
      CRYOLITH_UNROLL
      for (int n = 0; n < kSums; ++n) sum[n] += terms.of[n];
    }
  }
};

// A sum and what its rounding lost.
struct TwoDoubles {
  double high = 0.0, low = 0.0;
  CRYOLITH_DEVICE_CODE void add(double x, double lost) {
    const double sum = high + x, part = sum - high;
    const double error = (high - (sum - part)) + (x - part);  // of that addition, exactly (Knuth)
    high = sum;
    low += error + lost;
    if (!(sum - sum == 0.0)) low = 0.0;  // an infinity or NaN: what plain addition makes of those
  }
};

// Adds row sums to 2^-100 of them, in groups of one warp; how many groups, and so the order, follows from how many
// rows. out: (sums, groups, 2). grid: groups; sums.
struct AddRowSums {
  static constexpr int kThreads = kWarp, kBlocks = 16;
  const double* sums;
  index_t rows, groups;
  double* out;

  static index_t groups_of(index_t rows) { return lesser<index_t>(256, (rows + kWarp - 1) / kWarp); }

  CRYOLITH_DEVICE_CODE void operator()() const {
    const int lane = static_cast<int>(thread_index().x);
    const index_t group = block_index().x, n = block_index().y;
    TwoDoubles sum;
    for (index_t row = group * kWarp + lane; row < rows; row += groups * kWarp)
      sum.add(load<double>(sums + n * rows + row), 0.0);
    for (int lanes = kWarp / 2; lanes > 0; lanes /= 2) {
      const double high = shuffle_down(sum.high, lanes), low = shuffle_down(sum.low, lanes);
      if (lane < lanes) sum.add(high, low);
    }
    if (lane != 0) return;
    double* to = out + (n * groups + group) * 2;
    store<double>(to, sum.high);
    store<double>(to + 1, sum.low);
  }
};

}  // namespace cryolith::CRYOLITH_DEVICE
