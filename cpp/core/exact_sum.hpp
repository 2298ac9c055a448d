// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <cmath>
#include <utility>
#include <vector>

namespace cryolith {

// A sum of float64 numbers without rounding: parts that do not overlap, smallest first (Shewchuk, Discrete Comput.
// Geom. 18 (1997) 305, theorem 10; as in Python's math.fsum). The order of adding does not matter, so that work cut in
// any way gives the same bits. With an infinity or NaN among the numbers the sum is what plain addition makes of those.
class ExactSum {
 public:
  ExactSum& operator+=(double x) {
    if (!std::isfinite(x)) {
      beyond_ += x;
      return *this;
    }
    std::size_t kept = 0;
    for (double part : parts_) {
      if (std::abs(x) < std::abs(part)) std::swap(x, part);
      const double high = x + part, low = part - (high - x);
      if (low != 0.0) parts_[kept++] = low;
      x = high;
    }
    parts_.resize(kept);
    if (x != 0.0) parts_.push_back(x);
    return *this;
  }
  ExactSum& operator+=(const ExactSum& other) {
    const std::vector<double> parts = other.parts_;  // may be this one
    beyond_ += other.beyond_;
    for (double part : parts) *this += part;
    return *this;
  }
  // Numbers that add up to it, in another process too; with an infinity or NaN, what these came to is among them.
  std::vector<double> parts() const {
    std::vector<double> all = parts_;
    if (!(beyond_ == 0.0)) all.push_back(beyond_);
    return all;
  }
  // The sum, rounded once.
  double value() const {
    if (!(beyond_ == 0.0)) return beyond_;
    if (parts_.empty()) return 0.0;
    std::size_t i = parts_.size() - 1;
    double high = parts_[i], low = 0.0;
    while (i > 0 && low == 0.0) {  // the first part that does not vanish in the rounding decides it
      const double x = high, y = parts_[--i];
      high = x + y;
      low = y - (high - x);
    }
    // Half way between two numbers, the next part says to which side.
    if (i > 0 && ((low < 0.0 && parts_[i - 1] < 0.0) || (low > 0.0 && parts_[i - 1] > 0.0))) {
      const double doubled = 2.0 * low, moved = high + doubled;
      if (doubled == moved - high) high = moved;
    }
    return high;
  }

 private:
  std::vector<double> parts_;
  double beyond_ = 0.0;
};

}  // namespace cryolith
