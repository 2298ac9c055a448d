// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <cstdint>

#include "core/parallel.hpp"

namespace cryolith::detect {

// Columns of the exact sums of one region; coordinates in voxels from the corner of the volume.
enum SumColumn : int {
  kVoxels = 0,
  kSum = 1,        // of z, y, x
  kSquares = 4,    // of zz, yy, xx, zy, zx, yx
  kLow = 10,       // smallest z, y, x
  kHigh = 13,      // largest z, y, x
  kExits = 16,     // voxels whose neighbour in each of kDirections lies outside the region
  kSumColumns = 29
};
enum IntensityColumn : int { kIntensitySum = 0, kIntensitySquares = 1, kMinimum = 2, kMaximum = 3, kIntensityColumns = 4 };

inline constexpr int kDirections = 13;
// (dz, dy, dx): one of each pair of opposite neighbours, in the order of the kExits columns.
inline constexpr int kDirection[kDirections][3] = {{0, 0, 1},  {0, 1, -1}, {0, 1, 0},  {0, 1, 1},  {1, -1, -1},
                                                   {1, -1, 0}, {1, -1, 1}, {1, 0, -1}, {1, 0, 0},  {1, 0, 1},
                                                   {1, 1, -1}, {1, 1, 0},  {1, 1, 1}};

// Sums over the voxels of each region in one pass. `labels` (nz, ny, nx) holds 0 for background and 1..n; row i of
// `sums` (n, kSumColumns) belongs to label i + 1 and stays zero, with kLow at its largest, where no voxel has it.
// `intensity` (nz, ny, nx) may be empty (data null); then `intensities` (n, kIntensityColumns) is not touched. Sums of
// intensity are of (value - centre) and its square, in double precision, the same for any number of threads.
// O(voxels) + O(regions); scratch of 4 bytes a region and thread, 270 bytes a region and chunk it appears in.
void region_sums(const Cpu& cpu, View3<const std::int32_t> labels, View3<const float> intensity, double centre,
                 View2<std::int64_t> sums, View2<double> intensities);

}  // namespace cryolith::detect
