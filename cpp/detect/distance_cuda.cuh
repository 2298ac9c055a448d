// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// Exact distances, one axis after the other as on the CPU (distance.hpp): along z by counting, along y and x by looking
// outwards from each voxel until nothing farther can be nearer. Source: Felzenszwalb & Huttenlocher, Theory of
// Computing 8 (2012) 415, eq. 3. The least of the same float32 sums as on the CPU, none of them fused, so the same
// bytes. Lanes lie along x in every pass: what a warp reads at one step is one piece of memory.
#include "core/kernel.hpp"
#include "detect/distance.kernel.hpp"

namespace cryolith::CRYOLITH_DEVICE {

using detect::Kind;

struct DistanceShape {
  int nz, ny, nx;
  bool border;
  float unit, square[3];  // length of the unit of the squares; squared edges in it
  CRYOLITH_DEVICE_CODE index_t plane() const { return index_t{ny} * nx; }
};

// Squares of the distances along z. grid: columns.
template <Kind kKind, class Value>
struct ColumnSquares {
  static constexpr int kThreads = 256, kBlocks = 4;
  DistanceShape shape;
  const Value* values;
  float* out;

  CRYOLITH_DEVICE_CODE void operator()() const {
    const index_t column = index_t{block_index().x} * kThreads + thread_index().x, plane = shape.plane();
    if (column >= plane) return;
    auto beside = load<Value>(values + column);
    std::uint16_t run = detect::run_beyond<kKind>(shape.border, beside);
    for (index_t z = 0, at = column; z < shape.nz; ++z, at += plane) {
      const auto value = load<Value>(values + at);
      run = detect::next_run<kKind>(run, value, beside);
      store<float>(out + at, static_cast<float>(static_cast<int>(run)));
      beside = value;
    }
    run = detect::run_beyond<kKind>(shape.border, beside);
    for (index_t z = shape.nz - 1, at = column + z * plane; z >= 0; --z, at -= plane) {
      const auto up = static_cast<std::uint16_t>(static_cast<int>(load<float>(out + at)));
      if constexpr (kKind == Kind::mask) {
        run = detect::next_run<kKind>(run, up, up);  // a zero has no run
      } else {
        const auto value = load<Value>(values + at);
        run = detect::next_run<kKind>(run, value, beside);
        beside = value;
      }
      store<float>(out + at, detect::square_of_run(run < up ? run : up, shape.square[0]));
    }
  }
};

// The least of what voxels along an axis know, plus the square of the way there; along x, the last axis, its root.
// grid: 32 voxels along x; 8 along y; z.
template <Kind kKind, class Value, int kAxis>
struct SearchLines {
  static constexpr int kThreads = 256, kBlocks = 4, kAlongX = 32, kAlongY = kThreads / kAlongX;
  static constexpr bool kLabels = kKind != Kind::mask;
  DistanceShape shape;
  const Value* values;
  const float* in;
  float* out;

  // One side of a voxel, up to its end: the line's or, with labels, the run's.
  struct Side {
    index_t at, step;
    int left;  // voxels before the end of the line
    bool open = true;
  };

  CRYOLITH_DEVICE_CODE float look(Side& side, Value own, float square, float d) const {
    if (!side.open) return d;
    if (side.left == 0) {
      side.open = false;
      const bool ends = detect::run_beyond<kKind>(shape.border, own) == 0;
      return ends && square < d ? square : d;
    }
    --side.left;
    side.at += side.step;
    float found;
    if (kLabels && load<Value>(values + side.at) != own) {
      side.open = false;
      found = square;
    } else {
      found = add(load<float>(in + side.at), square);
    }
    return found < d ? found : d;
  }

  CRYOLITH_DEVICE_CODE void operator()() const {
    const int thread = static_cast<int>(thread_index().x);
    const int x = static_cast<int>(block_index().x) * kAlongX + thread % kAlongX;
    const int y = static_cast<int>(block_index().y) * kAlongY + thread / kAlongX;
    if (x >= shape.nx || y >= shape.ny) return;
    const index_t at = index_t{block_index().z} * shape.plane() + index_t{y} * shape.nx + x;
    const int i = kAxis == 1 ? y : x, n = kAxis == 1 ? shape.ny : shape.nx;
    const index_t step = kAxis == 1 ? shape.nx : 1;
    const auto own = kLabels ? load<Value>(values + at) : Value{1};
    float d = load<float>(in + at);
    Side low{at, -step, i}, high{at, step, n - 1 - i};
    for (int r = 1; low.open || high.open; ++r) {
      const float square = detect::square_of_run(static_cast<std::uint16_t>(r), shape.square[kAxis]);
      if (!(square < d)) break;
      d = look(low, own, square, d);
      d = look(high, own, square, d);
    }
    if constexpr (kAxis == 2) {
      d = shape.unit * square_root(d);
      if (kKind == Kind::all_labels && own == 0) d = -d;
    }
    store<float>(out + at, d);
  }
};

}  // namespace cryolith::CRYOLITH_DEVICE
