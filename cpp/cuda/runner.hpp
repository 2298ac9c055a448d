// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// The blocks of one launch in the emulation, one after the other, with all that their threads share.
#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "cuda/fibers.hpp"
#include "cuda/gates.hpp"
#include "cuda/global_memory.hpp"
#include "cuda/shadow.hpp"

namespace cryolith::emulated {

inline constexpr index_t kCopy = 16;  // bytes of one asynchronous copy
struct Copy {
  index_t to;
  const void* from;  // null: zeros
};

enum class State { ready, at_block, at_warp, at_gate, ended };

struct Thread {
  Fiber fiber;
  int number = 0;
  Dim3 index;
  State state = State::ready;
  Site site{"", 0};         // where it waits
  std::uint64_t value = 0;  // what it gives to the warp, and then what the warp gave
  std::vector<Copy> open;   // copies that were not committed
  std::vector<std::vector<Copy>> groups;
  index_t gate = 0;  // that it waits at, and for which phase
  unsigned parity = 0;
  std::vector<std::uint32_t> tickets;  // of phases that it waited for since the block's last barrier
};

// All blocks run on the same fibers.
class Runner {
 public:
  Runner(Dim3 grid, Dim3 shape, index_t shared_bytes, const std::function<void()>& body);
  void run();

  Thread& current() { return *current_; }
  Dim3 block() const { return block_; }
  void wait(State state, Site site);
  [[noreturn]] void fault(const std::string& what, Site site) const;
  Visit visit() const {
    const int n = current_->number;
    return {launch_,
            static_cast<std::int32_t>(number_),
            n,
            epoch_,
            warp_epoch_[static_cast<std::size_t>(n / kWarp)],
            false,
            0,
            &current_->tickets};
  }
  void touch_shared(index_t byte, index_t bytes, Access access, Site site);
  void take_turns(Access access);  // lets others go first at what they may all do at once
  void issue(Copy copy, Site site);
  void deliver(index_t groups_left, Site site);
  Gates& gates(index_t gate, Access access, Site site);
  void in_order(const Gates::Wrong& wrong, Site site) const {
    if (wrong) fault(*wrong, site);
  }
  void issue_bulk(index_t gate, BulkCopy copy, Site site);
  bool passes(Thread& thread);
  unsigned char* shared() { return shared_.data(); }
  // What a lane of the current warp gave; null where there is no such thread.
  const std::uint64_t* given(int lane) const {
    const index_t thread = current_->number / kWarp * kWarp + lane;
    return lane >= 0 && lane < kWarp && thread < std::ssize(given_) ? &given_[static_cast<std::size_t>(thread)]
                                                                    : nullptr;
  }

 private:
  void run_block();
  bool run_ready();
  bool release_warps();
  bool release_gates();
  void release_block();
  std::vector<index_t> order(index_t n);

  Dim3 grid_, shape_, block_;
  const std::function<void()>& body_;
  index_t shared_size_;
  Shadow shared_shadow_;
  Gates gates_;
  std::vector<unsigned char> shared_;
  std::vector<std::unique_ptr<Thread>> threads_;
  std::vector<std::uint64_t> given_;
  std::vector<std::uint32_t> warp_epoch_;
  Thread* current_ = nullptr;
  index_t number_ = 0;
  std::uint32_t launch_ = next_launch(), epoch_ = 1;
  std::mt19937 random_;
};
}  // namespace cryolith::emulated
