// SPDX-License-Identifier: BSD-3-Clause
#include "cuda/self_test.hpp"

#include <cmath>
#include <string>

#include "core/error.hpp"

namespace cryolith {

std::vector<float> scattered(index_t n) {
  std::vector<float> out(static_cast<std::size_t>(n));
  Scatter scatter;
  for (float& v : out) v = scatter.value();
  return out;
}

void require_near(const std::vector<float>& found, const std::vector<float>& wanted, double most, const char* what) {
  double off = 0.0, size = 0.0;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    off += std::pow(static_cast<double>(found[i]) - wanted[i], 2);
    size += std::pow(static_cast<double>(wanted[i]), 2);
  }
  const double relative = std::sqrt(off / size);
  if (!(relative < most))
    throw DeviceError(std::string(what) + " is " + std::to_string(relative) + " off the CPU's, relative");
}

}  // namespace cryolith
