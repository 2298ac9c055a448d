// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <cstdint>

#include "core/buffer.hpp"
#include "core/parallel.hpp"
#include "detect/distance_kernels.hpp"

namespace cryolith::detect {

// spacing: edges of a voxel along z, y, x in any unit of length. border: what lies outside of the volume counts as
// background, its first voxel one step behind the last one. all_labels: 0 is a label like the others; its distances
// come out negative.
struct DistanceOptions {
  double spacing[3] = {1, 1, 1};
  bool border = false;
  bool all_labels = false;
};

// What the loops need, of a volume with these extents.
template <class Value>
DistancePlan distance_plan(const index_t* extent, const DistanceOptions& options);

// Euclidean distance from the centre of each voxel to that of the nearest voxel with another value, in slabs of kSlab
// slices that may come and go: scan all of them, then finish any of them in any order. Value is uint8_t (a mask,
// non-zero is foreground) or int32_t (labels); the distance of a zero is 0 unless all_labels. No other value: infinity.
// Squares of whole ratios of edges are exact; else they are sums of three float32.
// Source: Felzenszwalb & Huttenlocher, Theory of Computing 8 (2012) 415, eq. 3, by pruned search in place of envelopes.
// Holds 0.25 bytes a voxel (labels: 0.75), and about 150 bytes a voxel of one slice for each thread at work.
// Same bytes for any number of threads and any instruction set.
template <class Value>
class DistanceSlabs {
 public:
  DistanceSlabs(index_t nz, index_t ny, index_t nx, const DistanceOptions& options);

  index_t extent(int axis) const { return extent_[axis]; }
  // The slices from `first` on, a multiple of kSlab; as many, or up to the end of the volume.
  void scan(const Cpu& cpu, index_t first, View3<const Value> values);
  void finish(const Cpu& cpu, index_t first, View3<const Value> values, View3<float> out);

 private:
  index_t slabs() const { return (extent_[0] + kSlab - 1) / kSlab; }
  index_t depth(index_t slab) const { return extent_[0] - slab * kSlab < kSlab ? extent_[0] - slab * kSlab : kSlab; }
  index_t plane() const { return extent_[1] * extent_[2]; }
  bool labelled() const { return plan_.kind != Kind::mask; }
  void check(index_t first, const index_t* extent) const;
  void scan_slab(index_t slab, const Value* values);
  void join(const Cpu& cpu);
  void join_row(index_t y);
  std::uint16_t beyond(Value value) const;
  SlabEnds ends(index_t slab) const;

  index_t extent_[3];
  DistancePlan plan_;
  Buffer<std::uint8_t> scanned_;  // (slabs) whether
  bool joined_ = false;
  Buffer<std::uint8_t> upper_, lower_;    // (slabs, ny, nx) runs at the ends of each slab, until they are joined
  Buffer<std::uint16_t> before_, after_;  // (slabs, ny, nx), see SlabEnds
  Buffer<Value> first_, last_;            // (slabs, ny, nx) values at the ends of each slab: labels only
};

// The whole volume at once.
template <class Value>
void distance(const Cpu& cpu, View3<const Value> values, const DistanceOptions& options, View3<float> out);

extern template class DistanceSlabs<std::uint8_t>;
extern template class DistanceSlabs<std::int32_t>;

}  // namespace cryolith::detect
