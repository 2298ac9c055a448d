// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// Images <-> strips <-> stretched rows (strips.hpp), for tilts whose axis lies along or near an image axis. Strips are
// [tilt][block of y][pixel][kColumns], stretched rows [block of y][row][kColumns].
#include "core/kernel.hpp"
#include "projection/taps.kernel.hpp"

namespace cryolith {

// One tilt, from the first volume row of a launch on.
struct DeviceTilt {
  SampleLine along, across;   // StripGrid's, of volume row 0
  double per_step, per_lane;  // 1 / along.step, 1 / across.lane
  std::int32_t down, pixels;  // pixels of a strip: the image's height or width
  std::int32_t first_row, rows;
};

}  // namespace cryolith

namespace cryolith::CRYOLITH_DEVICE {

struct StripShape {
  const DeviceTilt* tilts;
  const float* table;
  int height, width, ny, pixels;  // pixels: of the longest strip
  index_t row_count;              // stretched rows of one block of y
};

CRYOLITH_DEVICE_CODE float tap_weight(const float* table, TapPlace place, int tap) {
  const float low = load_constant<float>(table + place.phase * kTaps + tap);
  const float high = load_constant<float>(table + (place.phase + 1) * kTaps + tap);
  return low + place.between * (high - low);
}

// Sum of the values at all taps of a position, those of [0, count) among `from` + k stride. Everything is asked for
// before anything is waited for.
CRYOLITH_DEVICE_CODE float sum_taps(const float* table, TapPlace place, const float* from, int stride, int count) {
  struct alignas(16) Four {
    float v[4];
  };
  static_assert(kTaps == 8);
  const float* row = table + place.phase * kTaps;
  Four low[2], high[2];
  float values[kTaps];
  const int first = static_cast<int>(place.first);
  CRYOLITH_UNROLL
  for (int k = 0; k < kTaps; ++k) {
    const bool inside = static_cast<unsigned>(first + k) < static_cast<unsigned>(count);
    values[k] = inside ? load<float>(from + index_t{first + k} * stride) : 0.0f;
  }
  CRYOLITH_UNROLL
  for (int n = 0; n < 2; ++n) {
    low[n] = load_constant<Four>(row + 4 * n);
    high[n] = load_constant<Four>(row + kTaps + 4 * n);
  }
  float sum = 0.0f;
  CRYOLITH_UNROLL
  for (int k = 0; k < kTaps; ++k) {
    const float a = low[k / 4].v[k % 4], b = high[k / 4].v[k % 4];
    sum = multiply_add(a + place.between * (b - a), values[k], sum);
  }
  return sum;
}

// The transpose: what pixel j gets of the steps i of [0, count) at start + i step, those that have a tap there;
// value(i) points to that of step i. per_step: 1 / step. Four at a time; which have a tap is seen when their place is
// known, so that where they begin and how many there are need only be roughly right.
template <class Value>
CRYOLITH_DEVICE_CODE float sum_steps(const float* table, index_t start, index_t step, double per_step, int j, int count,
                                     const Value& value) {
  constexpr int kAtOnce = 4;
  constexpr double kOnePixel = static_cast<double>(index_t{1} << kPositionBits);
  const index_t edge = index_t{j + (step > 0 ? -kTaps / 2 : kTaps / 2)} << kPositionBits;
  const int near = static_cast<int>(static_cast<double>(edge - start) * per_step) - 1;
  const int most = static_cast<int>(kTaps * kOnePixel * (step > 0 ? per_step : -per_step)) + 4;
  const int begin = near > 0 ? near : 0, end = near + most < count ? near + most : count;
  index_t position = start + begin * step;
  float sum = 0.0f;
  CRYOLITH_KEEP_LOOP
  for (int i = begin; i < end; i += kAtOnce) {
    float values[kAtOnce], weights[kAtOnce];
    CRYOLITH_UNROLL
    for (int k = 0; k < kAtOnce; ++k) {
      const TapPlace place = tap_place(position);
      const int tap = j - static_cast<int>(place.first);
      const bool some = static_cast<unsigned>(tap) < static_cast<unsigned>(kTaps) && i + k < count;
      values[k] = some ? load<float>(value(i + k)) : 0.0f;
      weights[k] = some ? tap_weight(table, place, tap) : 0.0f;
      position += step;
    }
    CRYOLITH_UNROLL
    for (int k = 0; k < kAtOnce; ++k) sum = multiply_add(weights[k], values[k], sum);
  }
  return sum;
}
CRYOLITH_DEVICE_CODE DeviceTilt tilt_of(const StripShape& s, int t) {
  // Piece by piece: no load takes it whole.
  const DeviceTilt* tilt = s.tilts + t;
  const auto line = [](const SampleLine& from) {
    return SampleLine{load_constant<index_t>(&from.start), load_constant<index_t>(&from.step),
                      load_constant<index_t>(&from.lane)};
  };
  return {line(tilt->along),
          line(tilt->across),
          load_constant<double>(&tilt->per_step),
          load_constant<double>(&tilt->per_lane),
          load_constant<std::int32_t>(&tilt->down),
          load_constant<std::int32_t>(&tilt->pixels),
          load_constant<std::int32_t>(&tilt->first_row),
          load_constant<std::int32_t>(&tilt->rows)};
}
CRYOLITH_DEVICE_CODE index_t pixel_of(const StripShape& s, int tilt, bool down, index_t line, index_t j) {
  return (index_t{tilt} * s.height + (down ? j : line)) * s.width + (down ? line : j);
}

// Tiles of kTile pixels and kTile volume rows pass through shared memory, so that whichever of them lies along the
// image's rows is read, or written, side by side.
inline constexpr int kTile = 32, kPitch = kTile + 1;

// grid: tiles of pixels; tiles of volume rows; tilts.
template <int kColumns>
struct LoadStrips {
  static constexpr int kThreads = 256, kBlocks = 4;
  StripShape shape;
  const float* images;
  float* strips;

