// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <map>
#include <memory>
#include <vector>

#include "core/buffer.hpp"
#include "core/parallel.hpp"
#include "core/view.hpp"
#include "projection/backproject.hpp"
#include "projection/plan.hpp"
#include "reconstruct/row_fft.hpp"

namespace cryolith {

// Smallest multiple of 16 with prime factors 2, 3, 5 that convolves `count` samples with a kernel of any length,
// without wrap-around: at least 2 count.
index_t filter_length(index_t count);

// Tables of one transform length.
class FftLength {
 public:
  explicit FftLength(index_t n);
  FftLength(const FftLength&) = delete;
  FftLength& operator=(const FftLength&) = delete;
  const FftTables& tables() const { return tables_; }

 private:
  std::vector<FftPass> passes_;
  std::vector<float> twiddles_;
  std::vector<std::int32_t> frequency_;
  FftTables tables_;
};

// Filters along the rows of a tilt, with one length and one spectrum per tilt.
class RowFilter {
 public:
  // gains: (n_tilts, at least n/2 + 1 for each length n), the kernel's spectrum times 1/n at the frequencies k/n cycles
  // per sample.
  RowFilter(const std::vector<index_t>& lengths, View2<const float> gains, int workers);
  // In place: `count` rows of kLanes at a and at b (or null).
  void apply(int worker, index_t tilt, index_t count, float* a, float* b);

 private:
  std::vector<index_t> lengths_;
  View2<const float> gains_;
  std::map<index_t, std::unique_ptr<FftLength>> plans_;
  std::vector<Buffer<float>> work_;
};

// The length that each tilt needs: for the longest row of samples, of a pair of blocks, that lies over its image.
std::vector<index_t> filter_lengths(const ProjectionPlan& plan);

// Sets `out` to `images` (n_tilts, height, width) filtered along the last axis.
void filter_images(const Cpu& cpu, RowFilter& filter, View3<const float> images, View3<float> out);

// Back-projects `images` after filtering their stretched rows: weighted back-projection.
void filtered_backproject(const Cpu& cpu, const ProjectionPlan& plan, RowFilter& filter, View3<const float> images,
                          View3<float> volume, Precision precision = Precision::float32);

}  // namespace cryolith
