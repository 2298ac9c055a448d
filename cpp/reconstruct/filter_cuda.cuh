// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// Stretched rows [block of y][row][kColumns] of one tilt <-> lines [column of y][sample], which a Fourier transform
// takes, and the product with the filter's spectrum. Tiles of both pass through shared memory: either lies side by
// side along its own last axis.
#include "core/kernel.hpp"
#include "projection/sampling.hpp"
#include "reconstruct/device_filter.hpp"

namespace cryolith::CRYOLITH_DEVICE {

struct FilterLines {
  static constexpr int kTile = 32, kPitch = kTile + 1, kSharedBytes = kTile * kPitch * 4;
  const SampleRange* ranges;  // of every 2 kLanes columns
  float* rows;                // the tilt's first, of the first block
  float* lines;
  index_t row_count;  // of one block, all tilts
  int count, length;  // rows of the tilt; samples of a line

  CRYOLITH_DEVICE_CODE SampleRange range(int column) const {
    return load_constant<SampleRange>(ranges + column / static_cast<int>(2 * kLanes));
  }
};

// Sets the lines: zeros after the samples. grid: tiles of samples; tiles of columns.
template <int kColumns>
struct GatherLines {
  static constexpr int kThreads = 256, kBlocks = 4, kTile = FilterLines::kTile;
  FilterLines at;

  CRYOLITH_DEVICE_CODE void operator()() const {
    const auto tile = shared_memory<float>();
    const int p0 = static_cast<int>(block_index().x) * kTile, y0 = static_cast<int>(block_index().y) * kTile;
    const int thread = static_cast<int>(thread_index().x);
    const float* block = at.rows + y0 / kColumns * at.row_count * kColumns + y0 % kColumns;
    for (int e = thread; e < kTile * kTile; e += kThreads) {
      const int y = e % kTile, p = e / kTile;
      const SampleRange range = at.range(y0 + y);
      const index_t row = range.begin + p0 + p;
      store_shared<float>(tile + (y * FilterLines::kPitch + p),
                          row < range.end ? load<float>(block + row * kColumns + y) : 0.0f);
    }
    sync_block();
    for (int e = thread; e < kTile * kTile; e += kThreads) {
      const int p = e % kTile, y = e / kTile;
      if (p0 + p < at.length)
        store<float>(at.lines + index_t{y0 + y} * at.length + p0 + p,
                     load_shared<float>(tile + (y * FilterLines::kPitch + p)));
    }
  }
};

// Sets the rows: zeros beside the samples. grid: tiles of rows; tiles of columns.
template <int kColumns>
struct PutLines {
  static constexpr int kThreads = 256, kBlocks = 4, kTile = FilterLines::kTile;
  FilterLines at;

  CRYOLITH_DEVICE_CODE void operator()() const {
    const auto tile = shared_memory<float>();
    const int i0 = static_cast<int>(block_index().x) * kTile, y0 = static_cast<int>(block_index().y) * kTile;
    const int thread = static_cast<int>(thread_index().x);
    for (int e = thread; e < kTile * kTile; e += kThreads) {
      const int i = e % kTile, y = e / kTile;
      const SampleRange range = at.range(y0 + y);
      const bool inside = i0 + i >= range.begin && i0 + i < range.end;
      const float* line = at.lines + index_t{y0 + y} * at.length;
      store_shared<float>(tile + (y * FilterLines::kPitch + i),
                          inside ? load<float>(line + (i0 + i - range.begin)) : 0.0f);
    }
    sync_block();
    float* block = at.rows + y0 / kColumns * at.row_count * kColumns + y0 % kColumns;
    for (int e = thread; e < kTile * kTile; e += kThreads) {
      const int y = e % kTile, i = e / kTile;
      if (i0 + i < at.count)
        store<float>(block + index_t{i0 + i} * kColumns + y, load_shared<float>(tile + (y * FilterLines::kPitch + i)));
    }
  }
};

// Multiplies spectra [column][frequency] with gains [frequency]. grid: columns; parts of frequencies.
struct MultiplyGains {
  static constexpr int kThreads = 256, kBlocks = 4;
  struct alignas(8) Complex {
    float real, imaginary;
  };
  float* spectra;
  const float* gains;
  int frequencies;

  CRYOLITH_DEVICE_CODE void operator()() const {
    const int k = static_cast<int>(block_index().y) * kThreads + static_cast<int>(thread_index().x);
    if (k >= frequencies) return;
    float* at = spectra + 2 * (index_t{block_index().x} * frequencies + k);
    const float gain = load_constant<float>(gains + k);
    const Complex v = load<Complex>(at);
    store<Complex>(at, {gain * v.real, gain * v.imaginary});
  }
};

}  // namespace cryolith::CRYOLITH_DEVICE
