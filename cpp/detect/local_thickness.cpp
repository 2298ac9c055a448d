// SPDX-License-Identifier: BSD-3-Clause
#include "detect/local_thickness.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

#include "core/buffer.hpp"

namespace cryolith::detect {
namespace {

constexpr index_t kSlices = 16;  // that one block paints
// Distances are float32: a voxel just on a ball's surface may seem to lie inside. 2^-20 is above their rounding and
// below the step from one square to the next up to 10^6.
constexpr double kOnSurface = 1 + 0x1p-20;

struct Ball {
  float radius;
  index_t at;
};

// For each squared radius of a ball in voxels how large the ball about a neighbour has to be to hold its voxels.
class Containment {
 public:
  // `largest` squared radius in voxels.
  explicit Containment(index_t largest) {
    const index_t reach = static_cast<index_t>(std::sqrt(static_cast<double>(largest))) + 1;
    for (auto& needed : needed_) needed.assign(static_cast<std::size_t>(largest) + 2, 0);
    // |p + e|^2 = |p|^2 + |e|^2 + 2 p.e is largest where p lies along e: z >= y >= x >= 0 has all there is to see.
    for (index_t z = 0; z <= reach; ++z)
      for (index_t y = 0; y <= z; ++y)
        for (index_t x = 0; x <= y; ++x) {
          const index_t square = z * z + y * y + x * x;
          if (square > largest) break;
          const index_t dots[3] = {z, z + y, z + y + x};
          for (index_t kind = 0; kind < 3; ++kind) {
            auto& needed = needed_[static_cast<std::size_t>(kind)][static_cast<std::size_t>(square) + 1];
            needed = std::max(needed, square + kind + 1 + 2 * dots[kind]);
          }
        }
    for (auto& needed : needed_)
      for (std::size_t i = 1; i < needed.size(); ++i) needed[i] = std::max(needed[i], needed[i - 1]);
  }
  // Whether all voxels nearer than the root of `square` to a voxel are nearer than the root of `beside` to one of its
  // neighbours, which share a face (kind 0), an edge (1) or a corner (2).
  bool holds(index_t square, index_t beside, int kind) const {
    return beside > needed_[static_cast<std::size_t>(kind)][static_cast<std::size_t>(square)];
  }

 private:
  std::array<std::vector<index_t>, 3> needed_;  // of balls of voxels with |p|^2 < index
};

class Thickness {
 public:
  Thickness(View3<const float> distance, const double* spacing)
      : distance_(distance), spacing_{spacing[0], spacing[1], spacing[2]} {
    equal_ = spacing[0] == spacing[1] && spacing[1] == spacing[2];
  }

  void find(const Cpu& cpu) {
    const index_t nz = distance_.extent[0];
    float largest = 0;
    for (index_t i = 0; i < distance_.size(); ++i) largest = std::max(largest, distance_.data[i]);
    require(std::isfinite(largest), "distance: found infinity, expected a background voxel");
    const Containment containment(equal_ ? square_of(largest) : 0);
    std::vector<std::vector<Ball>> found(static_cast<std::size_t>(nz));
    parallel_for(cpu, nz, [&](index_t z, int) { find_in(z, containment, found[static_cast<std::size_t>(z)]); });
    for (const auto& part : found) balls_.insert(balls_.end(), part.begin(), part.end());
    // The order of equal ones does not matter: they paint the same.
    std::sort(balls_.begin(), balls_.end(), [](const Ball& a, const Ball& b) { return a.radius > b.radius; });
  }

  void paint(const Cpu& cpu, View3<float> thickness) const {
    const index_t blocks = (distance_.extent[0] + kSlices - 1) / kSlices;
    parallel_for(cpu, blocks, [&](index_t block, int) {
      const index_t first = block * kSlices;
      paint_slices(first, std::min(distance_.extent[0], first + kSlices), thickness);
    });
  }

 private:
  index_t square_of(float distance) const {
    const double steps = static_cast<double>(distance) / spacing_[0];
    return std::llround(steps * steps);
  }

