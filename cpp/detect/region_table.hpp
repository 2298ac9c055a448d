// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <vector>

#include "core/error.hpp"
#include "core/view.hpp"
#include "detect/region_groups.hpp"

namespace cryolith::detect {

// Which groups are wanted; intensity needs extent.
struct Wanted {
  bool extent = false, moments = false, exits = false, euler = false, intensity = false;
};

// The regions of one chunk, by groups.
class RegionTable {
 public:
  RegionTable() = default;
  RegionTable(const Wanted& wanted, index_t regions);
  void add_region();
  index_t size() const { return size_; }
  RegionSums sums();

 private:
  friend class RegionColumns;
  Wanted wanted_;
  index_t size_ = 0;
  std::vector<Extent> extent_;
  std::vector<Moments> moments_;
  std::vector<Exits> exits_;
  std::vector<std::int32_t> euler_;
  std::vector<Intensity> intensity_;
};

// Where the sums of whole regions go: one row each, groups that are not wanted have no data.
//   extent (n, 7): voxels, low z y x, high z y x    moments (n, 9): z y x, zz yy xx zy zx yx
//   exits (n, 16): 13 directions, border z y x      euler (n)
//   intensity (n, 5): centre, sum of (value - centre), of its square, smallest, largest
class RegionColumns {
 public:
  View2<std::int64_t> extent, moments, exits;
  View1<std::int64_t> euler;
  View2<double> intensity;

  // Checks the shapes against `regions` rows and what is wanted, and empties every row.
  void start(index_t regions, const Wanted& wanted);
  // Adds region i of `table` to a row. Sums of intensity depend on the order.
  void add(const RegionTable& table, index_t i, index_t row);

 private:
  void add_intensity(const Intensity& from, index_t voxels, index_t known, double* to);
};

}  // namespace cryolith::detect
