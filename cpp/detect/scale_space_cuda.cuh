// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// Kernels of scale space. Peaks are marked by bits and their surroundings copied: few voxels are peaks, and what is
// fitted to them is the host's. No atomics: one warp has a row.
#include "core/kernel.hpp"
#include "detect/maxima.kernel.hpp"

namespace cryolith::CRYOLITH_DEVICE {

// A half spectrum times factors of each axis. Grid (x, y, z).
struct ScaleSpectrum {
  static constexpr int kThreads = 128, kBlocks = 8;
  const float* base;  // complex, rows of `terms`
  const float *along_z, *along_y, *along_x;
  float* out;
  int terms, ny;

  CRYOLITH_DEVICE_CODE void operator()() const {
    const auto x = static_cast<int>(block_index().x * kThreads + thread_index().x);
    if (x >= terms) return;
    const auto y = static_cast<int>(block_index().y), z = static_cast<int>(block_index().z);
    const float factor = GlobalMemory::read(along_z + z) * GlobalMemory::read(along_y + y) * GlobalMemory::read(along_x + x);
    const index_t at = 2 * ((index_t{z} * ny + y) * terms + x);
    GlobalMemory::write(out + at, factor * GlobalMemory::read(base + at));
    GlobalMemory::write(out + at + 1, factor * GlobalMemory::read(base + at + 1));
  }
};

// Rows whose voxels may be peaks: those at least `margin` from every face.
struct InnerRows {
  int ny, nx, margin, rows;  // rows: of all inner planes
  CRYOLITH_HD int across() const { return nx - 2 * margin; }
  CRYOLITH_HD index_t first_voxel(int row) const {
    const int inner = ny - 2 * margin, z = row / inner, y = row - z * inner;
    return (index_t{z + margin} * ny + y + margin) * nx + margin;
  }
};

// One warp for each inner row: a bit for each voxel, and how many of them lie within `low` of 0.
struct MarkPeaks {
  static constexpr int kThreads = 256, kBlocks = 4, kRows = kThreads / kWarp;
  detect::ScaleCells cells;
  InnerRows inner;
  int words;      // of 32 voxels, in a row
  int high, low;  // bits of magnitudes
  unsigned* marks;
  int* counts;

  CRYOLITH_DEVICE_CODE void operator()() const {
    const auto lane = static_cast<int>(thread_index().x) % kWarp;
    const auto row = static_cast<int>(block_index().x) * kRows + static_cast<int>(thread_index().x) / kWarp;
    if (row >= inner.rows) return;
    const index_t first = inner.first_voxel(row);
    int within = 0;
    for (int word = 0; word < words; ++word) {
      const int x = word * kWarp + lane;
      bool peak = false;
      if (x < inner.across()) {
        const int bits = load<int>(cells.here + first + x), magnitude = bits & 0x7fffffff;
        within += magnitude < low ? 1 : 0;
        peak = magnitude > high && cells.dominates<GlobalMemory>(first + x, bits < 0 ? -1.0f : 1.0f);
      }
      const unsigned mark = ballot(peak);
      if (lane == 0) GlobalMemory::write(marks + index_t{row} * words + word, mark);
    }
    for (int lanes = kWarp / 2; lanes > 0; lanes /= 2) within += shuffle_down(within, lanes);
    if (lane == 0) GlobalMemory::write(counts + row, within);
  }
};

// The 3^3 neighbours of marked voxels at each scale that there is.
struct CopyCells {
  static constexpr int kThreads = 96, kBlocks = 8;
  detect::ScaleCells cells;
  const index_t* places;
  float* out;  // (peaks, 3, kCells)

  CRYOLITH_DEVICE_CODE void operator()() const {
    const auto thread = static_cast<int>(thread_index().x), cell_count = static_cast<int>(detect::kCells);
    const int scale = thread / cell_count, cell = thread % cell_count;
    const float* field = scale == 0 ? cells.below : scale == 1 ? cells.here : cells.above;
    if (scale > 2 || field == nullptr) return;
    const auto peak = static_cast<index_t>(block_index().x);
    const index_t at = GlobalMemory::read(places + peak) + (cell / 9 - 1) * cells.plane + (cell / 3 % 3 - 1) * cells.row +
                       (cell % 3 - 1);
    GlobalMemory::write(out + peak * 3 * detect::kCells + thread, GlobalMemory::read(field + at));
  }
};

}  // namespace cryolith::CRYOLITH_DEVICE
