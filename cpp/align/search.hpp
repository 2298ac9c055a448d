// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include "align/band.kernel.hpp"
#include "align/frame.hpp"

namespace cryolith {

inline constexpr int kPeaks = 4;

// The highest maxima of a correlation, the highest first.
struct Peaks {
  int count = 0;
  Vec2 shift[kPeaks];  // px of the images
  double height[kPeaks] = {};
};

// Collects the highest maxima of a correlation in raster order, those within a few pixels of each other as one.
class PeakList {
 public:
  // best: the highest value of the map; binning: px of the images to a pixel of it.
  PeakList(float best, index_t binning) : best_(best), binning_(static_cast<double>(binning)) {}
  // Lower values are not worth a look.
  float least() const;
  // What the map shows at (y, x) and around, at(-1 ... 1, -1 ... 1): taken where it is a maximum that belongs to the
  // highest.
  template <class At>
  void look(index_t y, index_t x, const At& at) {
    if (is_top(at) || (at(0, 0) == best_ && peaks_.count == 0)) insert(y, x, at(0, 0), vertices(at));
  }
  const Peaks& peaks() const { return peaks_; }

 private:
  static double vertex(float before, float here, float after);
  template <class At>
  static Vec2 vertices(const At& at) {
    return {vertex(at(-1, 0), at(0, 0), at(1, 0)), vertex(at(0, -1), at(0, 0), at(0, 1))};
  }
  void remove(int i);
  void insert(index_t y, index_t x, float height, const Vec2& part);

  float best_;
  double binning_;
  Peaks peaks_;
  struct {
    index_t y, x;
  } place_[kPeaks];
};

// What the search knows of an image beside its spectrum.
struct CoarseRings {
  std::vector<double> signal;  // power of each ring above the noise
  double noise = 0;            // power of a coefficient
  bool flat = false;           // no contrast beyond what rounding leaves
};

// An image as the search keeps it.
struct CoarseFrame {
  std::vector<std::complex<float>> spectrum;
  CoarseRings rings;
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
  // A frame that is binned like this.
  void load(const Frame& frame, Scratch& scratch, CoarseFrame& out) const;
  // Peaks of b against a; b(p) = a(p - shift).
  Peaks correlate(const CoarseFrame& a, const CoarseFrame& b, Scratch& scratch) const;

  index_t binning() const { return binning_; }
  index_t ny() const { return ny_; }  // of the binned images
  index_t nx() const { return nx_; }
  const Band& band() const { return band_; }    // all of the padded images' spectrum
  index_t reach_y() const { return reach_y_; }  // of the shifts, px of the binned images
  index_t reach_x() const { return reach_x_; }
  // The windows on a binned image.
  Patch patch() const;
  // From the ring sums of power, the squared values under the windows and without, and the part of the coefficients
  // that are independent.
  CoarseRings rings(const std::vector<double>& power, double kept, double all, double independent) const;
  // Of the correlation, the largest 1.
  std::vector<float> weights(const CoarseRings& a, const CoarseRings& b) const;

 private:
  Peaks tops(const std::vector<float>& map) const;

  index_t ny_, nx_, binning_;
  Band band_;
  fft::Plan plan_;
  index_t reach_y_, reach_x_;
};

}  // namespace cryolith
