// SPDX-License-Identifier: BSD-3-Clause
#include "projection/geometry.hpp"

#include <algorithm>
#include <cmath>

#include "projection/sampling.hpp"

namespace cryolith {
namespace {

struct Interval {
  double low, high;
};

double pixels(index_t position) { return std::ldexp(static_cast<double>(position), -kPositionBits); }

// Narrows `in` to the i where begin - kTaps/2 <= start + i step < end - 1 + kTaps/2: elsewhere no tap is inside.
Interval clip(Interval in, const SampleLine& line, index_t lane, Range inside) {
  const double low = static_cast<double>(inside.begin) - 0.5 * kTaps;
  const double high = static_cast<double>(inside.end - 1) + 0.5 * kTaps;
  const double start = pixels(line.start + lane * line.lane), step = pixels(line.step);
  if (line.step == 0) return start >= low && start < high ? in : Interval{1.0, 0.0};
  const double a = (low - start) / step, b = (high - start) / step;
  return {std::max(in.low, std::min(a, b)), std::min(in.high, std::max(a, b))};
}

}  // namespace

Range united(Range a, Range b) {
  if (a.begin == a.end) return b;
  if (b.begin == b.end) return a;
  return {std::min(a.begin, b.begin), std::max(a.end, b.end)};
}

Range touching(const SampleGrid& g, index_t count, index_t lanes, Range image_rows, Range image_columns) {
  Range out{count, 0};
  for (index_t lane = 0; lane < lanes; ++lane) {
    Interval in{0.0, static_cast<double>(count - 1)};
    in = clip(in, g.row, lane, image_rows);
    in = clip(in, g.column, lane, image_columns);
    if (!(in.low <= in.high)) continue;
    out.begin = std::min(out.begin, std::max<index_t>(0, static_cast<index_t>(std::floor(in.low))));
    out.end = std::max(out.end, std::min(count, static_cast<index_t>(std::ceil(in.high)) + 1));
  }
  return out.begin < out.end ? out : Range{0, 0};
}

}  // namespace cryolith