  CRYOLITH_DEVICE_CODE float sample(const DeviceTilt& tilt, int t, int j, int y) const {
    if (j >= tilt.pixels || y >= shape.ny) return 0.0f;
    const bool down = tilt.down != 0;
    const TapPlace place = tap_place(tilt.across.start + j * tilt.across.step + y * tilt.across.lane);
    return sum_taps(shape.table, place, images + pixel_of(shape, t, down, 0, j), down ? 1 : shape.width,
                    down ? shape.width : shape.height);
  }

  CRYOLITH_DEVICE_CODE void operator()() const {
    const auto tile = shared_memory<float>();
    const int t = static_cast<int>(block_index().z), j0 = static_cast<int>(block_index().x) * kTile;
    const int y0 = static_cast<int>(block_index().y) * kTile, thread = static_cast<int>(thread_index().x);
    const DeviceTilt tilt = tilt_of(shape, t);
    for (int e = thread; e < kTile * kTile; e += kThreads) {
      const int fast = e % kTile, slow = e / kTile, j = tilt.down != 0 ? slow : fast, y = tilt.down != 0 ? fast : slow;
      store_shared<float>(tile + (y * kPitch + j), sample(tilt, t, j0 + j, y0 + y));
    }
    sync_block();
    const index_t blocks = (shape.ny + kColumns - 1) / kColumns, block = index_t{t} * blocks + y0 / kColumns;
    for (int e = thread; e < kTile * kTile; e += kThreads) {
      const int y = e % kTile, j = e / kTile;
      if (j0 + j < shape.pixels)
        store<float>(strips + (block * shape.pixels + j0 + j) * kColumns + y0 % kColumns + y,
                     load_shared<float>(tile + (y * kPitch + j)));
    }
  }
};

// The transpose of LoadStrips: adds to the images. grid: tiles of pixels; tiles of image lines; tilts.
template <int kColumns>
struct SpreadStrips {
  static constexpr int kThreads = 256, kBlocks = 4;
  StripShape shape;
  const float* strips;
  float* images;

