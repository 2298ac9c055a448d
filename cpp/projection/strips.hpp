// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// Sampling of images whose tilt axis lies along an image axis: plain data only, shared with a file that is compiled
// once per instruction set.
#include "projection/sampling.hpp"

namespace cryolith {

// Where the samples of one image lie for one block of kLanes volume rows. A strip is the image interpolated across the
// tilt's rows only: pixel j of lane l lies on line across.start + l across.lane of the image, at pixel j of that line.
// Sample i of every lane then lies on the strip at along.start + i along.step.
struct StripGrid {
  SampleLine along, across;
  bool down;  // lines are image columns, strips run down them (tilt axis along the image's rows)
};

// Blocks of one job, sampled together: they share weights, and pixels that lie side by side in memory.
inline constexpr index_t kStripBlocks = 4;
// Zero rows before and after each strip: taps of samples that only just touch the image.
inline constexpr index_t kStripMargin = kTaps;
// Most samples that one pixel of a strip has a weight in: kTaps / cos(45 degrees), rounded up.
inline constexpr index_t kStripSamples = 12;

// Strips of up to kStripBlocks blocks; `strip[b]` and `rows[b]` point at pixel 0 and sample 0, kLanes floats each.
struct StripJob {
  StripGrid grid[kStripBlocks];
  index_t lanes[kStripBlocks];
  index_t blocks;
  float* strip[kStripBlocks];
  float* rows[kStripBlocks];
};

#define CRYOLITH_DECLARE_STRIPS(ns)                                                                              \
  namespace ns {                                                                                                 \
  /* Fills the pixels of each strip from the image, and its margins and the lanes that a block lacks with 0. */  \
  void load_strips(TapTable table, View2<const float> image, const StripJob& job, Range pixels);                 \
  /* rows[i] = sum over taps of weight * strip, for i in range. */                                               \
  void stretch_strips(TapTable table, const StripJob& job, Range range);                                         \
  /* The transpose: strip[j] = sum over samples i in range of weight * rows[i], for j in pixels. `weights` holds \
     kStripSamples and `first` one per pixel. */                                                                 \
  void collect_strips(TapTable table, const StripJob& job, Range range, Range pixels, float* weights,            \
                      std::int32_t* first);                                                                      \
  /* The transpose of load_strips where lines are whole pixels: sets the image's pixels under the strips. */     \
  void store_strips(View2<float> image, const StripJob& job);                                                    \
  }
CRYOLITH_FOR_EACH_VARIANT(CRYOLITH_DECLARE_STRIPS)

}  // namespace cryolith
