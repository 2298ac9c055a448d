// SPDX-License-Identifier: BSD-3-Clause
#include "align/prepare.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/error.hpp"

namespace cryolith {
namespace {

constexpr double kRangesAbove = 3.0;  // Gauss noise passes 8.5 + 1.4 sigma about once in 1e20 pixels
constexpr double kSigmasAbove = 8.0;  // the floor where the neighbours are all equal, as in counting images
constexpr double kRounding = 1e-6;    // px: a map that ends on the border pixel stays inside
constexpr double kMeanToSigma = 1.2533141373155003;  // sqrt(pi / 2): from the mean of |x| to sigma

constexpr index_t kLanes = 64;         // columns sorted side by side
constexpr float kSurelyWithin = 2.9f;  // below kRangesAbove, so that rounding to float loses no spike

// Three rows of an image; above the first and below the last there is none.
struct Rows {
  const float *above, *row, *below;
};

struct Around {
  float low, median, high;
  int count;
};

Around neighbours(const Rows& rows, index_t nx, index_t x) {
  float v[8];
  int count = 0;
  for (const float* line : {rows.above, rows.row, rows.below}) {
    if (line == nullptr) continue;
    for (index_t i = std::max<index_t>(0, x - 1); i <= std::min(nx - 1, x + 1); ++i) {
      const float p = line[i];
      if ((line == rows.row && i == x) || std::isnan(p)) continue;
      int k = count++;  // insertion keeps the values sorted; eight need no more
      for (; k > 0 && v[k - 1] > p; --k) v[k] = v[k - 1];
      v[k] = p;
    }
  }
  if (count < 3) return {0, 0, 0, count};
  return {v[0], 0.5f * (v[(count - 1) / 2] + v[count / 2]), v[count - 1], count};
}

// Sorts eight values of each lane: the network of 19 exchanges (Knuth, TAOCP 3, section 5.3.4).
void sort8(float (&v)[8][kLanes]) {
  constexpr int kExchanges[19][2] = {{0, 2}, {1, 3}, {4, 6}, {5, 7}, {0, 4}, {1, 5}, {2, 6}, {3, 7}, {0, 1}, {2, 3},
                                     {4, 5}, {6, 7}, {2, 4}, {3, 5}, {1, 4}, {3, 6}, {1, 2}, {3, 4}, {5, 6}};
  for (const auto& e : kExchanges) {
    float *a = v[e[0]], *b = v[e[1]];
    for (index_t l = 0; l < kLanes; ++l) {
      const float low = b[l] < a[l] ? b[l] : a[l], high = b[l] < a[l] ? a[l] : b[l];
      a[l] = low;
      b[l] = high;
    }
  }
}

bool any_missing(const Rows& rows, index_t nx) {
  for (const float* line : {rows.above, rows.row, rows.below}) {
    bool missing = false;
    for (index_t x = 0; x < nx; ++x) missing |= line[x] != line[x];
    if (missing) return true;
  }
  return false;
}

// A pixel far outside of what lies around it, if the floor of the margin allows.
struct Spike {
  index_t at;
  Around around;
};

// By how much p lies outside of its neighbours, where that is more than kRangesAbove of their range; else 0.
double excess(float p, const Around& a) {
  const double outside = std::max(static_cast<double>(p) - a.high, static_cast<double>(a.low) - p);
  return outside > kRangesAbove * (static_cast<double>(a.high) - a.low) ? outside : 0;
}

// One image: the sum of what its pixels differ from the medians around them, how many did, and what may be a spike.
class Differences {
 public:
  Differences(const float* image, index_t ny, index_t nx) : nx_(nx) {
    for (index_t y = 0; y < ny; ++y) {
      const float* row = image + y * nx;
      look_around({y > 0 ? row - nx : nullptr, row, y + 1 < ny ? row + nx : nullptr}, y * nx);
    }
    for (const double part : lanes_) sum_ += part;
  }

