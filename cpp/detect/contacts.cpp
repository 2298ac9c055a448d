// SPDX-License-Identifier: BSD-3-Clause
#include "detect/contacts.hpp"

#include <algorithm>
#include <limits>
#include <tuple>

#include "core/error.hpp"

namespace cryolith::detect {
namespace {

std::size_t hash(std::int32_t low, std::int32_t high) {
  // Multiplication by the golden ratio spreads neighbouring labels; the upper half is the better one.
  const std::uint64_t key = static_cast<std::uint64_t>(low) << 32 | static_cast<std::uint32_t>(high);
  return static_cast<std::size_t>(key * 0x9E3779B97F4A7C15 >> 32);
}

}  // namespace

Pair& Contacts::find(std::int32_t a, std::int32_t b) {
  if (2 * pairs_.size() >= slots_.size()) grow();
  const std::int32_t low = std::min(a, b), high = std::max(a, b);
  const std::size_t mask = slots_.size() - 1;
  std::size_t at = hash(low, high) & mask;
  while (slots_[at] != 0) {
    Pair& pair = pairs_[slots_[at] - 1];
    if (pair.low == low && pair.high == high) return pair;
    at = (at + 1) & mask;
  }
  pairs_.push_back({low, high, {}});
  slots_[at] = static_cast<std::uint32_t>(pairs_.size());
  return pairs_.back();
}

void Contacts::grow() {
  require(pairs_.size() < std::numeric_limits<std::uint32_t>::max() / 2, "labels: found ", pairs_.size(),
          " pairs of regions that meet, expected fewer than 2^31");
  slots_.assign(std::max<std::size_t>(64, 2 * slots_.size()), 0);
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t i = 0; i < pairs_.size(); ++i) {
    std::size_t at = hash(pairs_[i].low, pairs_[i].high) & mask;
    while (slots_[at] != 0) at = (at + 1) & mask;
    slots_[at] = static_cast<std::uint32_t>(i + 1);
  }
}

void Contacts::add(const Contact& contact) {
  find(contact.a, contact.b).count[static_cast<std::size_t>(contact.direction)] += contact.count;
}

void Contacts::add(const Pair& pair) {
  Pair& own = find(pair.low, pair.high);
  for (std::size_t d = 0; d < pair.count.size(); ++d) own.count[d] += pair.count[d];
}

std::vector<Pair> Contacts::sorted() const {
  std::vector<Pair> out = pairs_;
  std::sort(out.begin(), out.end(),
            [](const Pair& a, const Pair& b) { return std::tie(a.low, a.high) < std::tie(b.low, b.high); });
  return out;
}

}  // namespace cryolith::detect
