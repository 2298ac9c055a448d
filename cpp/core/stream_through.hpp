// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <memory>
#include <utility>
#include <vector>

namespace cryolith {

// Takes the parts of a job through some slots in turn: while the device works on the part of one, the host fills and
// empties another's. `more` is handed to slots that begin.
template <class Slot, class Job, class... More>
void stream_through(const std::vector<std::unique_ptr<Slot>>& slots, Job& job, const More&... more) {
  std::size_t turn = 0;
  for (;; turn = (turn + 1) % slots.size()) {
    slots[turn]->finish(job);
    auto part = job.take();
    if (part == nullptr) break;
    slots[turn]->begin(job, std::move(part), more...);
  }
  for (std::size_t i = 1; i < slots.size(); ++i) slots[(turn + i) % slots.size()]->finish(job);
}

}  // namespace cryolith
