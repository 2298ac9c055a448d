// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <memory>
#include <vector>

#include "align/frame_arrays.hpp"
#include "align/overlap.hpp"
#include "core/parallel.hpp"

namespace cryolith {

// What pairs() writes for a pair, in this order: shift, height and up to three other maxima (shift, height over the
// highest's; height 0: none).
inline constexpr index_t kPairColumns = 3 + 3 * (kPeaks - 1);
// What refine() writes for a frame: shift, variance of its row, of its column, their covariance, correlation.
inline constexpr index_t kFrameColumns = 6;

// Frames of one scene, of which only small spectra are kept: each is shown twice, one after the other or some at once.
class FrameStack {
 public:
  // n frames (ny, nx) at most max_shift px apart, in arrays that `make` makes.
  FrameStack(index_t n, index_t ny, index_t nx, double max_shift, const MakeFrames& make = make_host_frames);
  ~FrameStack();

  // First time: frames (k, ny, nx) that begin with number `first` are binned for pairs().
  void look(const Cpu& cpu, index_t first, const ImageStack& frames);
  // Shift of frame pairs[m][1] against pairs[m][0].
  void pairs(const Cpu& cpu, View2<const index_t> pairs, View2<double> out) const;
  // Second time: windows of all frames on the part of the scene that they share, which `shifts` (n, 2) tell.
  void place(const Cpu& cpu, index_t first, const ImageStack& frames, View2<const double> shifts);
  // Moves each frame to the maximum of its weighted correlation with the sum of all others, until none moves: the
  // maximum-likelihood shifts of frames of an unknown scene (design/012-registration.md, eq. 5). Shifts have mean zero.
  // O(rounds n N).
  void refine(const Cpu& cpu, View2<double> out) const;

 private:
  enum class Seen : unsigned char { not_yet, counts, other };
  void check(index_t first, const ImageStack& frames) const;

  index_t n_, ny_, nx_;
  Search search_;
  Band band_;
  std::vector<Seen> counts_;
  std::unique_ptr<FrameArrays> frames_;
  std::vector<Vec2> placed_;
  double independent_ = 1;
};

// Adds frames, each moved back by its shift, in Fourier space: no interpolation softens them. What leaves the image on
// one side comes in on the other.
class FrameSum {
 public:
  FrameSum(index_t ny, index_t nx);
  void add(const Cpu& cpu, View2<const float> frame, const Vec2& shift);
  void write(const Cpu& cpu, View2<float> out);

 private:
  Band band_;
  fft::Plan plan_;
  Spectrum total_, one_;
  std::vector<std::complex<float>> half_;
  fft::Workspace fft_;
};

}  // namespace cryolith
