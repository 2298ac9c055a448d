// SPDX-License-Identifier: BSD-3-Clause
#include "detect/geodesic.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <queue>
#include <utility>
#include <vector>

#include "core/buffer.hpp"

namespace cryolith::detect {
namespace {

constexpr index_t kWatch = index_t{1} << 16;  // voxels between two looks at the caller
constexpr double kFar = std::numeric_limits<double>::infinity();

// weight (t - from)^2 is the squared slope along an axis.
struct Slope {
  double from, weight;
};

class March {
 public:
  March(View3<const std::uint8_t> mask, const double* spacing, View3<float> length)
      : mask_(mask), spacing_{spacing[0], spacing[1], spacing[2]}, length_(length), known_(mask.size()) {
    step_[0] = mask.extent[1] * mask.extent[2];
    step_[1] = mask.extent[2];
    step_[2] = 1;
  }

  void run(const Cpu& cpu) {
    for (index_t i = 0; i < mask_.size(); ++i)
      if (mask_.data[i] != 0 && std::isfinite(length_.data[i])) front_.emplace(length_.data[i], i);
    index_t done = 0;
    while (!front_.empty()) {
      const auto [value, at] = front_.top();
      front_.pop();
      if (known_[at]) continue;
      known_[at] = 1;
      if (++done % kWatch == 0) watch(cpu);
      for (int axis = 0; axis < 3; ++axis)
        for (int sign : {-1, 1})
          if (inside(at, axis, sign)) reach(at + sign * step_[axis]);
    }
  }

 private:
  static void watch(const Cpu& cpu) {
    if (cpu.cancel && cpu.cancel->cancelled()) throw Cancelled();
    if (cpu.poll) cpu.poll();
  }
  bool inside(index_t at, int axis, int steps) const {
    const index_t place = at / step_[axis] % mask_.extent[axis] + steps;
    return place >= 0 && place < mask_.extent[axis];
  }
  double known_at(index_t at, int axis, int steps) const {
    if (!inside(at, axis, steps)) return kFar;
    const index_t to = at + steps * step_[axis];
    return known_[to] ? static_cast<double>(length_.data[to]) : kFar;
  }

  void reach(index_t at) {
    if (mask_.data[at] == 0 || known_[at]) return;
    const auto value = static_cast<float>(arrival(at));
    if (!(value < length_.data[at])) return;
    length_.data[at] = value;
    front_.emplace(value, at);
  }

  double arrival(index_t at) const {
    Slope slopes[3];
    int count = 0;
    for (int axis = 0; axis < 3; ++axis) {
      const double below = known_at(at, axis, -1), above = known_at(at, axis, 1), one = std::min(below, above);
      if (!std::isfinite(one)) continue;
      const double two = known_at(at, axis, below <= above ? -2 : 2), h = spacing_[axis];
      // (3 t - 4 one + two) / (2 h), or (t - one) / h.
      const Slope slope = two <= one ? Slope{(4 * one - two) / 3, 9 / (4 * h * h)} : Slope{one, 1 / (h * h)};
      int place = count++;
      for (; place > 0 && slopes[place - 1].from > slope.from; --place) slopes[place] = slopes[place - 1];
      slopes[place] = slope;
    }
    double best = kFar, a = 0, b = 0, c = -1;  // a t^2 - 2 b t + c = 0
    for (int i = 0; i < count; ++i) {
      if (slopes[i].from >= best) break;
      a += slopes[i].weight;
      b += slopes[i].weight * slopes[i].from;
      c += slopes[i].weight * slopes[i].from * slopes[i].from;
      const double square = b * b - a * c;
      if (square < 0) break;
      best = (b + std::sqrt(square)) / a;
    }
    return best;
  }

  using Arrival = std::pair<float, index_t>;
  View3<const std::uint8_t> mask_;
  double spacing_[3];
  index_t step_[3];
  View3<float> length_;
  Buffer<std::uint8_t> known_;
  std::priority_queue<Arrival, std::vector<Arrival>, std::greater<>> front_;
};

}  // namespace

void geodesic(const Cpu& cpu, View3<const std::uint8_t> mask, const double* spacing, View3<float> length) {
  for (int i = 0; i < 3; ++i)
    require(mask.extent[i] == length.extent[i], "length: found ", length.extent[i], " elements along axis ", i,
            ", expected ", mask.extent[i], " as in mask");
  if (cpu.cancel && cpu.cancel->cancelled()) throw Cancelled();
  March(mask, spacing, length).run(cpu);
}

}  // namespace cryolith::detect
