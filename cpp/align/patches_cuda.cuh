// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// Kernels of registration between pixels and spectra: images seen and binned, windows put on them, maxima of a
// correlation found.
#include "align/correlation_cuda.cuh"

namespace cryolith::CRYOLITH_DEVICE {

// Means of binning x binning pixels, and what an image is: a bit where a pixel is not finite, one where it is no count.
// A thread has a bin. Grid (columns, rows), those at the end in part.
struct SeeImage {
  static constexpr int kThreads = 256, kBlocks = 4, kNotFinite = 1, kNoCount = 2;
  const float* image;
  int ny, nx, binning;
  float* small;     // (ny / binning, nx / binning), or null
  unsigned* facts;  // of each warp

  CRYOLITH_DEVICE_CODE void operator()() const {
    const auto thread = static_cast<int>(thread_index().x);
    const int x = static_cast<int>(block_index().x) * kThreads + thread, columns = nx / binning;
    const auto y = static_cast<int>(block_index().y);
    bool finite = true, counts = true;
    float sum = 0;
    for (int j = y * binning; j < lesser((y + 1) * binning, ny); ++j) {
      float of_row = 0;
      for (int i = x * binning; i < lesser((x + 1) * binning, nx); ++i) {
        const float v = GlobalMemory::read(image + index_t{j} * nx + i);
        finite = finite && is_finite(v), counts = counts && is_count(v);
        of_row += v;
      }
      sum += of_row;
    }
    if (small != nullptr && x < columns && y < ny / binning)
      GlobalMemory::write(small + index_t{y} * columns + x, sum * (1.0f / static_cast<float>(binning * binning)));
    const unsigned not_finite = ballot(!finite), no_count = ballot(!counts);
    const unsigned found = (not_finite != 0 ? kNotFinite : 0) | (no_count != 0 ? kNoCount : 0);
    if (thread % kWarp == 0) GlobalMemory::write(facts + warp_number(thread), found);
  }
  CRYOLITH_DEVICE_CODE index_t warp_number(int thread) const {
    const int blocks = (nx + binning * kThreads - 1) / (binning * kThreads);
    return (index_t{block_index().y} * blocks + block_index().x) * (kThreads / kWarp) + thread / kWarp;
  }
};

// A rectangle of an image under its window.
struct PatchPixels {
  const float* pixels;            // its first
  int row, ny, nx;                // row: from row to row
  const float *wy, *wx, *weight;  // weight (ny, nx) or null
  bool counts;

  CRYOLITH_DEVICE_CODE float value(int y, int x) const {
    const float v = GlobalMemory::read(pixels + index_t{y} * row + x);
    return counts ? square_root(v + 1.0f) : v;
  }
  CRYOLITH_DEVICE_CODE float along(int y, int x) const {
    const float w = GlobalMemory::read(wx + x);
    return weight == nullptr ? w : w * GlobalMemory::read(weight + index_t{y} * nx + x);
  }
};

// Sums of the pixels of every so-manieth row, under the window along it. A block has a row.
struct SumPatchRows {
  static constexpr int kThreads = kSumThreads, kBlocks = 8;
  PatchPixels patch;
  int apart;
  double* out;

  CRYOLITH_DEVICE_CODE void operator()() const {
    const int y = static_cast<int>(block_index().x) * apart;
    float sum = 0;
    for (int x = static_cast<int>(thread_index().x); x < patch.nx; x += kThreads)
      sum += patch.along(y, x) * patch.value(y, x);
    const double mine[1] = {static_cast<double>(sum)};
    add_up<kSumWarps>(mine, out + block_index().x);
  }
};

// The patch under its window in the corner of an array that is 0 elsewhere. Grid (px, py).
struct WindowPatch {
  static constexpr int kThreads = 128, kBlocks = 8;
  PatchPixels patch;
  float mean;
  int px;
  float* out;

  CRYOLITH_DEVICE_CODE void operator()() const {
    const auto x = static_cast<int>(block_index().x) * kThreads + static_cast<int>(thread_index().x);
    const auto y = static_cast<int>(block_index().y);
    if (x >= px) return;
    float v = 0;
    if (x < patch.nx && y < patch.ny)
      v = windowed(patch.value(y, x), patch.along(y, x), GlobalMemory::read(patch.wy + y), mean);
    GlobalMemory::write(out + index_t{y} * px + x, v);
  }
};

// Squares of the first nx numbers of each row. A block has a row.
struct SquareRows {
  static constexpr int kThreads = kSumThreads, kBlocks = 8;
  const float* in;
  int row, nx;
  double* out;

