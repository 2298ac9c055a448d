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
// Of two neighbouring outputs: floats from the window's begin to the first one's first row, floats from there to the
// second one's plus, in the lowest bits, which ShearCase it is; weights of each row and of the next, for both outputs.
// All weights are stored since 1 - w for each thread is what the sum's multiply-adds wait for.
struct alignas(16) ShearPairTap {
  std::int32_t offset, second, unused[2];
  float here[2], next[2];
};
// Rows that the second output is apart, plus kMostTogether, where both are summed from one stream of rows; else kApart.
// kNothing: there are no such outputs.
enum ShearCase : std::int32_t { kMostTogether = 5, kApart = 2 * kMostTogether + 1, kNothing, kCaseBits = 15 };
// Row x of a launch is stored row x + start of `rows` from row `base` on.
struct alignas(16) ShearOutput {
  std::int32_t base, start, rows, unused;
};

// Rows of the launch that the outputs of a group need: tiles of them from first_row on.
struct alignas(8) ShearGroup {
  std::int32_t first_row, row_tiles;
};

// Outputs and rows of each that one block of threads owns, floats of a row, and inputs that copies are ahead.
struct ShearTile {
  int rows, outputs, columns, ahead;
};

struct ShearTables {
  std::vector<ShearWindow> windows;  // [group][input + ahead]: empty ones after the last
  std::vector<ShearPairTap> taps;    // [group][input][pair]
  std::vector<ShearOutput> outputs;
  std::vector<ShearGroup> groups;
  int inputs = 0, window_rows = 0;  // window_rows: of the largest window
  int most_row_tiles() const;       // of any group
};

// The tables of one bank of a plan, for tiles of the given size. Back-projection: from the stretched rows of all tilts
// of one block of y to lines of the volume, [across][along]. Projection: from lines [begin, end) to stretched rows, the
// tilts in order of their shear, so that neighbours are few rows apart in whatever order they were taken.
ShearTables backproject_tables(const ProjectionPlan& plan, const Bank& bank, ShearTile tile);
ShearTables project_tables(const ProjectionPlan& plan, const Bank& bank, ShearTile tile, Range lines);

// Projection from all lines: chunks of kProjectLines, or of half as many, a quarter ... where a window would otherwise
// have more than `most_window_rows` rows. Sums pass through memory once for each chunk; in longer ones neighbouring
// tilts lie too far apart to share rows (tools/kernel_bound.py).
inline constexpr index_t kProjectLines = 128;
std::vector<ShearTables> project_chunks(const ProjectionPlan& plan, const Bank& bank, ShearTile tile,
                                        int most_window_rows);

}  // namespace cryolith
