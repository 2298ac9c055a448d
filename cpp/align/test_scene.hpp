// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// What self-tests of registration on devices register.
#include <vector>

#include "align/band.hpp"

namespace cryolith {

// Images of one smooth scene that differ by shifts, in counts with noise of their own and a missing pixel each.
class TestScene {
 public:
  static constexpr index_t ny = 44, nx = 52;
  explicit TestScene(const std::vector<Vec2>& shifts);
  View3<const float> images() const { return {pixels_.data(), {n_, ny, nx}}; }
  View3<const float> image(index_t i) const { return {pixels_.data() + i * ny * nx, {1, ny, nx}}; }
  const double* shifts() const { return shifts_.data(); }  // (n, 2)

 private:
  index_t n_;
  std::vector<float> pixels_;
  std::vector<double> shifts_;
};

// ArgumentError where images of that size are too large for the numbers that kernels count in.
void require_device_extent(const char* name, index_t ny, index_t nx);

}  // namespace cryolith
