// SPDX-License-Identifier: BSD-3-Clause
#include "detect/maxima.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>

#include "detect/maxima.kernel.hpp"
#include "detect/scale_kernels.hpp"

namespace cryolith::detect {
namespace {

// Magnitudes as integers: their order is that of the floats, and loops over them become vector instructions.
std::int32_t magnitude(float value) { return std::bit_cast<std::int32_t>(value) & 0x7fffffff; }

using Vector4 = std::array<double, 4>;
using Matrix4 = std::array<Vector4, 4>;

// Solves a x = b for the axes from `first` on by elimination with row pivots; false if a is singular.
bool solve(Matrix4 a, Vector4 b, std::size_t first, Vector4& x) {
  for (std::size_t i = first; i < 4; ++i) {
    std::size_t pivot = i;
    for (std::size_t j = i + 1; j < 4; ++j)
      if (std::abs(a[j][i]) > std::abs(a[pivot][i])) pivot = j;
    if (a[pivot][i] == 0.0) return false;
    std::swap(a[i], a[pivot]);
    std::swap(b[i], b[pivot]);
    for (std::size_t j = i + 1; j < 4; ++j) {
      const double factor = a[j][i] / a[i][i];
      for (std::size_t k = i; k < 4; ++k) a[j][k] -= factor * a[i][k];
      b[j] -= factor * b[i];
    }
  }
  for (std::size_t i = 4; i-- > first;) {
    x[i] = b[i];
    for (std::size_t k = i + 1; k < 4; ++k) x[i] -= a[i][k] * x[k];
    x[i] /= a[i][i];
  }
  return true;
}

class Finder {
 public:
  Finder(const Scales& scales, const index_t (&extent)[3], double index)
      : cells_{scales.below, scales.here, scales.above, extent[1] * scales.row, scales.row},
        fields_{scales.below, scales.here, scales.above},
        step_{0, extent[1] * scales.row, scales.row, 1},
        index_(index),
        inner_(scales.below && scales.above) {}

  bool dominates(index_t at, float sign) const { return cells_.dominates<PlainMemory>(at, sign); }

  Peak refine(index_t at, index_t z, index_t y, index_t x) const {
    const std::size_t first = inner_ ? 0 : 1;
    Vector4 slope{}, shift{};
    Matrix4 curvature{};
    const double centre = value(at, 0, 0);
    for (std::size_t i = first; i < 4; ++i) {
      const double up = along(at, i, 1), down = along(at, i, -1);
      slope[i] = (up - down) / 2;
      curvature[i][i] = up + down - 2 * centre;
      for (std::size_t j = first; j < i; ++j)
        curvature[i][j] = curvature[j][i] = (diagonal(at, i, 1, j, 1) + diagonal(at, i, -1, j, -1) -
                                             diagonal(at, i, 1, j, -1) - diagonal(at, i, -1, j, 1)) /
                                            4;
    }
    if (solve(curvature, slope, first, shift)) {
      const double reach = std::abs(
          *std::max_element(shift.begin(), shift.end(), [](double a, double b) { return std::abs(a) < std::abs(b); }));
      for (double& d : shift) d = reach > 1.0 ? std::clamp(-d, -0.5, 0.5) : -d;
    }
    double height = centre;
    for (std::size_t i = first; i < 4; ++i) height += 0.5 * slope[i] * shift[i];
    return {height, index_ + shift[0], static_cast<double>(z) + shift[1], static_cast<double>(y) + shift[2],
            static_cast<double>(x) + shift[3]};
  }

 private:
  double value(index_t at, int scale, index_t offset) const {
    return static_cast<double>(fields_[scale + 1][at + offset]);
  }
  double along(index_t at, std::size_t axis, int sign) const {
    return axis == 0 ? value(at, sign, 0) : value(at, 0, sign * step_[axis]);
  }
  double diagonal(index_t at, std::size_t i, int si, std::size_t j, int sj) const {  // i > j
    return j == 0 ? value(at, sj, si * step_[i]) : value(at, 0, si * step_[i] + sj * step_[j]);
  }

  ScaleCells cells_;
  const float* fields_[3];
  index_t step_[4];
  double index_;
  bool inner_;
};

}  // namespace

Peak refined_peak(const PeakCells& cells, bool below, bool above, double scale, index_t z, index_t y, index_t x) {
  constexpr index_t extent[3] = {3, 3, 3};
  const Scales scales{below ? cells.of[0] : nullptr, cells.of[1], above ? cells.of[2] : nullptr, 3};
  return Finder(scales, extent, scale).refine(kCells / 2, z, y, x);
}

index_t scale_maxima(const Cpu& cpu, const Scales& scales, const index_t (&extent)[3], index_t margin, double index,
                     float threshold, float middle, std::vector<Peak>& peaks) {
  require(margin >= 1, "margin: found ", margin, ", expected 1 or more");
  for (const index_t n : extent)
    require(n > 2 * margin, "margin: found ", margin, " for an axis of ", n, " voxels, expected less than half of it");
  require(scales.row >= extent[2], "row: found ", scales.row, " floats, expected ", extent[2], " or more");
  const Finder finder(scales, extent, index);
  const index_t layers = extent[0] - 2 * margin, ny = extent[1], nx = extent[2];
  std::vector<std::vector<Peak>> found(static_cast<std::size_t>(layers));
  std::vector<index_t> counts(static_cast<std::size_t>(layers), 0);
  const std::int32_t high = magnitude(threshold), low = magnitude(middle);
  const auto survey = CRYOLITH_SELECT(survey_row);
  const index_t across = nx - 2 * margin, chunks = (across + kChunk - 1) / kChunk;
  parallel_for(cpu, layers, [&](index_t block, int) {
    const index_t z = margin + block;
    std::vector<std::int32_t> largest(static_cast<std::size_t>(chunks));
    index_t inside = 0;
    for (index_t y = margin; y < ny - margin; ++y) {
      const index_t row = (z * ny + y) * scales.row;
      inside += survey(scales.here + row + margin, across, low, largest.data());
      for (index_t chunk = 0; chunk < chunks; ++chunk) {
        if (largest[static_cast<std::size_t>(chunk)] <= high) continue;
        const index_t begin = margin + chunk * kChunk, end = std::min(begin + kChunk, nx - margin);
        for (index_t x = begin; x < end; ++x) {
          const float own = scales.here[row + x];
          if (magnitude(own) > high && finder.dominates(row + x, own > 0 ? 1.0f : -1.0f))
            found[static_cast<std::size_t>(block)].push_back(finder.refine(row + x, z, y, x));
        }
      }
    }
    counts[static_cast<std::size_t>(block)] = inside;
  });
  index_t total = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    peaks.insert(peaks.end(), found[i].begin(), found[i].end());
    total += counts[i];
  }
  return total;
}

}  // namespace cryolith::detect
