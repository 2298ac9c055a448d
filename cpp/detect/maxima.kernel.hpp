// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// What makes a voxel of scale space a peak, the same words for every device (maxima.hpp).
#include "core/portable.hpp"
#include "core/view.hpp"

namespace cryolith::detect {

// Fields at three neighbouring scales; `below` or `above` is null at either end. Planes and rows begin `plane` and
// `row` floats apart.
struct ScaleCells {
  const float *below, *here, *above;
  index_t plane, row;

  // Whether no neighbour is higher (`sign` +1) or lower (-1) than voxel `at`; a tie goes to the earlier one.
  template <class Memory>
  CRYOLITH_HD bool dominates(index_t at, float sign) const {
    const float own = sign * Memory::read(here + at);
    // On the slope of a bright object one of these is higher.
    if (slopes<Memory>(at, 1, sign, own) || slopes<Memory>(at, row, sign, own) || slopes<Memory>(at, plane, sign, own))
      return false;
    return beats<Memory>(below, at, sign, own, -1) && beats<Memory>(here, at, sign, own, 0) &&
           beats<Memory>(above, at, sign, own, 1);
  }

 private:
  template <class Memory>
  CRYOLITH_HD bool slopes(index_t at, index_t step, float sign, float own) const {
    return sign * Memory::read(here + at + step) > own || sign * Memory::read(here + at - step) > own;
  }
  // None of the 27 voxels about `at` of the field `later` scales up.
  template <class Memory>
  CRYOLITH_HD bool beats(const float* field, index_t at, float sign, float own, int later) const {
    if (field == nullptr) return true;
    for (index_t z = -1; z <= 1; ++z)
      for (index_t y = -1; y <= 1; ++y)
        for (index_t x = -1; x <= 1; ++x) {
          const index_t offset = z * plane + y * row + x;
          const float other = sign * Memory::read(field + at + offset);
          const bool earlier = later < 0 || (later == 0 && offset < 0);
          if (other > own || (other == own && earlier)) return false;
        }
    return true;
  }
};

}  // namespace cryolith::detect
