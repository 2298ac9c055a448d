// SPDX-License-Identifier: BSD-3-Clause
#include "detect/skeleton.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <vector>

#include "detect/by_distance.hpp"
#include "detect/neighbourhood.hpp"

namespace cryolith::detect {
namespace {

constexpr index_t kWatch = index_t{1} << 18;  // voxels between two looks at the caller: some 20 ms

// Towards the middle of a ball the distance rises by 1 a length; along the axis of a cone by the sine of half its
// angle. So a line leads into cones of up to 74 degrees, and not into round ends. Steps of one voxel do not tell: next
// to the surface distances are those of voxels.
constexpr double kSteep = 0.6;
constexpr int kClimb = 3;
constexpr Cube kSimple = 1u << 27;
constexpr int kKnownBits = 13;  // 32 KiB

class Thinning {
 public:
  Thinning(View3<const float> distance, const double* spacing, View3<std::uint8_t> mask)
      : distance_(distance),
        mask_(mask),
        spacing_{spacing[0], spacing[1], spacing[2]},
        inside_(mask.extent),
        waiting_(mask.extent) {
    index_t i = 0;
    for (index_t z = 0; z < mask.extent[0]; ++z)
      for (index_t y = 0; y < mask.extent[1]; ++y)
        for (index_t x = 0; x < mask.extent[2]; ++x, ++i)
          if (mask.data[i] != 0) inside_.set(z, y, x);
  }

  void run(const Cpu& cpu) {
    const std::vector<Ordered> order = by_distance(distance_, mask_);
    for (std::size_t from = 0; from < order.size();) {
      const float level = order[from].distance;
      for (; from < order.size() && order[from].distance == level; ++from) queue(order[from].at);
      while (pending_ > 0) generation(cpu);
    }
    index_t i = 0;
    for (index_t z = 0; z < mask_.extent[0]; ++z)
      for (index_t y = 0; y < mask_.extent[1]; ++y)
        for (index_t x = 0; x < mask_.extent[2]; ++x, ++i)
          if (mask_.data[i] != 0 && !inside_.test(z, y, x)) mask_.data[i] = 0;
  }

 private:
  struct At {
    index_t z, y, x;
  };
  At at(index_t i) const {
    const index_t ny = mask_.extent[1], nx = mask_.extent[2];
    return {i / nx / ny, i / nx % ny, i % nx};
  }

  void queue(index_t i) {
    const auto [z, y, x] = at(i);
    next_[static_cast<std::size_t>((z & 1) * 4 + (y & 1) * 2 + (x & 1))].push_back(i);
    ++pending_;
  }

  // Looks at all queued voxels once; what a voxel's going uncovers is looked at in the next generation.
  void generation(const Cpu& cpu) {
    std::swap(now_, next_);
    pending_ = 0;
    for (auto& parity : now_) {
      for (index_t i : parity) {
        if (++looked_ % kWatch == 0) watch(cpu);
        look(i);
      }
      parity.clear();
    }
  }

  void look(index_t i) {
    const auto [z, y, x] = at(i);
    const Cube around = inside_.around(z, y, x);
    if (is_end(around) ? ends_phase({z, y, x}) : !simple(around)) {
      waiting_.set(z, y, x);
      return;
    }
    inside_.clear(z, y, x);
    for (Cube left = waiting_.around(z, y, x); left != 0; left &= left - 1) {
      const int bit = std::countr_zero(left);
      const index_t to[3] = {z + bit / 9 - 1, y + bit / 3 % 3 - 1, x + bit % 3 - 1};
      waiting_.clear(to[0], to[1], to[2]);
      queue((to[0] * mask_.extent[1] + to[1]) * mask_.extent[2] + to[2]);
    }
  }

  // Whether a voxel with one neighbour stays: not where the distance rises from it as towards the middle of a ball.
  bool ends_phase(const At& end) const {
    At top = end;
    for (int step = 0; step < kClimb; ++step) {
      const At next = highest_beside(top);
      if (!(depth(next) > depth(top))) break;
      top = next;
    }
    const double dz = static_cast<double>(top.z - end.z) * spacing_[0],
                 dy = static_cast<double>(top.y - end.y) * spacing_[1],
                 dx = static_cast<double>(top.x - end.x) * spacing_[2];
    const double rise = static_cast<double>(depth(top)) - static_cast<double>(depth(end));
    return rise <= kSteep * std::sqrt(dz * dz + dy * dy + dx * dx);
  }
  At highest_beside(const At& from) const {
    At best = from;
    const auto last = [this](index_t at, int axis) { return std::min(at + 1, mask_.extent[axis] - 1); };
    for (index_t z = std::max<index_t>(from.z - 1, 0); z <= last(from.z, 0); ++z)
      for (index_t y = std::max<index_t>(from.y - 1, 0); y <= last(from.y, 1); ++y)
        for (index_t x = std::max<index_t>(from.x - 1, 0); x <= last(from.x, 2); ++x)
          if (depth({z, y, x}) > depth(best)) best = {z, y, x};
    return best;
  }
  float depth(const At& at) const { return distance_.data[(at.z * mask_.extent[1] + at.y) * mask_.extent[2] + at.x]; }

  // The same surroundings come again and again.
  bool simple(Cube around) {
    Cube& known = known_[(around * 0x9E3779B1u) >> (32 - kKnownBits)];
    if ((known & kAll) != around) known = around | (is_simple(around) ? kSimple : 0u);
    return (known & kSimple) != 0;
  }

  static void watch(const Cpu& cpu) {
    if (cpu.cancel && cpu.cancel->cancelled()) throw Cancelled();
    if (cpu.poll) cpu.poll();
  }

  View3<const float> distance_;
  View3<std::uint8_t> mask_;
  double spacing_[3];
  BitCube inside_;   // what is left
  BitCube waiting_;  // of that, what was looked at and is not queued
  std::array<std::vector<index_t>, 8> now_, next_;
  std::vector<Cube> known_ = std::vector<Cube>(std::size_t{1} << kKnownBits);
  index_t pending_ = 0, looked_ = 0;
};

}  // namespace

void thin(const Cpu& cpu, View3<const float> distance, const double* spacing, View3<std::uint8_t> mask) {
  for (int i = 0; i < 3; ++i)
    require(distance.extent[i] == mask.extent[i], "mask: found ", mask.extent[i], " elements along axis ", i,
            ", expected ", distance.extent[i], " as in distance");
  Thinning(distance, spacing, mask).run(cpu);
}

}  // namespace cryolith::detect
