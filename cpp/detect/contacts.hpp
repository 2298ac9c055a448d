// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <array>
#include <vector>

#include "detect/label_kernels.hpp"

namespace cryolith::detect {

// How often the voxels of two regions are neighbours in each of kDirection, in either order.
struct Pair {
  std::int32_t low, high;  // labels
  std::array<std::int64_t, kDirections> count;
};

// Pairs of regions that meet: a hash table with open addresses.
class Contacts {
 public:
  void add(const Contact& contact);
  void add(const Pair& pair);
  // All pairs, by their labels.
  std::vector<Pair> sorted() const;

 private:
  Pair& find(std::int32_t a, std::int32_t b);
  void grow();

  std::vector<Pair> pairs_;
  std::vector<std::uint32_t> slots_;  // index of a pair plus one, 0 where free; a power of two of them
};

}  // namespace cryolith::detect
