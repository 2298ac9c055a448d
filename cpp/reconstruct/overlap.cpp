// SPDX-License-Identifier: BSD-3-Clause
#include "reconstruct/overlap.hpp"

#include <algorithm>
#include <cmath>

#include "core/error.hpp"

namespace cryolith {
namespace {

// out[c] += length max(0, 1 - |start + c step|)
void add_triangle(float start, float step, float length, index_t count, float* out) {
  for (index_t c = 0; c < count; ++c)
    out[c] += length * std::max(0.0f, 1.0f - std::abs(start + static_cast<float>(static_cast<std::int32_t>(c)) * step));
}

}  // namespace

void overlap_weights(const Cpu& cpu, View2<const double> slope, View1<const double> length, index_t columns,
                     View2<float> out) {
  const index_t rows = out.extent[0], half = out.extent[1], views = length.extent[0];
  require(half == columns / 2 + 1, "out: found ", half, " columns, expected ", columns / 2 + 1);
  require(slope.extent[0] == views && slope.extent[1] == 2, "slope: found ", slope.extent[0], " x ", slope.extent[1],
          ", expected ", views, " x 2");
  parallel_for(cpu, rows, [&](index_t row, int) {
    const double folded = static_cast<double>(2 * row > rows ? row - rows : row) / static_cast<double>(rows);
    float* line = out.data + row * half;
    std::fill(line, line + half, 0.0f);
    for (index_t j = 0; j < views; ++j) {
      const double start = slope.data[2 * j] * folded, step = slope.data[2 * j + 1] / static_cast<double>(columns);
      // Where the triangle is not 0: |start + c step| < 1.
      double low = 0.0, high = static_cast<double>(half - 1);
      if (step != 0.0) {
        low = std::max(low, std::min((-1.0 - start) / step, (1.0 - start) / step));
        high = std::min(high, std::max((-1.0 - start) / step, (1.0 - start) / step));
      } else if (std::abs(start) >= 1.0) {
        continue;
      }
      if (!(low <= high)) continue;
      const auto first = static_cast<index_t>(std::floor(low)), last = static_cast<index_t>(std::ceil(high));
      add_triangle(static_cast<float>(start + static_cast<double>(first) * step), static_cast<float>(step),
                   static_cast<float>(length.data[j]), last - first + 1, line + first);
    }
  });
}

}  // namespace cryolith