  bool redundant(index_t z, index_t y, index_t x, const Containment& containment) const {
    const index_t ny = distance_.extent[1], nx = distance_.extent[2];
    const float own = distance_.data[(z * ny + y) * nx + x];
    for (index_t dz = -1; dz <= 1; ++dz)
      for (index_t dy = -1; dy <= 1; ++dy)
        for (index_t dx = -1; dx <= 1; ++dx) {
          const index_t at[3] = {z + dz, y + dy, x + dx};
          if (at[0] < 0 || at[0] >= distance_.extent[0] || at[1] < 0 || at[1] >= ny || at[2] < 0 || at[2] >= nx)
            continue;
          const float beside = distance_.data[(at[0] * ny + at[1]) * nx + at[2]];
          if (!(beside > own)) continue;
          const int kind = static_cast<int>(std::abs(dz) + std::abs(dy) + std::abs(dx)) - 1;
          if (equal_ ? containment.holds(square_of(own), square_of(beside), kind)
                     : reaches_over(own, beside, dz, dy, dx))
            return true;
        }
    return false;
  }
  // The same for the balls themselves, whatever voxels they hold.
  bool reaches_over(float own, float beside, index_t dz, index_t dy, index_t dx) const {
    const double a = static_cast<double>(dz) * spacing_[0], b = static_cast<double>(dy) * spacing_[1],
                 c = static_cast<double>(dx) * spacing_[2];
    return static_cast<double>(beside) >= (static_cast<double>(own) + std::sqrt(a * a + b * b + c * c)) * kOnSurface;
  }

  void find_in(index_t z, const Containment& containment, std::vector<Ball>& found) const {
    index_t at = z * distance_.extent[1] * distance_.extent[2];
    for (index_t y = 0; y < distance_.extent[1]; ++y)
      for (index_t x = 0; x < distance_.extent[2]; ++x, ++at)
        if (distance_.data[at] > 0 && !redundant(z, y, x, containment)) found.push_back({distance_.data[at], at});
  }

  void paint_slices(index_t first, index_t end, View3<float> thickness) const {
    const index_t ny = distance_.extent[1], nx = distance_.extent[2], plane = ny * nx;
    std::fill(thickness.data + first * plane, thickness.data + end * plane, 0.0f);
    // Of each voxel the next one of its row, itself included, that is not painted; nx + 1 of a row.
    std::vector<std::int32_t> next(static_cast<std::size_t>((end - first) * ny * (nx + 1)));
    for (index_t row = 0; row < (end - first) * ny; ++row)
      std::iota(next.begin() + row * (nx + 1), next.begin() + (row + 1) * (nx + 1), 0);
    for (const Ball& ball : balls_) {
      const double radius = static_cast<double>(ball.radius), square = radius * radius / kOnSurface;
      const index_t z = ball.at / plane, y = ball.at / nx % ny, x = ball.at % nx;
      const index_t reach_z = steps(radius, 0), reach_y = steps(radius, 1);
      for (index_t i = std::max(first, z - reach_z); i < std::min(end, z + reach_z + 1); ++i)
        for (index_t j = std::max<index_t>(0, y - reach_y); j < std::min(ny, y + reach_y + 1); ++j) {
          const double dz = static_cast<double>(i - z) * spacing_[0], dy = static_cast<double>(j - y) * spacing_[1];
          const double left = square - dz * dz - dy * dy;
          if (!(left > 0)) continue;
          const index_t reach = half_row(left);
          paint_row(next.data() + ((i - first) * ny + j) * (nx + 1), std::max<index_t>(0, x - reach),
                    std::min(nx, x + reach + 1), 2.0f * ball.radius, thickness.data + i * plane + j * nx);
        }
    }
  }

  index_t steps(double radius, int axis) const { return static_cast<index_t>(radius / spacing_[axis]); }
  // The largest number of steps along x whose square is below `left`.
  index_t half_row(double left) const {
    const double root = std::sqrt(left) / spacing_[2];
    const double whole = std::ceil(root) - 1;
    return whole > 0 ? static_cast<index_t>(whole) : 0;
  }

  static void paint_row(std::int32_t* next, index_t from, index_t to, float value, float* row) {
    index_t x = follow(next, from);
    while (x < to) {
      row[x] = value;
      next[x] = static_cast<std::int32_t>(x + 1);
      x = follow(next, x + 1);
    }
  }
  static index_t follow(std::int32_t* next, index_t x) {
    index_t end = x;
    while (next[end] != end) end = next[end];
    while (next[x] != end) {  // next time in one step
      const index_t after = next[x];
      next[x] = static_cast<std::int32_t>(end);
      x = after;
    }
    return end;
  }

  View3<const float> distance_;
  double spacing_[3];
  bool equal_;
  std::vector<Ball> balls_;
};

}  // namespace

void local_thickness(const Cpu& cpu, View3<const float> distance, const double* spacing, View3<float> thickness) {
  for (int i = 0; i < 3; ++i) {
    require(distance.extent[i] == thickness.extent[i], "thickness: found ", thickness.extent[i],
            " elements along axis ", i, ", expected ", distance.extent[i], " as in distance");
    require(spacing[i] > 0 && std::isfinite(spacing[i]), "spacing: found ", spacing[i], ", expected a positive length");
  }
  Thickness work(distance, spacing);
  work.find(cpu);
  work.paint(cpu, thickness);
}

}  // namespace cryolith::detect
