// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// What is summed over the voxels of a region, in groups that are kept only where they are asked for. Plain records:
// also for files compiled once per instruction set. Those of a chunk of slices hold counts below 2^32.
#include <cstdint>

#include "detect/bits.hpp"

namespace cryolith::detect {

inline constexpr int kDirections = 13;
// Constants without linkage (not inline): a shared symbol would tie files of different instruction sets together.
// (dz, dy, dx): one of each pair of opposite neighbours, in the order of Exits::count. Those of one (dz, dy) follow
// each other: kDirection[0], then three for each of kRowSteps.
constexpr int kDirection[kDirections][3] = {{0, 0, 1},  {0, 1, -1}, {0, 1, 0},  {0, 1, 1}, {1, -1, -1},
                                            {1, -1, 0}, {1, -1, 1}, {1, 0, -1}, {1, 0, 0}, {1, 0, 1},
                                            {1, 1, -1}, {1, 1, 0},  {1, 1, 1}};
constexpr int kRowSteps[4][2] = {{0, 1}, {1, -1}, {1, 0}, {1, 1}};

// How many voxels, and the smallest and largest z, y, x.
struct Extent {
  std::uint32_t voxels = 0;
  std::int32_t low[3] = {INT32_MAX, INT32_MAX, INT32_MAX}, high[3] = {-1, -1, -1};
};
// Sums of z, y, x and of zz, yy, xx, zy, zx, yx: exact.
struct Moments {
  std::int64_t sum[3] = {}, squares[6] = {};
};
// Voxels whose neighbour in each of kDirection is not of the region; faces on the border of the volume across z, y, x.
struct Exits {
  std::uint32_t count[kDirections] = {}, border[3] = {};
};
// Sums of value - centre and its square; the centre is the first value met.
struct Intensity {
  double centre = 0, sum = 0, squares = 0;
  float low = __builtin_inff(), high = -__builtin_inff();
};

// Tables of the regions of one chunk; null where not asked for.
struct RegionSums {
  Extent* extent = nullptr;
  Moments* moments = nullptr;
  Exits* exits = nullptr;
  std::int32_t* euler = nullptr;
  Intensity* intensity = nullptr;
};

}  // namespace cryolith::detect
