// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// What the two halves of the pair for free poses share: ranges of rows and lanes, and how far views shift.
#include <algorithm>
#include <vector>

#include "projection/free_plan.hpp"

namespace cryolith {

struct Window {
  Range rows, lanes;
};

inline index_t count(Range r) { return r.end - r.begin; }
inline index_t rounded(index_t n, index_t unit) { return (n + unit - 1) / unit * unit; }

// Most whole voxels that a view shifts over `planes` planes.
inline constexpr index_t widest_shift(index_t planes) {
  return static_cast<index_t>(ProjectionPlan::kSteepTangent * static_cast<double>(planes)) + 1;
}

// Lowest and highest whole shifts of a view over some planes: they are monotonous.
inline Window shift_range(const PlaneShift* shifts, Range planes) {
  const PlaneShift &a = shifts[planes.begin], &b = shifts[planes.end - 1];
  return {{std::min(a.row, b.row), std::max(a.row, b.row)}, {std::min(a.lane, b.lane), std::max(a.lane, b.lane)}};
}

inline std::vector<index_t> views_of(const FreePlan& plan, const FreePlan::Group& group, int piling) {
  std::vector<index_t> out;
  for (index_t view = group.begin; view < group.end; ++view)
    if (plan.piling(view) == piling) out.push_back(view);
  return out;
}

inline index_t largest_group(const FreePlan& plan) {
  index_t size = 0;
  for (const FreePlan::Group& group : plan.groups()) size = std::max(size, group.size);
  return size;
}

}  // namespace cryolith
