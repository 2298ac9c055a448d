// SPDX-License-Identifier: BSD-3-Clause
#include "core/parallel.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <sched.h>
#endif

namespace cryolith {
namespace {

// What the workers and the watching thread share during one parallel_for.
struct Shared {
  std::atomic<index_t> next{0};
  std::atomic<bool> stop{false};
  std::mutex mutex;
  std::condition_variable done;
  int running = 0;           // guarded by mutex
  std::exception_ptr error;  // guarded by mutex; the first one wins

  void fail(std::exception_ptr e) {
    std::lock_guard lock(mutex);
    if (!error) error = std::move(e);
    stop = true;
  }
};

void work(Shared& shared, index_t blocks, int worker, const std::function<void(index_t, int)>& body) {
  try {
    while (!shared.stop) {
      const index_t block = shared.next++;
      if (block >= blocks) break;
      body(block, worker);
    }
  } catch (...) {
    shared.fail(std::current_exception());
  }
  std::lock_guard lock(shared.mutex);
  if (--shared.running == 0) shared.done.notify_all();
}

void watch(Shared& shared, const Cpu& cpu) {
  std::unique_lock lock(shared.mutex);
  const auto finished = [&] { return shared.running == 0; };
  while (!shared.done.wait_for(lock, std::chrono::milliseconds(50), finished)) {
    lock.unlock();
    try {
      if (cpu.cancel && cpu.cancel->cancelled()) throw Cancelled();
      if (cpu.poll) cpu.poll();
    } catch (...) {
      shared.fail(std::current_exception());
    }
    lock.lock();
  }
}

}  // namespace

int available_threads() {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
#endif
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

int resolve_threads(const Cpu& cpu) {
  require(cpu.threads >= 0 && cpu.threads <= kMaxThreads, "threads: found ", cpu.threads, ", expected 0 (all) or 1 to ",
          kMaxThreads);
  return cpu.threads > 0 ? cpu.threads : available_threads();
}

void parallel_for(const Cpu& cpu, index_t blocks, const std::function<void(index_t, int)>& body) {
  if (cpu.cancel && cpu.cancel->cancelled()) throw Cancelled();
  const int threads = static_cast<int>(std::min<index_t>(resolve_threads(cpu), blocks));
  if (blocks <= 1 || (threads == 1 && !cpu.poll && !cpu.cancel)) {
    for (index_t block = 0; block < blocks; ++block) body(block, 0);
    return;
  }
  Shared shared;
  shared.running = threads;
  std::vector<std::thread> pool;
  pool.reserve(static_cast<std::size_t>(threads));
  try {
    for (int worker = 0; worker < threads; ++worker)
      pool.emplace_back([&shared, blocks, worker, &body] { work(shared, blocks, worker, body); });
  } catch (...) {  // the system has no thread left: those that run finish the work, none means failure
    std::lock_guard lock(shared.mutex);
    shared.running -= threads - static_cast<int>(pool.size());
    if (pool.empty()) throw;
  }
  watch(shared, cpu);
  for (auto& thread : pool) thread.join();
  if (shared.error) std::rethrow_exception(shared.error);
}

}  // namespace cryolith
