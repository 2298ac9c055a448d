// SPDX-License-Identifier: BSD-3-Clause
#include "cuda/gates.hpp"

#include <utility>

namespace cryolith::emulated {
namespace {

constexpr index_t kPiece = 16;                 // what addresses and sizes of bulk copies are multiples of
constexpr index_t kMostBytes = (1 << 20) - 1;  // that a gate can count

}  // namespace

Gates::Wrong Gates::make(index_t gate) {
  if (known(gate)) return "a gate is made anew where there is one";
  gates_[gate] = {};
  return {};
}

Gates::Wrong Gates::expect(index_t gate, index_t bytes) {
  if (!known(gate)) return "there is no gate at byte " + std::to_string(gate);
  Gate& g = gates_[gate];
  if (g.expected) return "bytes of one phase of a gate were announced twice";
  if (bytes <= 0 || bytes > kMostBytes) return "a gate cannot count " + std::to_string(bytes) + " bytes";
  g.expected = bytes;
  return {};
}

Gates::Wrong Gates::add(index_t gate, BulkCopy copy) {
  if (!known(gate)) return "there is no gate at byte " + std::to_string(gate);
  if (copy.bytes <= 0 || copy.bytes % kPiece != 0)
    return "a bulk copy of " + std::to_string(copy.bytes) + " bytes, expected a multiple of " + std::to_string(kPiece);
  if (copy.to % kPiece != 0 || reinterpret_cast<std::uintptr_t>(copy.from) % kPiece != 0)
    return "a misaligned bulk copy, expected multiples of " + std::to_string(kPiece) + " bytes";
  Gate& g = gates_[gate];
  g.asked += copy.bytes;
  g.copies.push_back(copy);
  return {};
}

std::optional<std::vector<BulkCopy>> Gates::end_phase(index_t gate) {
  Gate& g = gates_.at(gate);
  if (!g.expected || *g.expected != g.asked) return {};
  ++g.phase;
  g.ticket = ++tickets_;
  g.expected.reset();
  g.asked = 0;
  return std::exchange(g.copies, {});
}

std::string Gates::state(index_t gate) const {
  const Gate& g = gates_.at(gate);
  return std::to_string(g.asked) + " bytes were asked for and " +
         (g.expected ? std::to_string(*g.expected) : std::string("none")) + " announced";
}

Gates::Wrong Gates::at_end() const {
  for (const auto& [byte, gate] : gates_)
    if (gate.expected || gate.asked > 0) return "a bulk copy that nobody waited for";
  return {};
}

void Gates::clear() {
  gates_.clear();
  tickets_ = 0;
}

}  // namespace cryolith::emulated
