// SPDX-License-Identifier: BSD-3-Clause
#include "detect/by_distance.hpp"

#include <array>
#include <bit>
#include <cstdint>
#include <utility>

namespace cryolith::detect {
namespace {

constexpr int kDigit = 11;  // bits

// float32 from 0 on have the order of their bits.
std::size_t digit(const Ordered& voxel, int pass) {
  return (std::bit_cast<std::uint32_t>(voxel.distance) >> (kDigit * pass)) & ((1u << kDigit) - 1);
}

}  // namespace

std::vector<Ordered> by_distance(View3<const float> distance, View3<const std::uint8_t> mask) {
  std::vector<Ordered> order;
  std::array<std::array<std::size_t, (1u << kDigit) + 1>, 3> first{};
  for (index_t i = 0; i < distance.size(); ++i) {
    if (mask.data[i] == 0) continue;
    order.push_back({distance.data[i], i});
    for (int pass = 0; pass < 3; ++pass) ++first[static_cast<std::size_t>(pass)][digit(order.back(), pass) + 1];
  }
  std::vector<Ordered> other(order.size());
  for (int pass = 0; pass < 3; ++pass) {
    auto& place = first[static_cast<std::size_t>(pass)];
    for (std::size_t d = 1; d < place.size(); ++d) place[d] += place[d - 1];
    for (const Ordered& voxel : order) other[place[digit(voxel, pass)]++] = voxel;
    std::swap(order, other);
  }
  return order;
}

}  // namespace cryolith::detect
