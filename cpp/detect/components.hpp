// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <memory>
#include <vector>

#include "core/parallel.hpp"
#include "detect/bit_volume.hpp"
#include "detect/region_sums.hpp"
#include "detect/run_labels.hpp"

namespace cryolith::detect {

// Connected components of a volume (nz, ny, nx) and sums over each, from slabs of its slices given in order.
//
// Voxels that share a face (connectivity 6), a face or an edge (18), or a face, an edge or a corner (26) belong
// together; with values, only where they are of one kind: equal (integers), or neighbours no further apart than delta
// (float). Labels are 1..count by the first voxel of each component in raster order, 0 is background. Kept: a bit per
// voxel (two with values), 4 bytes a run, the sums of each component in each chunk of 32 slices. O(voxels). Same labels
// and sums for any number of threads and any slabs.
class Components {
 public:
  struct Options {
    int connectivity = 26;
    Wanted wanted;
    bool nested = false;  // also find which component encloses which
    bool valued = false;
    Element element = Element::u8;  // of the values
    float delta = 0;
  };
  Components(index_t nz, index_t ny, index_t nx, const Options& options);

  // The next slices: a mask (non-zero is foreground), numbers (foreground where low <= number <= high, NaN is not), or
  // values (0, NaN and infinity are background). All but the last end at a multiple of RunLabels::kChunkSlices.
  // `intensity` is of the same slices, and is asked for by Options::wanted.
  void add_mask(const Cpu& cpu, View3<const std::uint8_t> mask, View3<const float> intensity);
  void add_between(const Cpu& cpu, View3<const float> numbers, float low, float high, View3<const float> intensity);
  void add_values(const Cpu& cpu, Element element, View3<const char> values, View3<const float> intensity);

  // After the last slice: returns the number of components.
  index_t finish();
  // Writes the sums of all components, once. Where components may meet (connectivity below 26, or values) the exits are
  // counted on the labels, a few slices at a time.
  void sums(const Cpu& cpu, RegionColumns& columns);
  // The labels, slice by slice, for region_sums. The components must outlive it.
  LabelSlices slices() const;
  // Writes labels from slice z0 on as u8, u16 or i32; `out` has the extent of the slices, and is of bytes along x.
  void write(const Cpu& cpu, index_t z0, index_t slices, Element element, void* out) const;
  // enclosing[i]: the component whose hole component i + 1 lies in, or 0. holes (n, 2): how many holes each component
  // has, and their voxels. A hole is a component of the background (6 neighbours for 26 and 18, else 26) that does not
  // reach the border of the volume.
  void nesting(View1<std::int32_t> enclosing, View2<std::int64_t> holes) const;

  const BitVolume& bits() const { return bits_; }

 private:
  template <class Extents>
  void check_slab(const Extents& extent, View3<const float> intensity) const;
  void add(const Cpu& cpu, index_t slices, const ValueSlices& values, View3<const float> intensity);
  void add_chunk(index_t chunk, bool complete, const ValueSlices& values, const float* intensity);
  void add_seam_sums(index_t chunk);
  bool tabled() const;
  bool apart() const { return options_.connectivity == 26 && !options_.valued; }  // no two components meet
  struct Cavity {
    index_t voxels = 0;
    bool open = false;
  };
  std::vector<Cavity> find_cavities() const;

  Options options_;
  BitVolume bits_, starts_, rest_;
  std::unique_ptr<RunLabels> runs_, holes_;
  std::vector<RegionTable> tables_;
  index_t done_ = 0;
  index_t count_ = -1;
  bool summed_ = false;
};

}  // namespace cryolith::detect
