// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <algorithm>
#include <array>
#include <vector>

#include "core/exact_sum.hpp"
#include "core/parallel.hpp"
#include "core/view.hpp"

namespace cryolith {

inline constexpr index_t kPart = index_t{1} << 18;  // elements, about 0.2 ms

// Calls body(begin, end) for parts of [0, n) that differ from one another in place only.
template <class Body>
void for_parts(const Cpu& cpu, index_t n, const Body& body) {
  parallel_for(cpu, (n + kPart - 1) / kPart,
               [&](index_t part, int) { body(part * kPart, std::min(n, (part + 1) * kPart)); });
}

// Adds what body(row) returns for rows 0 to n - 1 of `length` elements. A row is summed in order, rows exactly: the
// same bits for any number of threads, and for an array that is handed over in several pieces of whole rows.
template <std::size_t N, class Body>
std::array<ExactSum, N> sum_rows(const Cpu& cpu, index_t n, index_t length, const Body& body) {
  const index_t per_part = std::max<index_t>(1, kPart / std::max<index_t>(1, length));
  const index_t parts = (n + per_part - 1) / per_part;
  std::vector<std::array<ExactSum, N>> sums(static_cast<std::size_t>(parts));
  parallel_for(cpu, parts, [&](index_t part, int) {
    std::array<ExactSum, N>& mine = sums[static_cast<std::size_t>(part)];
    for (index_t row = part * per_part; row < std::min(n, (part + 1) * per_part); ++row) {
      const std::array<double, N> found = body(row);
      for (std::size_t i = 0; i < N; ++i) mine[i] += found[i];
    }
  });
  std::array<ExactSum, N> total;
  for (const auto& part : sums)
    for (std::size_t i = 0; i < N; ++i) total[i] += part[i];
  return total;
}

}  // namespace cryolith
