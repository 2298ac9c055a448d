// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <vector>

#include "align/frame.hpp"

namespace cryolith {

// Windows of several images on the part of the scene that all of them show.
class Overlap {
 public:
  // `shifts` of the images (ny, nx). Where the common rectangle is below a quarter of the image along an axis, windows
  // stay on the whole images.
  Overlap(index_t ny, index_t nx, const std::vector<Vec2>& shifts);

  index_t ny() const { return ny_; }
  index_t nx() const { return nx_; }
  // The rectangle in image i, with its window moved by what of the shift is no whole pixel.
  Patch patch(std::size_t i) const;
  // The whole part of image i's shift, which the place of its rectangle takes out.
  Vec2 whole(std::size_t i) const { return {static_cast<double>(whole_[i].y), static_cast<double>(whole_[i].x)}; }
  // Product of the weights of all frames in the rectangle; empty when none has any.
  std::vector<float> weight(const std::vector<const Frame*>& frames) const;

 private:
  struct Pixel {
    index_t y, x;
  };
  std::vector<Vec2> shifts_;
  std::vector<Pixel> whole_;
  index_t y_ = 0, x_ = 0, ny_, nx_;
};

}  // namespace cryolith
