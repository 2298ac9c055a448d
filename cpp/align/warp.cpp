// SPDX-License-Identifier: BSD-3-Clause
#include "align/warp.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "align/warp_kernels.hpp"
#include "core/error.hpp"
#include "projection/plan.hpp"

namespace cryolith {
namespace {

constexpr index_t kRowsPerBlock = 32;
// Positions are 2^-32 px in 64 bits: 2^30 px either way leave room for sums.
constexpr double kFarthest = 1 << 30;

index_t fixed(double x) { return static_cast<index_t>(std::llround(std::ldexp(x, kPositionBits))); }

void check_map(View2<const double> map, const index_t* extent, index_t axes) {
  require(map.extent[0] == axes && map.extent[1] == axes + 1, "map: found ", map.extent[0], " x ", map.extent[1],
          ", expected ", axes, " x ", axes + 1);
  for (index_t r = 0; r < axes; ++r) {
    double reach = std::abs(map.data[r * (axes + 1) + axes]);
    for (index_t c = 0; c < axes; ++c) reach += std::abs(map.data[r * (axes + 1) + c]) * static_cast<double>(extent[c]);
    require(reach < kFarthest, "map: row ", r, " leads ", reach, " px away, expected less than ", kFarthest);
  }
}

}  // namespace

void warp_image(const Cpu& cpu, View2<const float> image, View2<const double> map, View2<float> out) {
  check_map(map, out.extent, 2);
  const index_t height = out.extent[0], width = out.extent[1];
  const double* m = map.data;
  const Buffer<float> table = tap_table(kTaps, kKaiserBeta);
  const View3<const float> plane{image.data, {1, image.extent[0], image.extent[1]}};
  const auto warp = CRYOLITH_SELECT(warp_row);
  parallel_for(cpu, (height + kRowsPerBlock - 1) / kRowsPerBlock, [&](index_t block, int) {
    for (index_t y = block * kRowsPerBlock; y < std::min(height, (block + 1) * kRowsPerBlock); ++y) {
      const double row = static_cast<double>(y);
      const index_t at[3] = {0, fixed(m[0] * row + m[2]), fixed(m[3] * row + m[5])};
      const index_t step[3] = {0, fixed(m[1]), fixed(m[4])};
      warp({table.data()}, plane, at, step, width, out.data + y * width);
    }
  });
}

void warp_volume(const Cpu& cpu, View3<const float> volume, View2<const double> map, View3<float> out) {
  check_map(map, out.extent, 3);
  const index_t height = out.extent[1], width = out.extent[2];
  const Buffer<float> table = tap_table(kTaps, kKaiserBeta);
  const auto warp = CRYOLITH_SELECT(warp_row);
  parallel_for(cpu, out.extent[0], [&](index_t z, int) {
    for (index_t y = 0; y < height; ++y) {
      index_t at[3], step[3];
      for (index_t d = 0; d < 3; ++d) {
        const double* m = map.data + 4 * d;
        at[d] = fixed(m[0] * static_cast<double>(z) + m[1] * static_cast<double>(y) + m[3]);
        step[d] = fixed(m[2]);
      }
      warp({table.data()}, volume, at, step, width, out.data + (z * height + y) * width);
    }
  });
}

void log_polar(const Cpu& cpu, View2<const float> power, index_t nx, double low, double high, View2<float> out) {
  const index_t ny = power.extent[0], half = power.extent[1], angles = out.extent[0], radii = out.extent[1];
  require(half == nx / 2 + 1, "power: found ", half, " columns, expected ", nx / 2 + 1);
  require(low > 0 && low < high && high * static_cast<double>(nx) <= static_cast<double>(half - 1) && high < 0.5,
          "high: found ", high, " and low ", low, " cycles/px, expected 0 < low < high < 0.5");
  require(radii >= 2, "out: found ", radii, " radii, expected at least 2");
  const double growth = std::log(high / low) / static_cast<double>(radii - 1);
  parallel_for(cpu, angles, [&](index_t i, int) {
    const double angle = std::numbers::pi * (static_cast<double>(i) / static_cast<double>(angles) - 0.5);
    const double sine = std::sin(angle) * static_cast<double>(ny), cosine = std::cos(angle) * static_cast<double>(nx);
    for (index_t j = 0; j < radii; ++j) {
      const double f = low * std::exp(growth * static_cast<double>(j));
      const double y = f * sine, x = std::clamp(f * cosine, 0.0, static_cast<double>(half - 1));
      const index_t y0 = static_cast<index_t>(std::floor(y)), x0 = std::min(static_cast<index_t>(x), half - 2);
      const float fy = static_cast<float>(y - static_cast<double>(y0)),
                  fx = static_cast<float>(x - static_cast<double>(x0));
      const float* top = power.data + (y0 + ny) % ny * half + x0;
      const float* bottom = power.data + (y0 + 1 + ny) % ny * half + x0;
      const float above = top[0] + fx * (top[1] - top[0]), below = bottom[0] + fx * (bottom[1] - bottom[0]);
      out.data[i * radii + j] = above + fy * (below - above);
    }
  });
}

namespace {

// Adds what a row at these coordinates (1, (z,) y) contributes; the last term, x, varies along it.
void add_row(index_t d, const double* terms, const RowMoments& row, double* to) {
  for (index_t i = 0; i < d; ++i)
    for (index_t k = 0; k <= d; ++k) *to++ += k < d ? terms[k] * row.slopes[i][0] : row.slopes[i][1];
  for (index_t p = 0; p < d * (d + 1) / 2; ++p)
    for (index_t k = 0; k <= d; ++k)
      for (index_t l = k; l <= d; ++l)
        *to++ += (k < d ? terms[k] : 1.0) * (l < d ? terms[l] : 1.0) * row.bends[p][(k == d) + (l == d)];
}

}  // namespace

void displacement_sums(const Cpu& cpu, const View<const float, 4>& a, const View<const float, 4>& b,
                       View2<const double> axes, View1<double> out) {
  const index_t d = a.extent[0] - 1, nz = a.extent[1], ny = a.extent[2], nx = a.extent[3];
  require(d == 3 || (d == 2 && nz == 1), "a: found ", a.extent[0], " x ", nz, " planes, expected 4, or 3 x 1");
  for (int k = 0; k < 4; ++k)
    require(a.extent[k] == b.extent[k], "b: found ", b.extent[k], " along axis ", k, ", expected ", a.extent[k]);
  require(axes.extent[0] == d && axes.extent[1] == 2, "axes: found ", axes.extent[0], " x ", axes.extent[1],
          ", expected ", d, " x 2");
  const index_t length = d * (1 + d) + d * (d + 1) / 2 * ((1 + d) * (2 + d) / 2);
  require(out.extent[0] == length, "out: found ", out.extent[0], " sums, expected ", length);
  const auto at = [&](index_t axis, index_t k) {
    return axes.data[2 * axis] + axes.data[2 * axis + 1] * static_cast<double>(k);
  };
  const index_t rows = nz * ny, blocks = (rows + kRowsPerBlock - 1) / kRowsPerBlock;
  std::vector<double> parts(static_cast<std::size_t>(blocks * length));
  const auto along = CRYOLITH_SELECT(row_moments);
  parallel_for(cpu, blocks, [&](index_t block, int) {
    for (index_t r = block * kRowsPerBlock; r < std::min(rows, (block + 1) * kRowsPerBlock); ++r) {
      GradientRow of_a{}, of_b{};
      for (index_t k = 0; k <= d; ++k) {
        of_a.of[k] = a.data + (k * rows + r) * nx;
        of_b.of[k] = b.data + (k * rows + r) * nx;
      }
      RowMoments sums;
      along(static_cast<int>(d), of_a, of_b, static_cast<float>(at(d - 1, 0)), static_cast<float>(axes.data[2 * d - 1]),
            nx, sums);
      const double terms[kMostAxes] = {1.0, d == 3 ? at(0, r / ny) : at(0, r), d == 3 ? at(1, r % ny) : 0.0};
      add_row(d, terms, sums, parts.data() + block * length);
    }
  });
  for (index_t k = 0; k < length; ++k) {
    out.data[k] = 0;
    for (index_t block = 0; block < blocks; ++block) out.data[k] += parts[static_cast<std::size_t>(block * length + k)];
  }
}

}  // namespace cryolith
