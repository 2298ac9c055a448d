// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// The CPU's loops over the bodies of *.kernel.hpp.
#include <array>

#include "reconstruct/elements.kernel.hpp"
#include "reconstruct/parts.hpp"
#include "reconstruct/variation.kernel.hpp"

namespace cryolith {

// Runs a body at every element.
template <class Body>
void for_elements(const Cpu& cpu, index_t n, const Body& shared) {
  for_parts(cpu, n, [&](index_t begin, index_t end) {
    const Body body = shared;  // its numbers in registers: nothing written can change them
    for (index_t i = begin; i < end; ++i) step_at<PlainMemory>(body, i);
  });
}

// Sums of term(x), kSums of them for each element of a row, in eight parts: one alone would wait for every addition.
template <int kSums, class Term>
std::array<double, kSums> sum_row(index_t length, const Term& term) {
  constexpr index_t parts = 8;
  double sums[kSums][parts] = {};
  const auto add = [&](index_t x, index_t part) {
    const Terms<kSums> terms = term(x);
    for (int n = 0; n < kSums; ++n) sums[n][part] += terms.of[n];
  };
  index_t x = 0;
  for (; x + parts <= length; x += parts)
    for (index_t part = 0; part < parts; ++part) add(x + part, part);
  for (; x < length; ++x) add(x, 0);
  std::array<double, kSums> out;
  for (int n = 0; n < kSums; ++n) {
    const double* s = sums[n];
    out[static_cast<std::size_t>(n)] = ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
  }
  return out;
}

// Runs a body at every element of an array and sums its terms: rows as sum_row does, and those exactly.
template <class Body>
std::array<ExactSum, Body::kSums> sum_elements(const Cpu& cpu, const index_t (&extent)[3], const Body& shared) {
  const index_t length = extent[2];
  return sum_rows<Body::kSums>(cpu, extent[0] * extent[1], length, [&](index_t row) {
    const Body body = shared;
    return sum_row<Body::kSums>(length, [&](index_t x) { return step_at<PlainMemory>(body, row * length + x); });
  });
}

// The same for bodies that look at a voxel's neighbours.
template <class Body>
std::array<ExactSum, Body::kSums> sum_voxels(const Cpu& cpu, const index_t (&extent)[3], const Body& shared) {
  return sum_rows<Body::kSums>(cpu, extent[0] * extent[1], extent[2], [&](index_t i) {
    const Body body = shared;
    const VolumeRow row = volume_row(extent[0], extent[1], extent[2], i / extent[1], i % extent[1]);
    if constexpr (Body::kSums == 0) {
      for (index_t x = 0; x < row.nx; ++x) body.template at<PlainMemory>(row, x);
      return std::array<double, 0>{};
    } else {
      return sum_row<Body::kSums>(row.nx, [&](index_t x) { return body.template at<PlainMemory>(row, x); });
    }
  });
}

}  // namespace cryolith
