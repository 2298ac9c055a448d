// SPDX-License-Identifier: BSD-3-Clause
#include "align/overlap.hpp"

#include <algorithm>
#include <cmath>

namespace cryolith {
namespace {

// Of each edge. Narrow windows bend the correlation as if they were structure, wide ones take part of the image: 0.06
// of 128 px costs 6 % more error than 0.03. Edges of 1 or 2 px hold small images without noise where they are
// (off by 0.1 px rms at 48 px; 0.001 with 3 px, which cost 64 px 3 % at 10 and 100 electrons).
// (design/012-registration.md, eq. 9)
constexpr double kTaper = 0.03, kLeastTaperPx = 3, kTaperPx = 8, kMostTaper = 0.25;

double taper(index_t n) {
  const auto edge = static_cast<double>(n);
  return std::min(kMostTaper * edge, std::clamp(kTaper * edge, kLeastTaperPx, kTaperPx));
}

}  // namespace

Overlap::Overlap(index_t ny, index_t nx, const std::vector<Vec2>& shifts) : shifts_(shifts), ny_(ny), nx_(nx) {
  Pixel low{0, 0}, high{0, 0};
  for (std::size_t i = 0; i < shifts.size(); ++i) {
    const Pixel k{static_cast<index_t>(std::lround(shifts[i].y)), static_cast<index_t>(std::lround(shifts[i].x))};
    low = i == 0 ? k : Pixel{std::min(low.y, k.y), std::min(low.x, k.x)};
    high = i == 0 ? k : Pixel{std::max(high.y, k.y), std::max(high.x, k.x)};
    whole_.push_back(k);
  }
  const index_t common_y = ny - (high.y - low.y), common_x = nx - (high.x - low.x);
  if (common_y < std::max<index_t>(3, ny / 4) || common_x < std::max<index_t>(3, nx / 4)) {
    for (Pixel& k : whole_) k = {0, 0};
    for (Vec2& s : shifts_) s = {0, 0};
    return;
  }
  y_ = -low.y, x_ = -low.x;
  ny_ = common_y, nx_ = common_x;
}

Patch Overlap::patch(std::size_t i) const {
  const double dy = shifts_[i].y - static_cast<double>(whole_[i].y),
               dx = shifts_[i].x - static_cast<double>(whole_[i].x);
  return {y_ + whole_[i].y, x_ + whole_[i].x, edge_window(ny_, taper(ny_), dy), edge_window(nx_, taper(nx_), dx)};
}

std::vector<float> Overlap::weight(const std::vector<const Frame*>& frames) const {
  std::vector<float> out;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    const Frame& frame = *frames[i];
    if (frame.weight.empty()) continue;
    if (out.empty()) out.assign(static_cast<std::size_t>(ny_ * nx_), 1.0f);
    const index_t row = frame.image.extent[1];
    for (index_t y = 0; y < ny_; ++y)
      for (index_t x = 0; x < nx_; ++x)
        out[static_cast<std::size_t>(y * nx_ + x)] *=
            frame.weight[static_cast<std::size_t>((y_ + whole_[i].y + y) * row + x_ + whole_[i].x + x)];
  }
  return out;
}

}  // namespace cryolith
