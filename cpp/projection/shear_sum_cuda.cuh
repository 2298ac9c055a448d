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
// input rows arrive ahead of their use, in stages: by bulk copies that one thread asks for where a device has such,
// else by copies of 16 bytes that all threads share. Each output has one owner, who sums in a fixed order.
#include "core/kernel.hpp"
#include "projection/shear_tables.hpp"

namespace cryolith::CRYOLITH_DEVICE {

inline constexpr int kTapFloats = sizeof(ShearPairTap) / sizeof(float);

template <int kCount>
struct alignas(4 * kCount) Floats {
  float v[kCount];
};

// Rows of an output that a thread owns, floats of a row that it owns, warps along the rows and across outputs, stages
// of copies, blocks that one processor has to hold, whether to copy in bulk where the device can.
template <int kRows_, int kFloats_, int kWarpsAlong_, int kWarpsAcross_, int kStages_, int kBlocks_, bool kBulk_ = true>
struct ShearShape {
  static constexpr int kRows = kRows_, kFloats = kFloats_, kWarpsAlong = kWarpsAlong_, kWarpsAcross = kWarpsAcross_;
  static constexpr int kStages = kStages_, kBlocks = kBlocks_, kAhead = kStages - 1;
  static constexpr bool kBulk = kBulk_ && kBulkCopies;
  static constexpr int kColumns = kWarp * kFloats, kThreads = kWarp * kWarpsAlong * kWarpsAcross;
  static constexpr ShearTile kTile{kRows * kWarpsAlong, 2 * kWarpsAcross, kColumns, kAhead};
  // Floats of a stage: its gate, the window of the input kAhead later, the taps of the block's pairs, a window of rows.
  static constexpr int kWindowAt = 4, kTapsAt = 8, kRowsAt = kTapsAt + kTapFloats * kWarpsAcross;
  static CRYOLITH_HD constexpr int stage_floats(int window_rows) { return kRowsAt + window_rows * kColumns; }
  static constexpr index_t shared_bytes(int window_rows) { return index_t{4} * kStages * stage_floats(window_rows); }
  // Rows of the largest window for which so many bytes of shared memory suffice.
  static constexpr int most_window_rows(index_t bytes) {
    return static_cast<int>((bytes / (index_t{4} * kStages) - kRowsAt) / kColumns);
  }
};

template <class Shape, bool kAdd>
struct ShearSum {
  static constexpr int kThreads = Shape::kThreads, kBlocks = Shape::kBlocks;
  static constexpr int kRows = Shape::kRows, kFloats = Shape::kFloats, kColumns = Shape::kColumns;
  static constexpr int kAhead = Shape::kAhead, kRowBytes = 4 * kColumns;
  using Row = Floats<kFloats>;

  const float* in;
  const float* zeros;  // window_rows rows
  float* out;
  const ShearWindow* windows;  // [group of outputs][input + kAhead]
  const ShearPairTap* taps;    // [group][input][pair]
  const ShearOutput* outputs;  // [output]
  const ShearGroup* groups;
  index_t in_rows, out_rows;  // of one block of y
  int inputs, output_count, window_rows;

  // What a thread is in its block.
  struct Place {
    int thread, lane, along, across, group, row;
    bool copies;  // its warp asks for copies in bulk
  };

  CRYOLITH_DEVICE_CODE Place place(int first_row) const {
    const int thread = static_cast<int>(thread_index().x), warp = shuffle(thread / kWarp, 0);
    const int along = warp % Shape::kWarpsAlong, tile = static_cast<int>(block_index().y);
    // Warps of one number go to one scheduler: blocks that share a processor take different ones for what only one
    // does.
    const unsigned block = block_index().x + block_index().y + block_index().z;
    return {thread,
            thread % kWarp,
            along,
            warp / Shape::kWarpsAlong,
            static_cast<int>(block_index().x),
            first_row + tile * Shape::kTile.rows,
            warp == static_cast<int>(block % (kThreads / kWarp))};
  }

  // Rows from `row` of an input's stored ones on: in up to three pieces, since a copy in bulk fills nothing with zeros.
  CRYOLITH_DEVICE_CODE void copy_window(Shared<float> stage, const ShearWindow& window, int row) const {
    const auto within = [&](int r) { return r < 0 ? 0 : r > window.rows ? window.rows : r; };
    const int begin = within(-row), end = within(window.stored - row), kept = end > begin ? end - begin : 0;
    const index_t first = index_t{block_index().z} * in_rows + window.base + row + begin;
    const auto copy = [&](int at, const float* from, int rows) {
      if (rows > 0) copy_bulk(stage, stage + (Shape::kRowsAt + at * kColumns), from, rows * kRowBytes);
    };
    copy(0, zeros, kept > 0 ? begin : window.rows);
    copy(begin, in + first * kColumns, kept);
    copy(end, zeros, kept > 0 ? window.rows - end : 0);
  }

