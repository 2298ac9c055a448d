// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// Arrays that tests fill with numbers, and what they are compared by.
#include <random>
#include <vector>

#include "core/view.hpp"

namespace cryolith {

struct Array3 {
  index_t extent[3];
  std::vector<float> values;
  Array3(index_t a, index_t b, index_t c) : extent{a, b, c}, values(static_cast<std::size_t>(a * b * c)) {}
  View3<float> view() { return {values.data(), {extent[0], extent[1], extent[2]}}; }
  void fill(unsigned seed) {
    std::mt19937 generator(seed);
    std::normal_distribution<float> normal;
    for (float& v : values) v = normal(generator);
  }
};

inline double dot(const Array3& a, const Array3& b) {
  double sum = 0.0;
  for (std::size_t i = 0; i < a.values.size(); ++i) sum += static_cast<double>(a.values[i]) * b.values[i];
  return sum;
}

}  // namespace cryolith