  double mean() const { return used_ ? sum_ / static_cast<double>(used_) : 0; }
  const std::vector<Spike>& spikes() const { return spikes_; }

 private:
  // By lanes where all eight neighbours are there, else one by one.
  void look_around(const Rows& rows, index_t at) {
    const bool whole = rows.above != nullptr && rows.below != nullptr && !any_missing(rows, nx_);
    index_t x = 0;
    const auto singly = [&](index_t end) {
      for (; x < end; ++x) look_at(rows.row[x], neighbours(rows, nx_, x), at + x);
    };
    singly(whole ? 1 : nx_);
    for (; x + kLanes < nx_; x += kLanes) look_at_lanes(rows, x, at);
    singly(nx_);
  }

  void look_at(float p, const Around& around, index_t at) {
    if (around.count < 3 || std::isnan(p)) return;
    sum_ += std::abs(static_cast<double>(p) - around.median);
    ++used_;
    if (excess(p, around) > 0) spikes_.push_back({at, around});
  }

  void look_at_lanes(const Rows& rows, index_t x, index_t at) {
    float v[8][kLanes], median[kLanes];
    const float* from[8] = {rows.above + x - 1, rows.above + x,     rows.above + x + 1, rows.row + x - 1,
                            rows.row + x + 1,   rows.below + x - 1, rows.below + x,     rows.below + x + 1};
    for (int k = 0; k < 8; ++k) std::copy_n(from[k], kLanes, v[k]);
    sort8(v);
    const float *p = rows.row + x, *low = v[0], *high = v[7];
    int far = 0;
    for (index_t l = 0; l < kLanes; ++l) {
      median[l] = 0.5f * (v[3][l] + v[4][l]);
      lanes_[l] += std::abs(static_cast<double>(p[l]) - static_cast<double>(median[l]));
      const float margin = kSurelyWithin * (high[l] - low[l]);
      far |= static_cast<int>(p[l] > high[l] + margin) | static_cast<int>(p[l] < low[l] - margin);
    }
    used_ += kLanes;
    if (far == 0) return;
    for (index_t l = 0; l < kLanes; ++l) {
      const Around around{low[l], median[l], high[l], 8};
      if (excess(p[l], around) > 0) spikes_.push_back({at + x + l, around});
    }
  }

