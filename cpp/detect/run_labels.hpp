// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <cstdint>
#include <vector>

#include "detect/bit_volume.hpp"

namespace cryolith::detect {

// Components of a BitVolume by runs.
//
// A "super-row" is the OR of the rows of a block whose voxels at equal or neighbouring x always touch: 2 x 2 rows
// (z, y) for connectivity 26, 1 x 2 for 18, 1 x 1 for 6. A run of ones in it lies inside one component. Runs are not
// stored: the id of a run is (runs before its word) + popcount. Union-find joins run ids; chunks of a fixed number of
// slices are independent of each other and their seams are joined in order, so nothing depends on the threads.
class RunLabels {
 public:
  RunLabels(const BitVolume& bits, int connectivity);

  index_t chunks() const { return static_cast<index_t>(chunks_.size()); }
  // Finds the components inside one chunk. Different chunks may run at the same time.
  void label_chunk(index_t chunk);
  // Joins the chunks and numbers the components by their first voxel. Returns their number.
  index_t join_chunks();
  // Writes the slices of one chunk. Different chunks may run at the same time.
  void write_chunk(index_t chunk, View3<std::int32_t> labels) const;

 private:
  using id_t = std::uint32_t;

  // One super-plane: its bits, and the id of the next run before each word.
  struct Plane {
    std::vector<word_t> bits;
    std::vector<id_t> ids;
  };
  // One side of a contact: the super-row that owns the runs and the (up to two) voxel rows that touch.
  struct Side {
    const word_t* super;
    const id_t* ids;
    const word_t* row;
    const word_t* row2;
    word_t at(index_t w) const { return row[w] | row2[w]; }
  };
  struct Chunk {
    std::vector<id_t> component;    // of each run, within the chunk
    std::vector<id_t> row_ids;      // first run id of each super-row
    std::vector<index_t> first;     // raster index of the first voxel of each component
    index_t offset = 0;             // components in the chunks before
  };

  Plane make_plane() const;
  id_t fill_plane(index_t super_z, id_t next, Plane& plane, id_t* row_ids) const;
  Side side(const Plane& plane, index_t super_y, const word_t* row, const word_t* row2) const;
  template <int Reach, class Join>
  void touch(const Side& a, const Side& b, Join& join) const;
  template <class Join>
  void touch_planes(index_t super_z, index_t super_y, const Plane& plane, const Plane& before, Join& join) const;
  template <class Join>
  void touch_rows(index_t super_z, index_t super_y, const Plane& plane, Join& join) const;
  template <class Visit>
  void visit_pieces(index_t chunk, Visit visit) const;
  index_t planes_of(index_t chunk) const;
  index_t number_components(std::vector<id_t>& parent, std::vector<index_t>& first);

  const BitVolume& bits_;
  int connectivity_;
  index_t block_y_, block_z_;  // rows of a super-row along y and z
  index_t super_ny_;           // super-rows in a super-plane
  index_t stride_;             // words of a row with its padding
  std::vector<Chunk> chunks_;
  std::vector<std::int32_t> labels_;  // of each component of each chunk, written by join_chunks
};

}  // namespace cryolith::detect