  CRYOLITH_DEVICE_CODE void operator()() const {
    float sum = 0;
    for (int x = static_cast<int>(thread_index().x); x < nx; x += kThreads) {
      const float v = GlobalMemory::read(in + index_t{block_index().x} * row + x);
      sum += v * v;
    }
    const double mine[1] = {static_cast<double>(sum)};
    add_up<kSumWarps>(mine, out + block_index().x);
  }
};

// The map of a correlation, shifts below 0 at its end, and how far shifts are looked for.
struct ShiftMap {
  const float* map;
  int py, px, reach_y, reach_x;
  CRYOLITH_HD int rows() const { return 2 * reach_y + 1; }
  CRYOLITH_HD int columns() const { return 2 * reach_x + 1; }
  CRYOLITH_HD const float* at(int y, int x) const {
    return map + (index_t{y < 0 ? y + py : y} * px + (x < 0 ? x + px : x));
  }
};
template <class Memory>
struct AroundShift {
  const ShiftMap& map;
  int y, x;
  CRYOLITH_HD float operator()(int j, int i) const { return Memory::read(map.at(y + j, x + i)); }
};

// The largest value of each row, at least 0. A warp has a row.
struct LargestOfRows {
  static constexpr int kThreads = 128, kBlocks = 8, kRows = kThreads / kWarp;
  ShiftMap map;
  float* out;

  CRYOLITH_DEVICE_CODE void operator()() const {
    const auto thread = static_cast<int>(thread_index().x), lane = thread % kWarp;
    const int row = static_cast<int>(block_index().x) * kRows + thread / kWarp;
    if (row >= map.rows()) return;
    float top = 0;
    for (int x = lane; x < map.columns(); x += kWarp)
      top = larger(top, GlobalMemory::read(map.at(row - map.reach_y, x - map.reach_x)));
    for (int lanes = kWarp / 2; lanes > 0; lanes /= 2) top = larger(top, shuffle_xor(top, lanes));
    if (lane == 0) GlobalMemory::write(out + row, top);
  }
};

// A bit for each shift that is a maximum above `least`, or the highest of all. A warp has a row.
struct MarkTops {
  static constexpr int kThreads = 128, kBlocks = 8, kRows = kThreads / kWarp;
  ShiftMap map;
  float least, best;
  int words;  // of 32 shifts, in a row
  unsigned* marks;

  CRYOLITH_DEVICE_CODE void operator()() const {
    const auto thread = static_cast<int>(thread_index().x), lane = thread % kWarp;
    const int row = static_cast<int>(block_index().x) * kRows + thread / kWarp;
    if (row >= map.rows()) return;
    for (int word = 0; word < words; ++word) {
      const int x = word * kWarp + lane;
      const AroundShift<GlobalMemory> around{map, row - map.reach_y, x - map.reach_x};
      bool mark = false;
      if (x < map.columns()) {
        const float here = around(0, 0);
        mark = here > least && (here == best || is_top(around));
      }
      const unsigned found = ballot(mark);
      if (lane == 0) GlobalMemory::write(marks + index_t{row} * words + word, found);
    }
  }
};

// What the map shows at marked shifts and around. Grid over 9 values each.
struct CopyTops {
  static constexpr int kThreads = 128, kBlocks = 8, kCells = 9;
  ShiftMap map;
  const int* places;  // (count, 2): y, x
  int count;
  float* out;  // (count, kCells)

  CRYOLITH_DEVICE_CODE void operator()() const {
    const auto i = static_cast<int>(block_index().x) * kThreads + static_cast<int>(thread_index().x);
    const int place = i / kCells, cell = i % kCells;
    if (place >= count) return;
    const int y = GlobalMemory::read(places + 2 * place), x = GlobalMemory::read(places + 2 * place + 1);
    GlobalMemory::write(out + i, GlobalMemory::read(map.at(y + cell / 3 - 1, x + cell % 3 - 1)));
  }
};

}  // namespace cryolith::CRYOLITH_DEVICE
