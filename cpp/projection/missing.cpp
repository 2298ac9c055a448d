// SPDX-License-Identifier: BSD-3-Clause
#include "projection/missing.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

namespace cryolith {

index_t count_missing(const Cpu& cpu, View1<const float> pixels) {
  constexpr index_t part = index_t{1} << 20;
  const index_t n = pixels.extent[0], parts = (n + part - 1) / part;
  std::vector<index_t> counts(static_cast<std::size_t>(parts));
  parallel_for(cpu, parts, [&](index_t i, int) {
    const index_t end = std::min(n, (i + 1) * part);
    std::uint32_t found = 0;  // an exponent of all ones: by bits, so that no compiler option can fold it away
    for (index_t p = i * part; p < end; ++p)
      found += (std::bit_cast<std::uint32_t>(pixels.data[p]) & 0x7f800000u) == 0x7f800000u;
    counts[static_cast<std::size_t>(i)] = found;
  });
  index_t sum = 0;
  for (index_t c : counts) sum += c;
  return sum;
}

}  // namespace cryolith
