// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// What self-tests of devices compare (devices.hpp).
#include <cstdint>
#include <vector>

#include "core/view.hpp"

namespace cryolith {

// Numbers without a pattern, the same everywhere.
class Scatter {
 public:
  std::uint32_t bits() { return state_ = state_ * 1664525u + 1013904223u; }
  float value() { return static_cast<float>(bits() >> 8) * 0x1p-24f - 0.5f; }  // in [-0.5, 0.5)

 private:
  std::uint32_t state_ = 1;
};
std::vector<float> scattered(index_t n);

// DeviceError where the rms difference of what a device made of `what` is more than `most` of the CPU's; NaN is.
void require_near(const std::vector<float>& found, const std::vector<float>& wanted, double most, const char* what);

}  // namespace cryolith
