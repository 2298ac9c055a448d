// SPDX-License-Identifier: BSD-3-Clause
#include "align/frame.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "align/band.kernel.hpp"

namespace cryolith {
namespace {

// The mean is taken of about so many rows: what is left of it lies under the window, and moves with it.
constexpr index_t kMeanRows = 64;
constexpr index_t kHoleReach = 3;  // px around a missing pixel that fill it and fade out with it

// Sums over (2 reach + 1) x (2 reach + 1) pixels, clipped at the border, by running sums.
std::vector<double> box_sums(const std::vector<double>& in, index_t ny, index_t nx, index_t reach) {
  std::vector<double> along(in.size()), out(in.size()), upto(static_cast<std::size_t>(std::max(ny, nx) + 1));
  const auto run = [&](index_t n, auto value, auto put) {
    for (index_t i = 0; i < n; ++i)
      upto[static_cast<std::size_t>(i + 1)] = upto[static_cast<std::size_t>(i)] + value(i);
    for (index_t i = 0; i < n; ++i)
      put(i, upto[static_cast<std::size_t>(std::min(n, i + reach + 1))] -
                 upto[static_cast<std::size_t>(std::max<index_t>(0, i - reach))]);
  };
  for (index_t y = 0; y < ny; ++y)
    run(
        nx, [&](index_t x) { return in[static_cast<std::size_t>(y * nx + x)]; },
        [&](index_t x, double v) { along[static_cast<std::size_t>(y * nx + x)] = v; });
  for (index_t x = 0; x < nx; ++x)
    run(
        ny, [&](index_t y) { return along[static_cast<std::size_t>(y * nx + x)]; },
        [&](index_t y, double v) { out[static_cast<std::size_t>(y * nx + x)] = v; });
  return out;
}

void fill(Frame& frame) {
  const index_t ny = frame.image.extent[0], nx = frame.image.extent[1];
  const auto count = static_cast<std::size_t>(ny * nx);
  std::vector<double> value(count), good(count);
  double sum = 0, used = 0;
  frame.counts = true;
  for (std::size_t k = 0; k < count; ++k) {
    const float p = frame.image.data[k];
    if (!is_finite(p)) continue;
    value[k] = static_cast<double>(p);
    good[k] = 1;
    sum += value[k], ++used;
    frame.counts = frame.counts && is_count(p);
  }
  const double mean = used > 0 ? sum / used : 0;
  const std::vector<double> ones(count, 1.0);
  const auto values = box_sums(value, ny, nx, kHoleReach), share = box_sums(good, ny, nx, kHoleReach),
             whole = box_sums(ones, ny, nx, kHoleReach);
  frame.filled.resize(count);
  frame.weight.resize(count);
  for (std::size_t k = 0; k < count; ++k) {
    const double around = share[k] > 0.5 ? values[k] / share[k] : mean;
    frame.filled[k] = static_cast<float>(good[k] > 0 ? value[k] : around);
    frame.weight[k] = static_cast<float>(std::clamp(2 * share[k] / whole[k] - 1, 0.0, 1.0));
  }
  frame.image = {frame.filled.data(), {ny, nx}};
}

// Bins, and calls row_seen(row) for each row while it is cached.
template <class RowSeen>
void bin_rows(Frame& frame, index_t binning, const RowSeen& row_seen) {
  const index_t ny = frame.image.extent[0], nx = frame.image.extent[1];
  const index_t my = binning > 0 ? ny / binning : 0, mx = binning > 0 ? nx / binning : 0;
  frame.binning = binning;
  frame.small.assign(static_cast<std::size_t>(my * mx), 0.0f);
  const auto add = CRYOLITH_SELECT(bin_row);
  for (index_t y = 0; y < ny; ++y) {
    const float* row = frame.image.data + y * nx;
    row_seen(row);
    if (binning > 0 && y / binning < my) add(row, binning, mx, frame.small.data() + y / binning * mx);
  }
  const float scale = 1.0f / static_cast<float>(std::max<index_t>(1, binning * binning));
  for (float& v : frame.small) v *= scale;
}

}  // namespace

Frame look(View2<const float> image, index_t binning) {
  Frame frame;
  frame.image = image;
  bool finite = true, counts = true;
  const auto facts = CRYOLITH_SELECT(row_facts);
  bin_rows(frame, binning, [&](const float* row) { facts(row, image.extent[1], finite, counts); });
  frame.counts = counts;
  if (finite) return frame;
  fill(frame);
  bin(frame, binning);
  return frame;
}

void bin(Frame& frame, index_t binning) {
  bin_rows(frame, binning, [](const float*) {});
}

std::vector<float> edge_window(index_t n, double taper, double offset) {
  std::vector<float> w(static_cast<std::size_t>(n));
  const double width = std::max(1.0, taper), last = static_cast<double>(n) - 1;
  for (index_t i = 0; i < n; ++i) {
    const double t = static_cast<double>(i) - offset;  // from the first to the last sample less half a pixel
    const double inside = std::clamp(std::min(t, last - t) / width, 0.0, 1.0);
    w[static_cast<std::size_t>(i)] = static_cast<float>(0.5 - 0.5 * std::cos(std::numbers::pi * inside));
  }
  return w;
}

Vec2 window_bend(const Patch& patch) {
  const auto along = [](const std::vector<float>& w) {
    double slopes = 0, squares = 0, before = 0;
    for (float v : w) {
      const auto here = static_cast<double>(v);
      slopes += (here - before) * (here - before), squares += here * here;
      before = here;
    }
    return squares > 0 ? slopes / squares : 0.0;
  };
  return {along(patch.wy), along(patch.wx)};
}

WindowSums::WindowSums(const Patch& patch) : apart(std::max<index_t>(1, patch.ny() / kMeanRows)) {
  std::vector<float> memory;
  double wx = 0, w2x = 0, w4x = 0;
  for (index_t y = 0; y < patch.ny(); ++y) {
    const double wy = static_cast<double>(patch.wy[static_cast<std::size_t>(y)]), wy2 = wy * wy;
    if (y == 0 || patch.weight != nullptr) {
      const float* w = window_along(patch, y, memory);
      wx = w2x = w4x = 0;
      for (index_t x = 0; x < patch.nx(); ++x) {
        const double v = static_cast<double>(w[x]), v2 = v * v;
        wx += v, w2x += v2, w4x += v2 * v2;
      }
    }
    if (y % apart == 0) weights += wy * wx;
    squares += wy2 * w2x, fourths += wy2 * wy2 * w4x;
  }
}

const float* window_along(const Patch& patch, index_t y, std::vector<float>& memory) {
  if (patch.weight == nullptr) return patch.wx.data();
  memory.resize(patch.wx.size());
  for (std::size_t x = 0; x < memory.size(); ++x)
    memory[x] = patch.wx[x] * patch.weight[static_cast<std::size_t>(y) * memory.size() + x];
  return memory.data();
}

WindowedPatch::WindowedPatch(const Frame& frame, Patch patch, bool stabilise)
    : image_(frame.image), patch_(std::move(patch)), stabilise_(stabilise), sums_(patch_) {
  const auto sum_row = CRYOLITH_SELECT(weighted_sum);
  double sum = 0;
  for (index_t y = 0; y < ny(); y += sums_.apart)
    sum += static_cast<double>(patch_.wy[static_cast<std::size_t>(y)]) *
           sum_row(pixels(y), window_along(patch_, y, weighted_), stabilise_, nx());
  mean_ = static_cast<float>(sums_.weights > 0 ? sum / sums_.weights : 0);
}

const float* WindowedPatch::pixels(index_t y) const {
  return image_.data + (patch_.y + y) * image_.extent[1] + patch_.x;
}

void WindowedPatch::row(index_t y, float* to) {
  const float wy = patch_.wy[static_cast<std::size_t>(y)];
  CRYOLITH_SELECT(window_row)(pixels(y), window_along(patch_, y, weighted_), wy, mean_, stabilise_, nx(), to);
}

double window_patch(const Frame& frame, const Patch& patch, bool stabilise, index_t py, index_t px, float* out) {
  WindowedPatch rows(frame, patch, stabilise);
  for (index_t y = 0; y < rows.ny(); ++y) {
    rows.row(y, out + y * px);
    std::fill(out + y * px + rows.nx(), out + (y + 1) * px, 0.0f);
  }
  std::fill(out + rows.ny() * px, out + py * px, 0.0f);
  return rows.independent(static_cast<double>(py) * static_cast<double>(px));
}

}  // namespace cryolith