  index_t nx_, used_ = 0;
  double sum_ = 0, lanes_[kLanes] = {};
  std::vector<Spike> spikes_;
};

index_t despike_one(float* image, index_t ny, index_t nx) {
  const Differences found(image, ny, nx);
  const double floor = kSigmasAbove * kMeanToSigma * found.mean();
  index_t replaced = 0;
  for (const Spike& spike : found.spikes())
    if (excess(image[spike.at], spike.around) > floor) {
      image[spike.at] = spike.around.median;
      ++replaced;
    }
  return replaced;
}

void add_scaled(float* out, const float* in, float weight, index_t count) {
  for (index_t i = 0; i < count; ++i) out[i] += weight * in[i];
}

void check_axis(const AxisMap& map, index_t inputs, index_t outputs, const char* name) {
  require(map.weight.extent[0] == outputs && map.source.extent[0] == outputs, name, ": found ", map.weight.extent[0],
          " outputs, expected ", outputs);
  require(map.weight.extent[1] == map.source.extent[1], name, ": weights and sources differ in taps");
  for (index_t k = 0; k < map.source.size(); ++k)
    require(map.source.data[k] >= 0 && map.source.data[k] < inputs, name, ": source ", map.source.data[k],
            " is outside 0 to ", inputs - 1);
}

}  // namespace

void despike(const Cpu& cpu, View3<float> images, View1<index_t> replaced) {
  const index_t n = images.extent[0], ny = images.extent[1], nx = images.extent[2];
  require(ny >= 3 && nx >= 3, "images: found ", ny, " x ", nx, " pixels, expected at least 3 x 3");
  require(replaced.extent[0] == n, "replaced: found ", replaced.extent[0], " entries, expected ", n);
  parallel_for(cpu, n, [&](index_t i, int) { replaced.data[i] = despike_one(images.data + i * ny * nx, ny, nx); });
}

void reduce_images(const Cpu& cpu, View3<const float> images, const AxisMap& rows, const AxisMap& columns,
                   View3<float> out) {
  const index_t n = images.extent[0], ny = images.extent[1], nx = images.extent[2];
  const index_t my = out.extent[1], mx = out.extent[2];
  require(out.extent[0] == n, "out: found ", out.extent[0], " images, expected ", n);
  check_axis(rows, ny, my, "rows");
  check_axis(columns, nx, mx, "columns");
  const index_t row_taps = rows.weight.extent[1], column_taps = columns.weight.extent[1];
  parallel_for(cpu, n, [&](index_t i, int) {
    const float* image = images.data + i * ny * nx;
    std::vector<float> row(static_cast<std::size_t>(nx));
    for (index_t y = 0; y < my; ++y) {
      std::fill(row.begin(), row.end(), 0.0f);
      for (index_t k = 0; k < row_taps; ++k)
        add_scaled(row.data(), image + rows.source.data[y * row_taps + k] * nx, rows.weight.data[y * row_taps + k], nx);
      float* to = out.data + (i * my + y) * mx;
      for (index_t x = 0; x < mx; ++x) {
        float sum = 0;
        for (index_t k = 0; k < column_taps; ++k)
          sum += columns.weight.data[x * column_taps + k] *
                 row[static_cast<std::size_t>(columns.source.data[x * column_taps + k])];
        to[x] = sum;
      }
    }
  });
}

void resample_images(const Cpu& cpu, View3<const float> images, View3<const double> map, View1<const float> fill,
                     View3<float> out) {
  const index_t n = images.extent[0], ny = images.extent[1], nx = images.extent[2];
  const index_t my = out.extent[1], mx = out.extent[2];
  require(out.extent[0] == n && map.extent[0] == n && fill.extent[0] == n, "images: found ", n, ", but ", out.extent[0],
          " outputs, ", map.extent[0], " maps and ", fill.extent[0], " fill values");
  require(map.extent[1] == 2 && map.extent[2] == 3, "map: found ", map.extent[1], " x ", map.extent[2],
          ", expected 2 x 3");
  parallel_for(cpu, n, [&](index_t i, int) {
    const float* image = images.data + i * ny * nx;
    const double* m = map.data + i * 6;
    for (index_t r = 0; r < my; ++r)
      for (index_t c = 0; c < mx; ++c) {
        double y = m[0] * static_cast<double>(r) + m[1] * static_cast<double>(c) + m[2];
        double x = m[3] * static_cast<double>(r) + m[4] * static_cast<double>(c) + m[5];
        float& to = out.data[(i * my + r) * mx + c];
        const double bottom_row = static_cast<double>(ny - 1), last_column = static_cast<double>(nx - 1);
        if (!(y >= -kRounding && x >= -kRounding && y <= bottom_row + kRounding && x <= last_column + kRounding)) {
          to = fill.data[i];
          continue;
        }
        y = std::clamp(y, 0.0, bottom_row);
        x = std::clamp(x, 0.0, last_column);
        const index_t y0 = std::min(static_cast<index_t>(y), std::max<index_t>(ny - 2, 0));
        const index_t x0 = std::min(static_cast<index_t>(x), std::max<index_t>(nx - 2, 0));
        const index_t y1 = std::min(y0 + 1, ny - 1), x1 = std::min(x0 + 1, nx - 1);
        const float fy = static_cast<float>(y - static_cast<double>(y0)),
                    fx = static_cast<float>(x - static_cast<double>(x0));
        const float top = image[y0 * nx + x0] + fx * (image[y0 * nx + x1] - image[y0 * nx + x0]);
        const float bottom = image[y1 * nx + x0] + fx * (image[y1 * nx + x1] - image[y1 * nx + x0]);
        to = top + fy * (bottom - top);
      }
  });
}

}  // namespace cryolith
