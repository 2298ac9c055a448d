// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <vector>

#include "core/buffer.hpp"
#include "core/view.hpp"
#include "projection/geometry.hpp"

namespace cryolith {

// Interpolation of a turn: as sampling.hpp's, with more taps. Three passes with 8 would lose frequencies that one
// keeps; with 12 they keep more. A smaller beta keeps still more, but moves single pixels: by 0.0023 px a pass at 6,
// 0.0011 at 7 (design/003-projector.md).
inline constexpr int kTurnTaps = 12;
inline constexpr double kTurnBeta = 7.0;
// Pixels from a sample, along either axis, beyond which none has a weight in it: half the taps of five passes.
inline constexpr index_t kTurnReach = 5 * kTurnTaps / 2;

// An image sampled on a lattice that lies at any angle to its pixels, line by line: shears by one direction at a time
// (Paeth 1986; Unser, Thevenaz & Yaroslavsky 1995), between which the spacing along either is changed. Each pass
// interpolates along one direction with weights that all values of a line share, or all values across it. No pass
// sees its input more coarsely than 1/cos(22.5 degrees).
//
// Samples (j, i) lie as SampleGrid says: i along `step`, j along `lane`. x and y are the image's column and row, or
// its row and column (`down`) where the samples' rows lie nearer to its columns. With s(i) = start + i step:
//   pass 1: sheared[y][x] = image[y][x + s_row(y)]        pass 2: turned[y][x] = sheared[y + s_column(x)][x]
//   pass 3: stretched[y][i] = turned[y][along(i)]         pass 4: spaced[j][i] = stretched[across(j)][i]
//   pass 5: sample[j][i] = spaced[j][i + s_last(j)]
// Zero outside the image; passes 3 and 4 are left out where they would copy.
struct Turn {
  struct Line {
    index_t start, step;  // 2^-32 pixel
    index_t at(index_t i) const { return start + i * step; }
  };
  bool down, stretch_x, stretch_y;
  Range rows, columns;  // y and x of the pixels in memory
  Range x, y, i;        // of what passes 1, 2 and 3 have to make; x is empty where no sample touches the image
  Range js, is;         // samples to make
  Line row, column, along, across, last;
};

// The turn that samples `grid` (counted in pixels of the whole detector, `lines` lines in all) for the given j and i,
// from the part `window` of the image.
Turn make_turn(const SampleGrid& grid, index_t lines, Range js, Range is, ImageShape detector, ImageWindow window);

// Most floats that one of the three scratch buffers of a turn holds.
index_t turn_scratch(const Turn& turn);

// out[(j - js.begin) stride + i - is.begin] = sample (j, i).
void turn_image(const float* table, const Turn& turn, View2<const float> image, float* out, index_t stride,
                Buffer<float> scratch[3]);
// The transpose: adds samples to the image.
void turn_back(const float* table, const Turn& turn, const float* samples, index_t stride, View2<float> image,
               Buffer<float> scratch[3]);

}  // namespace cryolith
