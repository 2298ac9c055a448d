// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// The sum that both halves of the projector pair spend their time in (shear_sum.cpp has the CPU's):
//   out[o][r] (+)= sum over i of (1 - w) in[i][r + k] + w in[i][r + k + 1],   k and w of (o, i), for every y alike.
// Back-projection has lines of the volume as outputs o and tilts as inputs i, its transpose tilts as outputs and lines
// as inputs; so one kernel serves both. design/028-cuda.md says why it is shaped like this.
//
// Rows are kColumns consecutive y, so that each access of a warp is whole and a window of rows is one piece of memory;
// all memory is [block of y][plane][row][kColumns]. A thread owns kRows rows of two neighbouring outputs in registers:
// both read one stream of rows, from which the second is off by d = k1 - k0, the same for the whole warp. Windows of
// input rows arrive by asynchronous copies, kStages ahead. Each output has one owner, who sums in a fixed order.
#include "core/kernel.hpp"
#include "projection/shear_tables.hpp"

namespace cryolith::CRYOLITH_DEVICE {

template <int kCount>
struct alignas(4 * kCount) Floats {
  float v[kCount];
};

// Rows of an output that a thread owns, floats of a row that it owns, warps along the rows and across outputs, stages
// of copies, blocks that one processor has to hold.
template <int kRows_, int kFloats_, int kWarpsAlong_, int kWarpsAcross_, int kStages_, int kBlocks_>
struct ShearShape {
  static constexpr int kRows = kRows_, kFloats = kFloats_, kWarpsAlong = kWarpsAlong_, kWarpsAcross = kWarpsAcross_;
  static constexpr int kStages = kStages_, kBlocks = kBlocks_;
  static constexpr int kColumns = kWarp * kFloats, kThreads = kWarp * kWarpsAlong * kWarpsAcross;
  static constexpr ShearTile kTile{kRows * kWarpsAlong, 2 * kWarpsAcross};
  // Floats of a stage: a window of rows, then the taps of the block's pairs of outputs.
  static CRYOLITH_HD constexpr int stage_floats(int window_rows) { return window_rows * kColumns + 4 * kWarpsAcross; }
  static constexpr index_t shared_bytes(int window_rows) { return index_t{4} * kStages * stage_floats(window_rows); }
};

template <class Shape, bool kAdd>
struct ShearSum {
  static constexpr int kThreads = Shape::kThreads, kBlocks = Shape::kBlocks;
  static constexpr int kRows = Shape::kRows, kFloats = Shape::kFloats, kColumns = Shape::kColumns;
  using Row = Floats<kFloats>;

  const float* in;
  float* out;
  const ShearWindow* windows;  // [group of outputs][input]
  const ShearPairTap* taps;    // [group][input][pair]
  const ShearOutput* outputs;  // [output]
  index_t in_rows, out_rows;   // of one block of y
  int inputs, output_count, first_row, window_rows;

  // What a thread is in its block.
  struct Place {
    int thread, lane, along, across, group, row;
  };

  CRYOLITH_DEVICE_CODE Place place() const {
    const int thread = static_cast<int>(thread_index().x), warp = thread / kWarp;
    const int along = warp % Shape::kWarpsAlong, tile = static_cast<int>(block_index().y);
    return {thread,
            thread % kWarp,
            along,
            warp / Shape::kWarpsAlong,
            static_cast<int>(block_index().x),
            first_row + tile * Shape::kTile.rows};
  }

  // Copies window after window, one ahead of the last in registers.
  struct Filler {
    static constexpr int kPieces = kColumns / 4, kStep = kThreads / kPieces;  // pieces of 16 bytes; rows between
    static_assert(kThreads % kPieces == 0 && Shape::kWarpsAcross <= kThreads);
    const ShearSum& sum;
    const float* in;
    const ShearWindow* window;
    const ShearPairTap* tap;
    Shared<float> buffer;
    int thread, row;
    ShearWindow next = {0, 0, 0, 0};
    int filled = 0, stage = 0;

    CRYOLITH_DEVICE_CODE void peek() {
      if (filled < sum.inputs) next = load_constant<ShearWindow>(window);
      ++window;
    }
    CRYOLITH_DEVICE_CODE void fill() {
      if (filled < sum.inputs) {
        const Shared<float> to = buffer + stage * Shape::stage_floats(sum.window_rows);
        Shared<float> piece = to + thread * 4;
        int r = row + next.start + thread / kPieces;
        const float* from = in + ((index_t{next.base} + r) * kColumns + thread % kPieces * 4);
        CRYOLITH_KEEP_LOOP
        for (int i = thread / kPieces; i < next.rows; i += kStep) {
          copy_async(piece, from, static_cast<unsigned>(r) < static_cast<unsigned>(next.stored));
          r += kStep;
          from += kThreads * 4;
          piece = piece + kThreads * 4;
        }
        if (thread < Shape::kWarpsAcross) copy_async(to + (sum.window_rows * kColumns + thread * 4), tap, true);
        tap += Shape::kWarpsAcross;
        ++filled;
      }
      peek();
      commit_copies();
      stage = stage + 1 == Shape::kStages ? 0 : stage + 1;
    }
  };