  // Asks for the window of an input, its taps, and the window of the input kAhead later.
  CRYOLITH_DEVICE_CODE void fill_in_bulk(const Place& at, Shared<float> stage, const ShearWindow& window,
                                         int input) const {
    constexpr int kPairs = Shape::kWarpsAcross, kTapsBytes = 4 * kTapFloats * kPairs, kWindowBytes = 16;
    if (window.rows == 0) return;
    expect_bytes(stage, window.rows * kRowBytes + kTapsBytes + kWindowBytes);
    copy_window(stage, window, at.row + window.start);
    copy_bulk(stage, stage + Shape::kTapsAt, taps + (at.group * inputs + input) * kPairs, kTapsBytes);
    copy_bulk(stage, stage + Shape::kWindowAt, windows + (at.group * (inputs + kAhead) + input + kAhead), kWindowBytes);
  }

  // The same by all threads, in pieces of 16 bytes.
  CRYOLITH_DEVICE_CODE void fill_in_pieces(const Place& at, Shared<float> stage, const ShearWindow& window,
                                           int input) const {
    constexpr int kPieces = kColumns / 4, kStep = kThreads / kPieces, kTapPieces = Shape::kWarpsAcross * kTapFloats / 4;
    static_assert(kThreads % kPieces == 0 && kTapPieces < kThreads);
    if (window.rows > 0) {
      const int r = at.thread / kPieces, begin = at.row + window.start;
      Shared<float> to = stage + (Shape::kRowsAt + at.thread * 4);
      const index_t first = index_t{block_index().z} * in_rows + window.base + begin + r;
      const float* from = in + (first * kColumns + at.thread % kPieces * 4);
      CRYOLITH_KEEP_LOOP
      for (int row = begin + r; row < begin + window.rows; row += kStep) {
        copy_async(to, from, static_cast<unsigned>(row) < static_cast<unsigned>(window.stored));
        from += kThreads * 4;
        to = to + kThreads * 4;
      }
      const auto* tap = reinterpret_cast<const float*>(taps + (at.group * inputs + input) * Shape::kWarpsAcross);
      if (at.thread < kTapPieces)
        copy_async(stage + (Shape::kTapsAt + at.thread * 4), tap + at.thread * 4, true);
      else if (at.thread == kTapPieces)
        copy_async(stage + Shape::kWindowAt, windows + (at.group * (inputs + kAhead) + input + kAhead), true);
    }
    commit_copies();
  }

  template <class WindowOf>
  CRYOLITH_DEVICE_CODE void fill(const Place& at, Shared<float> stage, int input, const WindowOf& window_of) const {
    if constexpr (!Shape::kBulk)
      fill_in_pieces(at, stage, window_of(), input);
    else if (at.copies && elect())
      fill_in_bulk(at, stage, window_of(), input);
  }

  // What a pair's tap says, as loads take it.
  struct TapPlace {
    std::int32_t offset, second;
  };
  struct alignas(16) Weights {
    float here[2], next[2];
  };
  static_assert(sizeof(ShearPairTap) == 4 * kTapFloats);

  // Rows of the window that feed output 0 (rows 0 to kRows) and output 1 (kD to kRows + kD).
  template <int kD, bool kFirst, bool kSecond>
  static CRYOLITH_DEVICE_CODE void accumulate(float (&sums)[2][kRows][kFloats], Shared<float> window,
                                              const Weights& w) {
    constexpr int kLow = kFirst && kSecond ? (kD < 0 ? kD : 0) : kFirst ? 0 : kD;
    constexpr int kHigh = kFirst && kSecond ? (kD > 0 ? kRows + kD : kRows) : kFirst ? kRows : kRows + kD;
    CRYOLITH_UNROLL
    for (int r = kLow; r <= kHigh; ++r) {
      const Row q = load_shared<Row>(window + r * kColumns);
      CRYOLITH_UNROLL
      for (int y = 0; y < kFloats; ++y) {
        if (kFirst && r >= 0 && r < kRows) sums[0][r][y] = multiply_add(w.here[0], q.v[y], sums[0][r][y]);
        if (kFirst && r >= 1 && r <= kRows) sums[0][r - 1][y] = multiply_add(w.next[0], q.v[y], sums[0][r - 1][y]);
        if (kSecond && r >= kD && r - kD < kRows)
          sums[1][r - kD][y] = multiply_add(w.here[1], q.v[y], sums[1][r - kD][y]);
        if (kSecond && r > kD && r - kD <= kRows)
          sums[1][r - kD - 1][y] = multiply_add(w.next[1], q.v[y], sums[1][r - kD - 1][y]);
      }
    }
  }

