// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <functional>
#include <vector>

#include "core/parallel.hpp"
#include "detect/contacts.hpp"
#include "detect/label_kernels.hpp"
#include "detect/region_table.hpp"

namespace cryolith::detect {

// A label volume (nz, ny, nx), 0 for background and 1..regions, slice by slice: load(z, rows, stride) writes slice z,
// one row every `stride` elements, and leaves what lies between them. Called from several threads.
struct LabelSlices {
  index_t extent[3];
  Element element;  // u8, u16 or i32
  index_t regions;
  std::function<void(index_t z, void* rows, index_t stride)> load;
};
// Of labels in memory.
LabelSlices slices_of(Element element, index_t regions, View3<const char> labels);

// Sums over the voxels of each region in one pass; row i of the columns belongs to label i + 1. A neighbour of another
// label, or outside of the volume, is an exit. `intensity` may be empty (data null). `contacts` may be null; else it
// gets every pair of labels that meet. Same sums for any number of threads. O(voxels) + O(regions); scratch of 4 bytes
// a region and thread, at most 210 bytes a region and chunk of 32 slices it appears in.
void region_sums(const Cpu& cpu, const LabelSlices& labels, View3<const float> intensity, const Wanted& wanted,
                 RegionColumns& columns, Contacts* contacts);

}  // namespace cryolith::detect
