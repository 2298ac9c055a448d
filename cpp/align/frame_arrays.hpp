// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <functional>
#include <memory>
#include <vector>

#include "align/image_stack.hpp"
#include "align/search.hpp"
#include "align/weights.hpp"
#include "core/parallel.hpp"

namespace cryolith {

// The spectra of a stack's frames, wherever they lie: what is decided from them is the same code everywhere
// (stack.cpp). Each worker may call at once what takes its number.
class FrameArrays {
 public:
  virtual ~FrameArrays() = default;
  virtual Cpu workers(const Cpu& cpu) const = 0;  // those that may
  // Takes a frame for correlate(); returns whether it is counts.
  virtual bool look(std::size_t frame, const PlacedImage& image) = 0;
  // The highest maxima of the correlation of b with a.
  virtual Peaks correlate(std::size_t a, std::size_t b) = 0;
  // Takes a frame under a window for what follows; returns the part of its coefficients that are independent.
  virtual double place(std::size_t frame, const PlacedImage& image, const Patch& patch, bool stabilise, int worker) = 0;
  // Power of each ring.
  virtual std::vector<double> power(std::size_t frame) = 0;
  // Adds all frames up, each moved back; power of each ring of the sum.
  virtual std::vector<double> add_up(const std::vector<Vec2>& shifts) = 0;
  // Of a frame, moved back by `shift`, and that sum without it: ring sums, and the maximum of the weighted correlation.
  struct Against {
    RingSums sums;
    Top top;
  };
  virtual Against against_others(std::size_t frame, const RingWeights& weights, const Vec2& shift, int worker) = 0;
};

// Arrays for n frames; the search and the band outlive them.
using MakeFrames = std::function<std::unique_ptr<FrameArrays>(std::size_t n, const Search& search, const Band& band)>;
std::unique_ptr<FrameArrays> make_host_frames(std::size_t n, const Search& search, const Band& band);

}  // namespace cryolith