  CRYOLITH_DEVICE_CODE float collect(const DeviceTilt& tilt, int t, int j, int line) const {
    const int blocks = (shape.ny + kColumns - 1) / kColumns;
    const float* pixel = strips + (index_t{t} * blocks * shape.pixels + j) * kColumns;
    return sum_steps(shape.table, tilt.across.start + j * tilt.across.step, tilt.across.lane, tilt.per_lane, line,
                     shape.ny,
                     [&](int y) { return pixel + (index_t{y / kColumns} * shape.pixels * kColumns + y % kColumns); });
  }

  CRYOLITH_DEVICE_CODE void operator()() const {
    const int t = static_cast<int>(block_index().z), j0 = static_cast<int>(block_index().x) * kTile;
    const int l0 = static_cast<int>(block_index().y) * kTile, thread = static_cast<int>(thread_index().x);
    const DeviceTilt tilt = tilt_of(shape, t);
    const bool down = tilt.down != 0;
    const int lines = down ? shape.width : shape.height;
    for (int e = thread; e < kTile * kTile; e += kThreads) {
      const int fast = e % kTile, slow = e / kTile, j = j0 + (down ? slow : fast), line = l0 + (down ? fast : slow);
      if (j >= tilt.pixels || line >= lines) continue;
      float* to = images + pixel_of(shape, t, down, line, j);
      store<float>(to, load<float>(to) + collect(tilt, t, j, line));
    }
  }
};

// grid: tiles of stretched rows; tilts; blocks of y. A warp has one row, its lanes neighbouring y.
template <int kColumns>
struct StretchRows {
  static constexpr int kThreads = 256, kBlocks = 4, kRowsAtOnce = kThreads / kColumns;
  StripShape shape;
  const float* strips;
  float* rows;

  CRYOLITH_DEVICE_CODE void operator()() const {
    const int t = static_cast<int>(block_index().y), block = static_cast<int>(block_index().z);
    const int thread = static_cast<int>(thread_index().x), y = thread % kColumns;
    const DeviceTilt tilt = tilt_of(shape, t);
    const index_t blocks = (shape.ny + kColumns - 1) / kColumns;
    const float* strip = strips + (index_t{t} * blocks + block) * shape.pixels * kColumns + y;
    for (int r = thread / kColumns; r < kTile; r += kRowsAtOnce) {
      const int i = static_cast<int>(block_index().x) * kTile + r;
      if (i >= tilt.rows) return;
      const index_t column = index_t{block} * kColumns + y;
      const TapPlace place = tap_place(tilt.along.start + i * tilt.along.step + column * tilt.along.lane);
      store<float>(rows + (block * shape.row_count + tilt.first_row + i) * kColumns + y,
                   sum_taps(shape.table, place, strip, kColumns, tilt.pixels));
    }
  }
};

// The transpose of StretchRows: sets the strips. grid: tiles of pixels; tilts; blocks of y.
template <int kColumns>
struct CollectRows {
  static constexpr int kThreads = 256, kBlocks = 4, kPixelsAtOnce = kThreads / kColumns;
  StripShape shape;
  const float* rows;
  float* strips;

