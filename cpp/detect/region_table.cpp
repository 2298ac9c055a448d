// SPDX-License-Identifier: BSD-3-Clause
#include "detect/region_table.hpp"

#include <algorithm>
#include <limits>

namespace cryolith::detect {
namespace {

constexpr int kExtent = 7, kMoments = 9, kExits = kDirections + 3, kIntensity = 5;

template <class T>
void check(const char* name, const View2<T>& view, index_t rows, index_t columns, bool wanted) {
  if (!wanted) return;
  require((view.data != nullptr || rows == 0) && view.extent[0] == rows && view.extent[1] == columns, name, ": found ",
          view.extent[0], " x ", view.extent[1], ", expected ", rows, " x ", columns);
}

}  // namespace

RegionTable::RegionTable(const Wanted& wanted, index_t regions) : wanted_(wanted), size_(regions) {
  const auto n = static_cast<std::size_t>(regions);
  if (wanted.extent) extent_.resize(n);
  if (wanted.moments) moments_.resize(n);
  if (wanted.exits) exits_.resize(n);
  if (wanted.euler) euler_.resize(n);
  if (wanted.intensity) intensity_.resize(n);
}

void RegionTable::add_region() {
  ++size_;
  if (wanted_.extent) extent_.emplace_back();
  if (wanted_.moments) moments_.emplace_back();
  if (wanted_.exits) exits_.emplace_back();
  if (wanted_.euler) euler_.emplace_back();
  if (wanted_.intensity) intensity_.emplace_back();
}

RegionSums RegionTable::sums() {
  return {wanted_.extent ? extent_.data() : nullptr, wanted_.moments ? moments_.data() : nullptr,
          wanted_.exits ? exits_.data() : nullptr, wanted_.euler ? euler_.data() : nullptr,
          wanted_.intensity ? intensity_.data() : nullptr};
}

void RegionColumns::start(index_t regions, const Wanted& wanted) {
  check("extent", extent, regions, kExtent, wanted.extent);
  check("moments", moments, regions, kMoments, wanted.moments);
  check("exits", exits, regions, kExits, wanted.exits);
  check("intensity", intensity, regions, kIntensity, wanted.intensity);
  require(wanted.extent || !wanted.intensity, "intensity: found no extent wanted, expected both");
  require(!wanted.euler || ((euler.data != nullptr || regions == 0) && euler.extent[0] == regions), "euler: found ",
          euler.extent[0], " rows, expected ", regions);
  constexpr std::int64_t far = std::numeric_limits<std::int64_t>::max();
  constexpr std::int64_t no_extent[kExtent] = {0, far, far, far, -1, -1, -1};
  constexpr double infinity = std::numeric_limits<double>::infinity();
  constexpr double no_intensity[kIntensity] = {0, 0, 0, infinity, -infinity};
  for (index_t i = 0; i < regions; ++i) {
    if (wanted.extent) std::copy(no_extent, no_extent + kExtent, extent.data + i * kExtent);
    if (wanted.intensity) std::copy(no_intensity, no_intensity + kIntensity, intensity.data + i * kIntensity);
  }
  if (wanted.moments) std::fill_n(moments.data, moments.size(), 0);
  if (wanted.exits) std::fill_n(exits.data, exits.size(), 0);
  if (wanted.euler) std::fill_n(euler.data, euler.size(), 0);
}

void RegionColumns::add(const RegionTable& table, index_t i, index_t row) {
  const auto at = static_cast<std::size_t>(i);
  if (table.wanted_.extent) {
    const Extent& own = table.extent_[at];
    std::int64_t* to = extent.data + row * kExtent;
    if (table.wanted_.intensity)
      add_intensity(table.intensity_[at], own.voxels, to[0], intensity.data + row * kIntensity);
    to[0] += own.voxels;
    for (int k = 0; k < 3; ++k) {
      to[1 + k] = std::min(to[1 + k], std::int64_t{own.low[k]});
      to[4 + k] = std::max(to[4 + k], std::int64_t{own.high[k]});
    }
  }
  if (table.wanted_.moments) {
    std::int64_t* into = moments.data + row * kMoments;
    for (int k = 0; k < 3; ++k) into[k] += table.moments_[at].sum[k];
    for (int k = 0; k < 6; ++k) into[3 + k] += table.moments_[at].squares[k];
  }
  if (table.wanted_.exits) {
    std::int64_t* into = exits.data + row * kExits;
    for (int k = 0; k < kDirections; ++k) into[k] += table.exits_[at].count[k];
    for (int k = 0; k < 3; ++k) into[kDirections + k] += table.exits_[at].border[k];
  }
  if (table.wanted_.euler) euler.data[row] += table.euler_[at];
}

void RegionColumns::add_intensity(const Intensity& from, index_t voxels, index_t known, double* to) {
  if (voxels == 0) return;
  if (known == 0) to[0] = from.centre;
  const double shift = from.centre - to[0], n = static_cast<double>(voxels);
  to[1] += from.sum + n * shift;
  to[2] += from.squares + 2 * shift * from.sum + n * shift * shift;
  to[3] = std::min(to[3], static_cast<double>(from.low));
  to[4] = std::max(to[4], static_cast<double>(from.high));
}

}  // namespace cryolith::detect
