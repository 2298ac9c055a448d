// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <atomic>
#include <functional>

#include "core/error.hpp"
#include "core/view.hpp"

namespace cryolith {

// Set from any thread; long work looks at it between blocks and ends with Cancelled.
class CancelToken {
 public:
  void cancel() { flag_.store(true, std::memory_order_relaxed); }
  bool cancelled() const { return flag_.load(std::memory_order_relaxed); }

 private:
  std::atomic<bool> flag_{false};
};

// How to run: passed by value into every long function; no global state.
struct Cpu {
  int threads = 0;                       // 0: as many as this process may use (affinity)
  const CancelToken* cancel = nullptr;   // optional
  std::function<void()> poll = nullptr;  // called by the calling thread about every 50 ms; may throw to stop the work
};

// Stages keep a little scratch for each thread that is asked for: a mistyped number must not fill the memory.
inline constexpr int kMaxThreads = 4096;

// Number of processors this process may use.
int available_threads();
int resolve_threads(const Cpu& cpu);

// Calls body(block, worker) once for each block in [0, blocks), worker in [0, resolve_threads(cpu)).
// Blocks are handed out in order to whichever worker is free, so results must not depend on the worker:
// a block owns what it writes. The calling thread watches (poll, cancel) while workers run. The first
// exception stops the rest and is rethrown here. Threads live for one call only: fork() stays safe, and
// their start (about 30 us each) is small beside blocks of 1 to 200 ms, the size to aim at (cancelling waits for
// the blocks in flight). One block, or one thread with nothing to watch, runs inline.
void parallel_for(const Cpu& cpu, index_t blocks, const std::function<void(index_t block, int worker)>& body);

}  // namespace cryolith
