// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// Sampling of images whose tilt axis lies along or near an image axis, one direction after the other: plain data only,
// shared with a file that is compiled once per instruction set.
#include "projection/sampling.hpp"

namespace cryolith {

// Where the samples of one image lie for one block of kLanes volume rows. A strip is the image interpolated across its
// lines only, where a volume row crosses them: pixel j of lane l lies at pixel j of line
//   across.start + j across.step + l across.lane.
// Sample i of lane l then lies on the strip at along.start + i along.step + l along.lane. Where the axis lies along an
// image axis (a straight tilt), across.step and along.lane are 0 and lines are a pixel apart.
struct StripGrid {
  SampleLine along, across;
  bool down;  // lines are image columns, strips run down them (tilt axis along the image's rows)
};

// Blocks of one job, sampled together: they share weights, and pixels that lie side by side in memory.
inline constexpr index_t kStripBlocks = 4;
// Zero rows before and after each strip: taps of samples that only just touch the image.
inline constexpr index_t kStripMargin = 2 * kTaps;
// Largest tangent of the angle between axis and image axis, and largest difference of the rows' distance from a pixel.
// Positions of kLanes lanes then differ by less than a pixel from whole steps: one more tap holds the weights of all.
inline constexpr double kLargestShear = 0.125;

// Strips of up to kStripBlocks blocks; `strip[b]` and `rows[b]` point at pixel 0 and sample 0, kLanes floats each.
struct StripJob {
  StripGrid grid[kStripBlocks];
  index_t lanes[kStripBlocks];
  index_t blocks;
  float* strip[kStripBlocks];
  float* rows[kStripBlocks];
};

// Floats before and after the lines of strips that spread_strips() reads.
inline constexpr index_t kLineMargin = 2 * kTaps;

// Image lines are owned in bands of this many, so that even one tilt keeps several threads busy.
inline constexpr index_t kSpreadLines = 64;

// The weights of a tilt's samples by pixel of its strips: weights[j stride + m] is that of sample first[j] + m in pixel
// j, for m < samples; no pixel has more than `stride`.
struct PixelTaps {
  float* weights;
  std::int32_t* first;
  index_t stride, samples;
};

#define CRYOLITH_DECLARE_STRIPS(ns)                                                                              \
  namespace ns {                                                                                                 \
  /* Fills the pixels of each strip from the image, and its margins and the lanes that a block lacks with 0. */  \
  /* Asks for the pixels `ahead` of those. */                                                                    \
  void load_strips(TapTable table, View2<const float> image, const StripJob& job, Range pixels, index_t ahead);  \
  /* rows[i] = sum over taps of weight * strip, for i in range. */                                               \
  void stretch_strips(TapTable table, const StripJob& job, Range range);                                         \
  /* The weights of all samples of a line in `pixels` pixels. */                                                 \
  void pixel_taps(TapTable table, SampleLine along, index_t samples, index_t pixels, PixelTaps& taps);           \
  /* The transpose of stretch_strips: strip[j] = sum over samples of weight * rows[i], for all pixels. */        \
  void collect_strips(const PixelTaps& taps, const StripJob& job, index_t pixels);                               \
  /* The transpose of load_strips where lines are whole pixels: sets the image's pixels under the strips. */     \
  void store_strips(View2<float> image, const StripJob& job);                                                    \
  /* The transpose of load_strips anywhere: adds to some lines of the image what the volume rows in `rows` (with \
     zeros around them) leave there. Pixel j of row rows.begin + l is strips[j stride + l]; grid: of block 0. */ \
  void spread_strips(TapTable table, View2<float> image, const StripGrid& grid, Range lines, Range rows,         \
                     const float* strips, index_t stride);                                                       \
  }
CRYOLITH_FOR_EACH_VARIANT(CRYOLITH_DECLARE_STRIPS)

#define CRYOLITH_DECLARE_SHEARED(ns)                                                                             \
  namespace ns {                                                                                                 \
  /* As load_strips, stretch_strips and spread_strips, for tilts that are not straight. */                       \
  void load_sheared(TapTable table, View2<const float> image, const StripJob& job, Range pixels, index_t ahead); \
  void stretch_sheared(TapTable table, const StripJob& job, Range range);                                        \
  void spread_sheared(TapTable table, View2<float> image, const StripGrid& grid, Range lines, Range rows,        \
                      const float* strips, index_t stride);                                                      \
  /* The transpose of stretch_sheared: sets all `pixels` of the strips. */                                       \
  void collect_sheared(TapTable table, const StripJob& job, Range range, index_t pixels);                        \
  }
CRYOLITH_FOR_EACH_VARIANT(CRYOLITH_DECLARE_SHEARED)

}  // namespace cryolith