  // Rows of the window that feed output 0 (rows 0 to kRows) and output 1 (kD to kRows + kD).
  template <int kD, bool kFirst, bool kSecond>
  static CRYOLITH_DEVICE_CODE void accumulate(float (&sums)[2][kRows][kFloats], Shared<float> window, float w0,
                                              float w1) {
    constexpr int kLow = kFirst && kSecond ? (kD < 0 ? kD : 0) : kFirst ? 0 : kD;
    constexpr int kHigh = kFirst && kSecond ? (kD > 0 ? kRows + kD : kRows) : kFirst ? kRows : kRows + kD;
    const float u0 = 1.0f - w0, u1 = 1.0f - w1;
    CRYOLITH_UNROLL
    for (int r = kLow; r <= kHigh; ++r) {
      const Row q = load_shared<Row>(window + r * kColumns);
      CRYOLITH_UNROLL
      for (int y = 0; y < kFloats; ++y) {
        if (kFirst && r >= 0 && r < kRows) sums[0][r][y] = multiply_add(u0, q.v[y], sums[0][r][y]);
        if (kFirst && r >= 1 && r <= kRows) sums[0][r - 1][y] = multiply_add(w0, q.v[y], sums[0][r - 1][y]);
        if (kSecond && r >= kD && r - kD < kRows) sums[1][r - kD][y] = multiply_add(u1, q.v[y], sums[1][r - kD][y]);
        if (kSecond && r > kD && r - kD <= kRows)
          sums[1][r - kD - 1][y] = multiply_add(w1, q.v[y], sums[1][r - kD - 1][y]);
      }
    }
  }

  static CRYOLITH_DEVICE_CODE void add_input(float (&sums)[2][kRows][kFloats], Shared<float> window, ShearPairTap tap) {
    switch (tap.apart) {  // the same for all lanes of a warp
      case 0:
        return accumulate<0, true, true>(sums, window, tap.weight, tap.next_weight);
      case 1:
        return accumulate<1, true, true>(sums, window, tap.weight, tap.next_weight);
      case -1:
        return accumulate<-1, true, true>(sums, window, tap.weight, tap.next_weight);
      case 2:
        return accumulate<2, true, true>(sums, window, tap.weight, tap.next_weight);
      case -2:
        return accumulate<-2, true, true>(sums, window, tap.weight, tap.next_weight);
      default:  // steep tilts and wide steps: each output from a stream of its own
        accumulate<0, true, false>(sums, window, tap.weight, tap.next_weight);
        accumulate<0, false, true>(sums, window + tap.apart * kColumns, tap.weight, tap.next_weight);
    }
  }

  CRYOLITH_DEVICE_CODE void write(const float (&sums)[2][kRows][kFloats], const Place& at) const {
    CRYOLITH_UNROLL
    for (int p = 0; p < 2; ++p) {
      const int o = at.group * Shape::kTile.outputs + at.across * 2 + p;
      if (o >= output_count) return;
      const ShearOutput output = load_constant<ShearOutput>(outputs + o);
      CRYOLITH_UNROLL
      for (int r = 0; r < kRows; ++r) {
        const int row = at.row + at.along * kRows + r + output.start;
        if (static_cast<unsigned>(row) >= static_cast<unsigned>(output.rows)) continue;
        const index_t line = index_t{block_index().z} * out_rows + output.base + row;
        float* to = out + line * kColumns + at.lane * kFloats;
        Row v{};
        if (kAdd) v = load<Row>(to);
        CRYOLITH_UNROLL
        for (int y = 0; y < kFloats; ++y) v.v[y] = kAdd ? v.v[y] + sums[p][r][y] : sums[p][r][y];
        store<Row>(to, v);
      }
    }
  }

  CRYOLITH_DEVICE_CODE void operator()() const {
    const Place at = place();
    const Shared<float> buffer = shared_memory<float>();
    const index_t first = index_t{at.group} * inputs;
    Filler filler{*this,           in + index_t{block_index().z} * in_rows * kColumns,
                  windows + first, taps + first * Shape::kWarpsAcross + at.thread,
                  buffer,          at.thread,
                  at.row};
    float sums[2][kRows][kFloats];
    CRYOLITH_UNROLL
    for (int p = 0; p < 2; ++p) CRYOLITH_UNROLL
    for (int r = 0; r < kRows; ++r) CRYOLITH_UNROLL
    for (int y = 0; y < kFloats; ++y) sums[p][r][y] = 0.0f;

    filler.peek();
    CRYOLITH_KEEP_LOOP
    for (int s = 0; s < Shape::kStages - 1; ++s) filler.fill();
    int stage = 0;
    CRYOLITH_KEEP_LOOP
    for (int i = 0; i < inputs; ++i) {
      wait_for_copies<Shape::kStages - 2>();  // this thread's part of the window has arrived
      sync_block();  // everybody's has, and everybody is done with the window before, which is filled anew now
      filler.fill();
      const Shared<float> window = buffer + stage * Shape::stage_floats(window_rows);
      const auto tap = load_shared<ShearPairTap>(window + (window_rows * kColumns + at.across * 4));
      add_input(sums, window + ((tap.offset + at.along * kRows) * kColumns + at.lane * kFloats), tap);
      stage = stage + 1 == Shape::kStages ? 0 : stage + 1;
    }
    write(sums, at);
  }
};

}  // namespace cryolith::CRYOLITH_DEVICE
