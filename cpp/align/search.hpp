// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include "align/frame.hpp"

namespace cryolith {

inline constexpr int kPeaks = 4;

// The highest maxima of a correlation, the highest first.
struct Peaks {
  int count = 0;
  Vec2 shift[kPeaks];  // px of the images
  double height[kPeaks] = {};
};

// An image as the search keeps it.
struct CoarseFrame {
  std::vector<std::complex<float>> spectrum;
  std::vector<double> signal;  // power of each ring above the noise
  double noise = 0;            // power of a coefficient
  bool flat = false;           // no contrast beyond what rounding leaves
};

// Finds about how far images (ny, nx) of one scene are apart, up to max_shift px: binned, under wide windows, padded so
// that nothing wraps around. The correlation is weighted by signal and noise of the rings, without a filter to set.
class Search {
 public:
  Search(index_t ny, index_t nx, index_t binning, double max_shift);

  struct Scratch {
    std::vector<float> map;
    std::vector<std::complex<float>> cross;
    fft::Workspace fft;
  };
  index_t binning() const { return binning_; }
  // A frame that is binned like this.
  void load(const Frame& frame, Scratch& scratch, CoarseFrame& out) const;
  // Peaks of b against a; b(p) = a(p - shift).
  Peaks correlate(const CoarseFrame& a, const CoarseFrame& b, Scratch& scratch) const;

 private:
  Peaks tops(const std::vector<float>& map) const;

  index_t ny_, nx_, binning_;
  Band band_;
  fft::Plan plan_;
  index_t reach_y_, reach_x_;
  std::vector<std::uint32_t> ring_;  // of each coefficient of the half spectrum
};

}  // namespace cryolith
