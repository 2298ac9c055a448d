// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// The loops of distance.cpp, compiled once per instruction set: no containers here.
#include <cstdint>

#include "core/dispatch.hpp"
#include "core/view.hpp"
#include "detect/distance.kernel.hpp"

namespace cryolith::detect {

// Slices that one block of the transform takes along z. What is kept of a volume is a few numbers per column of a slab.
inline constexpr index_t kSlab = 16;
// Columns that are taken together along z and y.
inline constexpr index_t kStrip = 32;
// Steps that a search takes before it asks whole blocks of kBlock positions whether they can hold anything nearer. At
// least kStrip - 1, so that blocks that overlap the lanes at hand are done by then.
inline constexpr index_t kNear = 32, kBlock = 16;

// How far the nearest change of a column's value lies from the ends of a slab. Planes of ny nx elements.
struct SlabEnds {
  const std::uint16_t* before;  // of the slice above the slab: distance up to the nearest voxel that differs from it
  const std::uint16_t* after;   // of the slice below: distance down
  const void* last;             // values of these slices; the slab's own at the ends of the volume
  const void* first;
};

struct DistancePlan {
  index_t ny, nx;
  Kind kind;
  bool border;             // what lies outside of the volume is another label than 0, or background
  bool negate;             // distances of zeros get a minus sign
  float unit;              // length of the unit of the squares
  float square[3];         // squared edges of a voxel in squared units: z, y, x
  std::uint16_t whole[3];  // the same as integers; 0: they are none
};

#define CRYOLITH_DECLARE_DISTANCE(ns)                                                                                \
  namespace ns {                                                                                                     \
  /* For each of n columns of `depth` slices, `plane` elements apart: how many voxels at its lower and its upper end \
   */                                                                                                                \
  /* are alike (mask: are not zero); none for a zero, unless kind is all_labels. */                                  \
  void slab_runs(detect::Kind kind, int bytes, const void* values, index_t plane, index_t n, index_t depth,          \
                 std::uint8_t* upper, std::uint8_t* lower);                                                          \
  /* Distances of the `depth` slices at `values` to `out`. squares16 says whether to try 16-bit squares; returns */  \
  /* whether they would do for a slab like this one. */                                                              \
  bool finish_slab(const detect::DistancePlan& plan, int bytes, const void* values, index_t depth,                   \
                   const detect::SlabEnds& ends, bool squares16, float* scratch, float* out);                        \
  }

}  // namespace cryolith::detect

namespace cryolith {
CRYOLITH_FOR_EACH_VARIANT(CRYOLITH_DECLARE_DISTANCE)
#undef CRYOLITH_DECLARE_DISTANCE
}  // namespace cryolith