  // `rows`: where the thread's part of the window begins.
  static CRYOLITH_DEVICE_CODE void add_input(float (&sums)[2][kRows][kFloats], Shared<float> rows, Shared<float> tap) {
    const auto place = load_shared<TapPlace>(tap);
    const auto w = load_shared<Weights>(tap + kTapFloats / 2);
    rows = rows + place.offset;
    switch (place.second & kCaseBits) {  // the same for all lanes of a warp
      case kMostTogether:
        return accumulate<0, true, true>(sums, rows, w);
      case kMostTogether + 1:
        return accumulate<1, true, true>(sums, rows, w);
      case kMostTogether - 1:
        return accumulate<-1, true, true>(sums, rows, w);
      case kMostTogether + 2:
        return accumulate<2, true, true>(sums, rows, w);
      case kMostTogether - 2:
        return accumulate<-2, true, true>(sums, rows, w);
      case kMostTogether + 3:
        return accumulate<3, true, true>(sums, rows, w);
      case kMostTogether - 3:
        return accumulate<-3, true, true>(sums, rows, w);
      case kMostTogether + 4:
        return accumulate<4, true, true>(sums, rows, w);
      case kMostTogether - 4:
        return accumulate<-4, true, true>(sums, rows, w);
      case kMostTogether + 5:
        return accumulate<5, true, true>(sums, rows, w);
      case kMostTogether - 5:
        return accumulate<-5, true, true>(sums, rows, w);
      case kNothing:
        return;
      default:  // steep tilts and wide steps: each output from a stream of its own
        accumulate<0, true, false>(sums, rows, w);
        accumulate<0, false, true>(sums, rows + (place.second - kApart), w);
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

  // The first stages, with their gates.
  CRYOLITH_DEVICE_CODE void begin(const Place& at, Shared<float> first, int stage_floats) const {
    if constexpr (Shape::kBulk) {
      if (at.thread == 0) {
        CRYOLITH_KEEP_LOOP
        for (int s = 0; s < Shape::kStages; ++s) make_gate(first + s * stage_floats);
      }
      sync_block();
    }
    CRYOLITH_KEEP_LOOP
    for (int s = 0; s < kAhead; ++s)
      fill(at, first + s * stage_floats, s,
           [&] { return load_constant<ShearWindow>(windows + (at.group * (inputs + kAhead) + s)); });
  }

  CRYOLITH_DEVICE_CODE void operator()() const {
    const auto rows = load_constant<ShearGroup>(groups + block_index().x);
    if (static_cast<int>(block_index().y) >= rows.row_tiles) return;
    const Place at = place(rows.first_row);
    const int stage_floats = Shape::stage_floats(window_rows);
    const Shared<float> first = shared_memory<float>();
    begin(at, first, stage_floats);
    float sums[2][kRows][kFloats];
    CRYOLITH_UNROLL
    for (int p = 0; p < 2; ++p) CRYOLITH_UNROLL
    for (int r = 0; r < kRows; ++r) CRYOLITH_UNROLL
    for (int y = 0; y < kFloats; ++y) sums[p][r][y] = 0.0f;

    const int stages_floats = Shape::kStages * stage_floats;
    int stage_at = 0;
    unsigned parity = 0;
    CRYOLITH_KEEP_LOOP
    for (int i = 0; i < inputs; ++i) {
      const Shared<float> stage = first + stage_at;
      if constexpr (Shape::kBulk)
        wait_at_gate(stage, parity);
      else
        wait_for_copies<kAhead - 1>();  // this thread's part of the window has arrived
      sync_block();  // everybody's has, and everybody is done with the window before, which is filled anew now
      fill(at, first + ((stage_at == 0 ? stages_floats : stage_at) - stage_floats), i + kAhead,
           [&] { return load_shared<ShearWindow>(stage + Shape::kWindowAt); });
      add_input(sums, stage + (Shape::kRowsAt + at.along * kRows * kColumns + at.lane * kFloats),
                stage + (Shape::kTapsAt + at.across * kTapFloats));
      stage_at += stage_floats;
      if (stage_at == stages_floats) {
        stage_at = 0;
        parity ^= 1u;
      }
    }
    write(sums, at);
  }
};

// 24 rows of two outputs fill 128 registers without a spill. Blocks are small, so that several share a processor: one
// computes while another begins, ends or waits; and so that few tilts leave few warps without an output.
// design/028-cuda.md has what others reached.
using BackprojectShape = ShearShape<24, 2, 1, 4, 3, 4>;
using ProjectShape = ShearShape<24, 2, 2, 4, 3, 2>;
inline constexpr int kColumns = BackprojectShape::kColumns;
static_assert(kColumns == ProjectShape::kColumns);

}  // namespace cryolith::CRYOLITH_DEVICE
