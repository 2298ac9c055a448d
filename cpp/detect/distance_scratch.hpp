// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// Where the parts of a slab's scratch lie. Shared with files compiled once per instruction set: always inlined.
#include "detect/distance_kernels.hpp"
#include "projection/lanes.hpp"

namespace cryolith::detect {

// Elements from slice to slice of distances along z: one row more than a strip has, as slices a power of two apart
// share one set of a cache.
CRYOLITH_INLINE index_t along_z_pitch(index_t ny) { return (ny + 1) * kStrip; }

// T is uint16_t or float; both take the room of float.
template <class T>
struct SlabScratch {
  static constexpr index_t kMargin = kNear + kStrip;

  std::uint16_t* along_z;                              // (kSlab, ny + 1, kStrip) distances along z
  T* partial;                                          // (kSlab, ny, pitch) squares along z and y
  T* lines;                                            // (ny, kStrip), kNear rows before and behind it
  T *line_ends, *before, *after;                       // (ny, kStrip)
  T *line_least, *line_lowest;                         // (ny / kBlock + 1, kStrip), (ny / kBlock + 1)
  T* row;                                              // (nx), kMargin elements before and behind it
  T *row_ends, *row_before, *row_after, *one, *other;  // (nx)
  T* row_least;
  float* distances;                  // (nx)
  std::uint16_t *up, *down;          // runs: (ny, kStrip) or (nx)
  T *y_squares, *x_squares, *steps;  // of x: about the middle
  index_t pitch, bytes;

  CRYOLITH_INLINE SlabScratch lay(index_t ny, index_t nx, char* base) {
    SlabScratch s;
    const index_t wide = (nx + kStrip - 1) / kStrip * kStrip, longer = ny * kStrip > wide ? ny * kStrip : wide;
    index_t at = 0;
    // Whole cache lines; 4 bytes each, whatever T.
    const auto take = [&](index_t count) __attribute__((always_inline)) {
      char* p = base + at;
      at += (count * 4 + 63) / 64 * 64;
      return p;
    };
    const auto t = [&](index_t count) __attribute__((always_inline)) { return reinterpret_cast<T*>(take(count)); };
    s.pitch = wide + kStrip;  // an odd number of strips, mostly: rows of a power of two would share few sets of a cache
    s.along_z = reinterpret_cast<std::uint16_t*>(take(kSlab * along_z_pitch(ny) / 2));
    s.partial = t(kSlab * ny * s.pitch);
    s.lines = t((ny + 2 * kNear) * kStrip) + kNear * kStrip;
    s.line_ends = t(ny * kStrip);
    s.before = t(ny * kStrip);
    s.after = t(ny * kStrip);
    s.line_least = t((ny / kBlock + 1) * kStrip);
    s.line_lowest = t(ny / kBlock + 1);
    s.row = t(wide + 2 * kMargin) + kMargin;
    s.row_ends = t(wide);
    s.row_before = t(wide);
    s.row_after = t(wide);
    s.one = t(wide);
    s.other = t(wide);
    s.row_least = t(wide / kBlock + 1);
    s.distances = reinterpret_cast<float*>(take(wide));
    s.up = reinterpret_cast<std::uint16_t*>(take(longer));
    s.down = reinterpret_cast<std::uint16_t*>(take(longer));
    s.y_squares = t(ny + kNear + 2);
    s.x_squares = t(2 * (wide + kMargin)) + wide + kMargin;
    s.steps = t(2 * (wide + kMargin)) + wide + kMargin;
    s.bytes = at;
    return s;
  }
};

}  // namespace cryolith::detect
