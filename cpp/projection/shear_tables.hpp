// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// What ShearSum (shear_sum_cuda.cuh) is told of a shear: plain data, the same for every device.
#include <cstdint>
#include <vector>

#include "projection/geometry.hpp"

namespace cryolith {

class ProjectionPlan;
struct Bank;

// Stored rows [0, stored) of an input begin at row `base`; the window covers `rows` of them from the block's first row
// plus `start` on, zeros where there are none.
struct alignas(16) ShearWindow {
  std::int32_t base, start, rows, stored;
};
// Of two neighbouring outputs: first row in the window, how far the second is apart, weights of each next row.
struct alignas(16) ShearPairTap {
  std::int32_t offset, apart;
  float weight, next_weight;
};
// Row x of a launch is stored row x + start of `rows` from row `base` on.
struct alignas(16) ShearOutput {
  std::int32_t base, start, rows, unused;
};

// Outputs and rows of each that one block of threads owns.
struct ShearTile {
  int rows, outputs;
};

struct ShearTables {
  std::vector<ShearWindow> windows;
  std::vector<ShearPairTap> taps;
  std::vector<ShearOutput> outputs;
  int groups = 0, inputs = 0, window_rows = 0;  // window_rows: of the largest window
  int first_row = 0, row_tiles = 0;             // rows of the launch
};

// The tables of one bank of a plan, for tiles of the given size. Back-projection: from the stretched rows of all tilts
// of one block of y to lines of the volume, [across][along]. Projection: from lines [begin, end) to stretched rows.
ShearTables backproject_tables(const ProjectionPlan& plan, const Bank& bank, ShearTile tile);
ShearTables project_tables(const ProjectionPlan& plan, const Bank& bank, ShearTile tile, Range lines);

}  // namespace cryolith
