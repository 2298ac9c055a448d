// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <cstdint>
#include <vector>

#include "detect/bit_volume.hpp"
#include "detect/sum_kernels.hpp"

namespace cryolith::detect {

// Slices of values in memory, the first of them slice z0 of the volume; nothing where the bits say it all.
struct ValueSlices {
  const void* data = nullptr;
  index_t z0 = 0;
};

// Components of a volume by runs.
//
// A "super-row" is the OR of the rows of a block whose voxels at equal or neighbouring x always touch: 2 x 2 rows
// (z, y) for connectivity 26, 1 x 2 for 18, 1 x 1 for 6. A run of ones in it lies inside one component. Where voxels
// must also be of one kind, blocks are single rows and runs end where the kind does. Runs are not stored: the id of a
// run is (runs before its word) + popcount. Union-find joins run ids; chunks of a fixed number of slices are
// independent of each other and their seams are joined in order, so nothing depends on the threads or on how the slices
// came.
class RunLabels {
 public:
  static constexpr index_t kChunkSlices = 32;  // even, so that a 2 x 2 super-row never straddles two chunks

  // Of all ones of `bits`.
  RunLabels(const BitVolume& bits, int connectivity);
  // Of voxels of one kind; label_chunk fills `bits` and `starts` from the values.
  RunLabels(BitVolume& bits, BitVolume& starts, int connectivity, Element element, float delta);

  index_t chunks() const { return static_cast<index_t>(chunks_.size()); }
  // Finds the components inside one chunk. Different chunks may run at the same time.
  void label_chunk(index_t chunk, const ValueSlices& values);
  // Joins a chunk to the one before it; in order.
  void join_chunk(index_t chunk, const ValueSlices& values);
  // Before the values of a slab go: keeps its last slice, z, for the next seam.
  void keep_slice(index_t z, const ValueSlices& values);
  // After the last chunk: numbers the components by their first voxel. Returns their number.
  index_t finish();

  index_t count() const { return count_; }
  // Components in one chunk, and the label of each (after finish).
  index_t parts(index_t chunk) const { return at(chunk).components; }
  const std::int32_t* labels(index_t chunk) const { return labels_.data() + at(chunk).offset; }
  // Label at (z, y, x), 0 for background. O(words of a row).
  std::int32_t label_at(index_t z, index_t y, index_t x) const;
  // Raster index of the first voxel of each label.
  std::vector<index_t> first_voxels() const;

  // Adds to the tables of the parts of a chunk; `intensity` is of its first slice, or null.
  void add_sums(index_t chunk, const RegionSums& sums, const float* intensity) const;
  // Writes the labels of slices [z0, z1) of one chunk as elements u8, u16 or i32; `out` is of slice z0, its rows lie
  // `stride` apart and its slices `slice_stride`. Different slices may be written at the same time.
  void write(index_t z0, index_t z1, Element element, void* out, index_t stride, index_t slice_stride) const;

 private:
  // One super-plane: its bits, the starts of its runs, the id of the next run before each word, its values padded.
  struct Plane {
    std::vector<word_t> bits, starts;
    std::vector<id_t> ids;
    std::vector<std::uint64_t> values;
    RunPlane view() { return {bits.data(), starts.data(), ids.data(), values.data()}; }
  };
  struct Chunk {
    std::vector<id_t> component;  // of each run, within the chunk
    std::vector<id_t> row_ids;    // first run id of each super-row
    std::vector<index_t> first;   // of each component, where ids are not in raster order already
    index_t components = 0;
    index_t offset = 0;  // components in the chunks before
  };

  const Chunk& at(index_t chunk) const { return chunks_[static_cast<std::size_t>(chunk)]; }
  Chunk& at(index_t chunk) { return chunks_[static_cast<std::size_t>(chunk)]; }
  bool in_raster_order() const { return grid_.block_y == 1; }
  void check_size() const;
  index_t planes_of(index_t chunk) const;
  Plane make_plane() const;
  void load_values(index_t z, const ValueSlices& values, Plane& plane) const;
  void split_slice(index_t z, const Plane& plane);
  void visit(index_t chunk, const RegionSums& sums, index_t* first, const float* intensity) const;

  const BitVolume& bits_;
  BitVolume* split_bits_ = nullptr;
  BitVolume* split_starts_ = nullptr;
  RunGrid grid_;
  std::vector<Chunk> chunks_;
  std::vector<id_t> parent_;  // of the parts of all chunks so far
  Plane kept_;
  index_t kept_z_ = -1;
  std::vector<std::int32_t> labels_;  // of each component of each chunk, written by finish
  index_t count_ = 0;
};

}  // namespace cryolith::detect