  CRYOLITH_DEVICE_CODE void operator()() const {
    const int t = static_cast<int>(block_index().y), block = static_cast<int>(block_index().z);
    const int thread = static_cast<int>(thread_index().x), y = thread % kColumns;
    const DeviceTilt tilt = tilt_of(shape, t);
    const index_t blocks = (shape.ny + kColumns - 1) / kColumns, column = index_t{block} * kColumns + y;
    const index_t start = tilt.along.start + column * tilt.along.lane;
    const float* row = rows + (block * shape.row_count + tilt.first_row) * kColumns + y;
    for (int p = thread / kColumns; p < kTile; p += kPixelsAtOnce) {
      const int j = static_cast<int>(block_index().x) * kTile + p;
      if (j >= shape.pixels) return;
      const float sum = j < tilt.pixels ? sum_steps(
                                              shape.table, start, tilt.along.step, tilt.per_step, j, tilt.rows,
                                              [&](int i) { return row + index_t{i} * kColumns; })
                                        : 0.0f;
      store<float>(strips + ((index_t{t} * blocks + block) * shape.pixels + j) * kColumns + y, sum);
    }
  }
};

// How a volume lies in lines: [block of y][plane][row][kColumns], rows along x, or along z for steep tilts.
struct LineLayout {
  int nz, ny, nx;
  CRYOLITH_DEVICE_CODE index_t along_x(index_t block, int z, int x) const { return (block * nz + z) * nx + x; }
  CRYOLITH_DEVICE_CODE index_t along_z(index_t block, int z, int x) const { return (block * nx + x) * nz + z; }
};

// A volume (nz, ny, nx) <-> its lines, through tiles of kTile x and kTile y. grid: tiles of x; tiles of y; z.
template <int kColumns>
struct PackVolume {
  static constexpr int kThreads = 256, kBlocks = 4;
  LineLayout layout;
  const float* volume;
  float *lines_x, *lines_z;  // either may be null

  CRYOLITH_DEVICE_CODE void operator()() const {
    const auto tile = shared_memory<float>();
    const int x0 = static_cast<int>(block_index().x) * kTile, y0 = static_cast<int>(block_index().y) * kTile;
    const int z = static_cast<int>(block_index().z), thread = static_cast<int>(thread_index().x);
    for (int e = thread; e < kTile * kTile; e += kThreads) {
      const int x = x0 + e % kTile, y = y0 + e / kTile;
      const bool inside = x < layout.nx && y < layout.ny;
      const float v = inside ? load<float>(volume + (index_t{z} * layout.ny + y) * layout.nx + x) : 0.0f;
      store_shared<float>(tile + (e / kTile * kPitch + e % kTile), v);
    }
    sync_block();
    for (int e = thread; e < kTile * kTile; e += kThreads) {
      const int y = e % kTile, x = x0 + e / kTile, column = y0 % kColumns + y;
      if (x >= layout.nx) return;
      const float v = load_shared<float>(tile + (y * kPitch + e / kTile));
      if (lines_x != nullptr) store<float>(lines_x + layout.along_x(y0 / kColumns, z, x) * kColumns + column, v);
      if (lines_z != nullptr) store<float>(lines_z + layout.along_z(y0 / kColumns, z, x) * kColumns + column, v);
    }
  }
};

template <int kColumns>
struct UnpackVolume {
  static constexpr int kThreads = 256, kBlocks = 4;
  LineLayout layout;
  const float *lines_x, *lines_z;  // their sum; either may be null
  float* volume;

  CRYOLITH_DEVICE_CODE void operator()() const {
    const auto tile = shared_memory<float>();
    const int x0 = static_cast<int>(block_index().x) * kTile, y0 = static_cast<int>(block_index().y) * kTile;
    const int z = static_cast<int>(block_index().z), thread = static_cast<int>(thread_index().x);
    for (int e = thread; e < kTile * kTile; e += kThreads) {
      const int y = e % kTile, x = x0 + e / kTile, column = y0 % kColumns + y;
      float v = 0.0f;
      if (x < layout.nx && lines_x != nullptr)
        v = load<float>(lines_x + layout.along_x(y0 / kColumns, z, x) * kColumns + column);
      if (x < layout.nx && lines_z != nullptr)
        v += load<float>(lines_z + layout.along_z(y0 / kColumns, z, x) * kColumns + column);
      store_shared<float>(tile + (y * kPitch + e / kTile), v);
    }
    sync_block();
    for (int e = thread; e < kTile * kTile; e += kThreads) {
      const int x = x0 + e % kTile, y = y0 + e / kTile;
      if (x < layout.nx && y < layout.ny)
        store<float>(volume + (index_t{z} * layout.ny + y) * layout.nx + x,
                     load_shared<float>(tile + (e / kTile * kPitch + e % kTile)));
    }
  }
};

}  // namespace cryolith::CRYOLITH_DEVICE
