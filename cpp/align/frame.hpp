// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <vector>

#include "align/band.hpp"
#include "core/fft.hpp"

namespace cryolith {

// An image as the registration sees it: finite everywhere; `weight` is empty unless pixels were missing.
struct Frame {
  View2<const float> image;
  std::vector<float> small;  // its means over `binning` x `binning` pixels
  index_t binning = 1;
  bool counts = false;        // whole numbers from 0 only: electrons, or proportional to them
  std::vector<float> filled;  // what `image` shows if pixels were missing
  std::vector<float> weight;  // 0 at missing pixels and beside them, 1 away from them
};

// Looks at an image once, and bins it (by 1, 2 or 4; 0: not at all). Pixels that are not finite are replaced by the
// mean of the finite ones around; isolated ones keep almost their full weight, larger holes fade to zero weight over a
// few pixels.
Frame look(View2<const float> image, index_t binning);
// Bins it differently.
void bin(Frame& frame, index_t binning);

// Rises over `taper` px at each end as a raised cosine, and is moved by `offset` (at most half a pixel): the same part
// of a scene that lies `offset` px farther on. 0 in half a pixel at each end.
std::vector<float> edge_window(index_t n, double taper, double offset);

// A rectangle of an image with its window.
struct Patch {
  index_t y, x;
  std::vector<float> wy, wx;
  const float* weight = nullptr;  // (wy.size(), wx.size()), optional

  index_t ny() const { return static_cast<index_t>(wy.size()); }
  index_t nx() const { return static_cast<index_t>(wx.size()); }
};

// Sum of the squared slopes of a window along each axis over the sum of its squares [1/px^2]: how much windows that
// move with a shift bend a correlation, over its height (design/012-registration.md, eq. 9).
Vec2 window_bend(const Patch& patch);

// What of a windowed patch does not depend on the image.
struct WindowSums {
  explicit WindowSums(const Patch& patch);
  // Independent coefficients of its transform: (sum w^2)^2 / sum w^4, or that part of `samples`.
  double independent(double samples) const { return fourths > 0 ? squares * squares / fourths / samples : 0; }

  index_t apart;                                 // of the rows that the mean is taken of, about 64
  double squares = 0, fourths = 0, weights = 0;  // weights: of those rows
};
// Row y of the window along rows, times the pixels' weights if there are any; `memory` is for nx of them.
const float* window_along(const Patch& patch, index_t y, std::vector<float>& memory);

// The windowed patch less its weighted mean (of about 64 rows), row by row. With `stabilise` each pixel p stands as
// sqrt(p + 1): counts then have the same noise, whatever their mean (Anscombe 1948; + 1 loses at most 2.3 % of the
// information at 1 to 4 counts, 3/8 loses 4.2 %).
class WindowedPatch {
 public:
  WindowedPatch(const Frame& frame, Patch patch, bool stabilise);
  index_t ny() const { return patch_.ny(); }
  index_t nx() const { return patch_.nx(); }
  // Row y, nx() samples.
  void row(index_t y, float* to);
  double independent(double samples) const { return sums_.independent(samples); }

 private:
  const float* pixels(index_t y) const;

  View2<const float> image_;
  Patch patch_;
  bool stabilise_;
  std::vector<float> weighted_;  // a row's window where pixels are weighted, too
  WindowSums sums_;
  float mean_ = 0;
};

// All of it in the corner of `out` (py, px); the rest zero. Returns the part of py px independent coefficients.
double window_patch(const Frame& frame, const Patch& patch, bool stabilise, index_t py, index_t px, float* out);

}  // namespace cryolith
