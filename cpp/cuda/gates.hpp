// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// Gates (mbarriers) of a block, and the bulk copies that open them.
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cuda/emulate.hpp"

namespace cryolith::emulated {

struct BulkCopy {
  index_t to;  // in shared memory
  const unsigned char* from;
  index_t bytes;
};

// A gate opens once for each phase: when one thread has said how many bytes come and copies of so many have arrived.
class Gates {
 public:
  static constexpr index_t kBytes = 8;  // of shared memory that a gate takes

  // Each of these gives what is wrong, or nothing.
  using Wrong = std::optional<std::string>;
  Wrong make(index_t gate);
  Wrong expect(index_t gate, index_t bytes);
  Wrong add(index_t gate, BulkCopy copy);
  Wrong at_end() const;  // of the block

  bool known(index_t gate) const { return gates_.count(gate) > 0; }
  // Whether the phase of this parity is over.
  bool open(index_t gate, unsigned parity) const { return (gates_.at(gate).phase & 1u) != (parity & 1u); }
  // Ends the phase if all of its bytes were asked for; gives the copies that arrive with it.
  std::optional<std::vector<BulkCopy>> end_phase(index_t gate);
  // The number that end_phase() gave to the last phase of a gate, of its own in the block; 0: none has ended.
  std::uint32_t ticket(index_t gate) const { return gates_.at(gate).ticket; }
  std::string state(index_t gate) const;
  void clear();

 private:
  struct Gate {
    std::uint32_t phase = 0, ticket = 0;
    std::optional<index_t> expected;
    index_t asked = 0;  // bytes of the copies
    std::vector<BulkCopy> copies;
  };
  std::map<index_t, Gate> gates_;
  std::uint32_t tickets_ = 0;
};

}  // namespace cryolith::emulated
