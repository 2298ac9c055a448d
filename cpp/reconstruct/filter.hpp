// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <vector>

#include "core/buffer.hpp"
#include "core/parallel.hpp"
#include "core/view.hpp"
#include "projection/plan.hpp"
#include "reconstruct/row_fft.hpp"

namespace cryolith {

// Smallest length with prime factors 2, 3, 5 that convolves `count` samples with a kernel of any length, without
// wrap-around: at least 2 count - 1.
index_t filter_length(index_t count);

// Filters along the rows of a tilt, with one spectrum per tilt.
class RowFilter {
 public:
  // gains: (n_tilts, n/2 + 1), the kernel's spectrum times 1/n, at the frequencies k/n cycles per sample.
  RowFilter(index_t n, View2<const float> gains, int workers);
  RowFilter(const RowFilter&) = delete;
  RowFilter& operator=(const RowFilter&) = delete;
  // In place: `count` rows of kLanes at a and at b (or null).
  void apply(int worker, index_t tilt, index_t count, float* a, float* b);

 private:
  FftTables tables_;
  View2<const float> gains_;
  std::vector<FftPass> passes_;
  std::vector<float> twiddles_;
  std::vector<std::int32_t> frequency_;
  std::vector<Buffer<float>> work_;
};

// Longest row that the filter sees: samples of a pair of blocks that lie over an image, over all tilts.
index_t longest_row(const ProjectionPlan& plan);

// Sets `out` to `images` (n_tilts, height, width) filtered along the last axis.
void filter_images(const Cpu& cpu, RowFilter& filter, View3<const float> images, View3<float> out);

// Back-projects `images` after filtering their stretched rows: weighted back-projection.
void filtered_backproject(const Cpu& cpu, const ProjectionPlan& plan, RowFilter& filter, View3<const float> images,
                          View3<float> volume);

}  // namespace cryolith
