// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <algorithm>
#include <vector>

#include "core/parallel.hpp"
#include "core/view.hpp"

namespace cryolith {

inline constexpr index_t kPart = index_t{1} << 18;  // fixed, so that sums do not depend on the number of threads

// Calls body(begin, end) for parts of [0, n) that differ from one another in place only.
template <class Body>
void for_parts(const Cpu& cpu, index_t n, const Body& body) {
  parallel_for(cpu, (n + kPart - 1) / kPart,
               [&](index_t part, int) { body(part * kPart, std::min(n, (part + 1) * kPart)); });
}

// Adds what body(begin, end) returns, in the order of the parts: the same bits for any number of threads.
template <class Sum, class Body>
Sum sum_parts(const Cpu& cpu, index_t n, const Body& body) {
  std::vector<Sum> parts(static_cast<std::size_t>((n + kPart - 1) / kPart));
  for_parts(cpu, n,
            [&](index_t begin, index_t end) { parts[static_cast<std::size_t>(begin / kPart)] = body(begin, end); });
  Sum sum{};
  for (const Sum& part : parts) sum += part;
  return sum;
}

}  // namespace cryolith
