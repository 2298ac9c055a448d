// SPDX-License-Identifier: BSD-3-Clause
#include "cuda/emulate.hpp"

#include <algorithm>
#include <numeric>
#include <random>
#include <utility>

#include "cuda/fibers.hpp"
#include "cuda/gates.hpp"
#include "cuda/global_memory.hpp"
#include "cuda/shadow.hpp"

namespace cryolith::emulated {
namespace {

bool reads(Access access) { return access == Access::read || access == Access::atomic_read; }
std::size_t at(index_t i) { return static_cast<std::size_t>(i); }

// What tests set and ask; of each thread of the process, as launches are.
struct Session {
  unsigned schedule = 0;
  Site left_out{"", 0};
  std::vector<Site> visited;
  Counts counts;
};
thread_local Session session;

constexpr index_t kCopy = 16;  // bytes of one asynchronous copy
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

Dim3 unravel(index_t i, Dim3 shape) {
  return {static_cast<unsigned>(i % shape.x), static_cast<unsigned>(i / shape.x % shape.y),
          static_cast<unsigned>(i / shape.x / shape.y)};
}

// One block after the other, on the same fibers.
class Runner {
 public:
  Runner(Dim3 grid, Dim3 shape, index_t shared_bytes, const std::function<void()>& body)
      : grid_(grid), shape_(shape), body_(body), shared_size_(shared_bytes), shared_shadow_(shared_bytes) {
    shared_.resize(at(shared_bytes));
    for (index_t i = 0; i < shape.size(); ++i) {
      threads_.push_back(std::make_unique<Thread>());
      threads_.back()->number = static_cast<int>(i);
      threads_.back()->index = unravel(i, shape);
    }
    given_.resize(threads_.size());
    warp_epoch_.resize(threads_.size() / kWarp + 1);
    random_.seed(session.schedule);
  }
  void run();

  Thread& current() { return *current_; }
  Dim3 block() const { return block_; }
  void wait(State state, Site site);
  [[noreturn]] void fault(const std::string& what, Site site) const;
  Visit visit() const {
    const int n = current_->number;
    return {launch_,           static_cast<std::int32_t>(number_), n, epoch_, warp_epoch_[at(n / kWarp)], false, 0,
            &current_->tickets};
  }
  void touch_shared(index_t byte, index_t bytes, Access access, Site site);
  // Lets others go first at what they may all do at once.
  void take_turns(Access access) {
    if (session.schedule > 1 && (access == Access::atomic || access == Access::atomic_read)) current_->fiber.stop();
  }
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
    return lane >= 0 && lane < kWarp && thread < std::ssize(given_) ? &given_[at(thread)] : nullptr;
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
thread_local Runner* running = nullptr;

Runner& runner() {
  if (running == nullptr) throw Fault("a kernel's word was used outside of a launch");
  return *running;
}

void Runner::fault(const std::string& what, Site site) const {
  const auto three = [](Dim3 d) {
    return "(" + std::to_string(d.x) + ", " + std::to_string(d.y) + ", " + std::to_string(d.z) + ")";
  };
  throw Fault(what + " at " + site.file + ":" + std::to_string(site.line) + ", block " + three(block_) + " thread " +
              three(current_->index));
}

// Numbers of threads or blocks in the order of the schedule.
std::vector<index_t> Runner::order(index_t n) {
  std::vector<index_t> out(at(n));
  std::iota(out.begin(), out.end(), index_t{0});
  if (session.schedule == 1) std::reverse(out.begin(), out.end());
  if (session.schedule > 1) std::shuffle(out.begin(), out.end(), random_);
  return out;
}

void Runner::run() {
  for (index_t i : order(grid_.size())) {
    number_ = i;
    block_ = unravel(i, grid_);
    run_block();
    ++session.counts.blocks;
  }
}

void Runner::run_block() {
  epoch_ = 1;
  std::fill(warp_epoch_.begin(), warp_epoch_.end(), 0u);
  shared_shadow_.clear();
  gates_.clear();
  std::fill(shared_.begin(), shared_.end(), static_cast<unsigned char>(0xff));  // NaN
  for (auto& thread : threads_) {
    thread->state = State::ready;
    thread->open.clear();
    thread->groups.clear();
    thread->tickets.clear();
    thread->fiber.start(&body_);
  }
  const auto ended = [](const auto& thread) { return thread->state == State::ended; };
  while (!std::all_of(threads_.begin(), threads_.end(), ended)) {
    const bool ran = run_ready(), warps = release_warps(), gates = release_gates();
    if (!ran && !warps && !gates) release_block();
  }
  in_order(gates_.at_end(), current_->site);
}

bool Runner::run_ready() {
  bool ran = false;
  for (index_t i : order(std::ssize(threads_))) {
    Thread& thread = *threads_[at(i)];
    if (thread.state != State::ready) continue;
    ran = true;
    current_ = &thread;
    thread.fiber.resume();
    if (!thread.fiber.ended()) continue;
    thread.state = State::ended;
    if (!thread.open.empty()) fault("an asynchronous copy was never committed", thread.site);
  }
  return ran;
}

// Lets go on the warps of which all threads wait.
bool Runner::release_warps() {
  bool released = false;
  for (index_t first = 0; first < std::ssize(threads_); first += kWarp) {
    const index_t end = std::min<index_t>(std::ssize(threads_), first + kWarp);
    const auto begin = threads_.begin() + first, stop = threads_.begin() + end;
    const auto waits = [](const auto& thread) { return thread->state == State::at_warp; };
    const auto waiting = std::find_if(begin, stop, waits);
    if (waiting == stop) continue;
    for (auto t = begin; t != stop; ++t) {
      current_ = waiting->get();
      if ((*t)->state == State::ended) fault("a warp operation names a thread that has ended", (*waiting)->site);
      if (waits(*t) && !((*t)->site == (*waiting)->site))
        fault("threads of a warp wait at different lines", (*waiting)->site);
    }
    if (!std::all_of(begin, stop, waits)) continue;
    for (auto t = begin; t != stop; ++t) {
      given_[at((*t)->number)] = (*t)->value;
      (*t)->state = State::ready;
    }
    ++warp_epoch_[at(first / kWarp)];
    released = true;
  }
  return released;
}

// Lets go on the threads whose gates have opened.
bool Runner::release_gates() {
  bool released = false;
  for (auto& thread : threads_) {
    if (thread->state != State::at_gate || !passes(*thread)) continue;
    thread->state = State::ready;
    released = true;
  }
  return released;
}

// Nobody can run: either all wait at one barrier, or somebody waits in vain.
void Runner::release_block() {
  for (auto& thread : threads_)
    if (thread->state == State::at_gate) {
      current_ = thread.get();
      fault("a wait at a gate that stays shut: " + gates_.state(thread->gate), thread->site);
    }
  const auto first = std::find_if(threads_.begin(), threads_.end(), [](auto& t) { return t->state != State::ended; });
  for (auto& thread : threads_) {
    if (thread->state == State::ended) {
      current_ = first->get();
      fault("a wait that not all threads reach", current_->site);
    }
    current_ = thread.get();
    if (thread->state != State::at_block || !(thread->site == (*first)->site))
      fault("threads of a block wait at different lines", thread->site);
  }
  for (auto& thread : threads_) {
    thread->state = State::ready;
    thread->tickets.clear();
  }
  ++epoch_;
  ++session.counts.barriers;
}

void Runner::wait(State state, Site site) {
  current_->state = state;
  current_->site = site;
  current_->fiber.stop();
}

void Runner::touch_shared(index_t byte, index_t bytes, Access access, Site site) {
  if (byte < 0 || byte + bytes > shared_size_)
    fault("shared memory out of bounds: bytes " + std::to_string(byte) + " to " + std::to_string(byte + bytes) +
              " of " + std::to_string(shared_size_),
          site);
  if (byte % bytes != 0) fault("misaligned access to " + std::to_string(bytes) + " bytes of shared memory", site);
  if (auto wrong = shared_shadow_.touch(byte, bytes, access, visit())) fault("shared memory: " + *wrong, site);
}

// A copy may arrive from now on, but nobody may count on it before the wait.
void Runner::issue(Copy copy, Site site) {
  touch_shared(copy.to, kCopy, Access::write, site);
  shared_shadow_.set_written(copy.to, kCopy, false);
  std::fill_n(shared() + copy.to, kCopy, static_cast<unsigned char>(0xff));
  current_->open.push_back(copy);
}

void Runner::deliver(index_t groups_left, Site site) {
  auto& groups = current_->groups;
  while (std::ssize(groups) > groups_left) {
    for (const Copy& copy : groups.front()) {
      touch_shared(copy.to, kCopy, Access::write, site);
      if (copy.from != nullptr)
        std::memcpy(shared() + copy.to, copy.from, at(kCopy));
      else
        std::fill_n(shared() + copy.to, kCopy, static_cast<unsigned char>(0));
    }
    groups.erase(groups.begin());
  }
}

// All threads use a gate at will, once its making is ordered before.
Gates& Runner::gates(index_t gate, Access access, Site site) {
  touch_shared(gate, Gates::kBytes, access, site);
  return gates_;
}

void Runner::issue_bulk(index_t gate, BulkCopy copy, Site site) {
  in_order(gates(gate, Access::read, site).add(gate, copy), site);
  for (index_t i = 0; i < copy.bytes; i += kCopy) {
    touch_global(copy.from + i, kCopy, Access::read, site);
    touch_shared(copy.to + i, kCopy, Access::write, site);
  }
  shared_shadow_.set_written(copy.to, copy.bytes, false);
  std::fill_n(shared() + copy.to, copy.bytes, static_cast<unsigned char>(0xff));
}

// Whether a thread may pass its gate; what was copied arrives when the first one asks.
bool Runner::passes(Thread& thread) {
  if (!gates_.open(thread.gate, thread.parity)) {
    const auto copies = gates_.end_phase(thread.gate);
    if (!copies) return false;
    Visit arrival{launch_, static_cast<std::int32_t>(number_), thread.number, epoch_};
    arrival.ticket = gates_.ticket(thread.gate);
    for (const BulkCopy& copy : *copies) {
      std::memcpy(shared() + copy.to, copy.from, at(copy.bytes));
      shared_shadow_.arrive(copy.to, copy.bytes, arrival);
    }
  }
  thread.tickets.push_back(gates_.ticket(thread.gate));
  return true;
}

// Whether a wait counts; remembers it.
bool counts_here(Site site) {
  auto& seen = session.visited;
  if (std::find(seen.begin(), seen.end(), site) == seen.end()) seen.push_back(site);
  return !(site == session.left_out);
}

void require_launchable(Dim3 grid, Dim3 block, index_t shared_bytes) {
  constexpr unsigned most = 65535;
  const bool grid_ok = grid.size() > 0 && grid.x <= 0x7fffffffu && grid.y <= most && grid.z <= most;
  if (!grid_ok || block.size() == 0 || block.size() > kMostThreads || block.z > 64)
    throw Fault("launch: no device takes " + std::to_string(grid.x) + " x " + std::to_string(grid.y) + " x " +
                std::to_string(grid.z) + " blocks of " + std::to_string(block.size()) + " threads");
  if (shared_bytes < 0 || shared_bytes > kMostSharedBytes)
    throw Fault("launch: found " + std::to_string(shared_bytes) + " bytes of shared memory, expected at most " +
                std::to_string(kMostSharedBytes));
}

}  // namespace

void set_schedule(unsigned seed) { session.schedule = seed; }
std::vector<Site> visited_sites() { return std::exchange(session.visited, {}); }
void leave_out(Site site) { session.left_out = site; }
Counts counts() { return std::exchange(session.counts, {}); }

void launch_body(Dim3 grid, Dim3 block, index_t shared_bytes, const std::function<void()>& body) {
  require_launchable(grid, block, shared_bytes);
  if (running != nullptr) throw Fault("launch: a kernel cannot launch another");
  Runner all(grid, block, shared_bytes, body);
  running = &all;
  try {
    all.run();
  } catch (...) {
    running = nullptr;
    throw;
  }
  running = nullptr;
}

Dim3 thread_index() { return runner().current().index; }
Dim3 block_index() { return runner().block(); }
int lane_index() { return runner().current().number % kWarp; }
void sync_block(Site site) {
  if (counts_here(site)) runner().wait(State::at_block, site);
}
void sync_warp(Site site) {
  if (counts_here(site)) runner().wait(State::at_warp, site);
}

void touch_shared(index_t byte, index_t bytes, Access access, Site site) {
  runner().take_turns(access);
  runner().touch_shared(byte, bytes, access, site);
  if (reads(access)) session.counts.shared_bytes_read += bytes;
}
void touch_global(const void* p, index_t bytes, Access access, Site site) {
  runner().take_turns(access);
  if (auto wrong = touch_memory(p, bytes, access, runner().visit())) runner().fault("global memory: " + *wrong, site);
  (reads(access) ? session.counts.global_bytes_read : session.counts.global_bytes_written) += bytes;
}
unsigned char* shared_bytes() { return runner().shared(); }

void copy_async_bytes(index_t to, const void* from, bool valid, Site site) {
  if (valid) touch_global(from, kCopy, Access::read, site);
  runner().issue({to, valid ? from : nullptr}, site);
}
void copy_commit() {
  Thread& thread = runner().current();
  thread.groups.push_back(std::exchange(thread.open, {}));
}
void copy_wait_for(index_t groups_left, Site site) {
  if (counts_here(site)) runner().deliver(groups_left, site);
}

void gate_make(index_t gate, Site site) {
  Runner& r = runner();
  r.in_order(r.gates(gate, Access::write, site).make(gate), site);
}
void gate_expect(index_t gate, index_t bytes, Site site) {
  Runner& r = runner();
  r.in_order(r.gates(gate, Access::read, site).expect(gate, bytes), site);
}
void gate_copy(index_t gate, index_t to, const void* from, index_t bytes, Site site) {
  runner().issue_bulk(gate, {to, static_cast<const unsigned char*>(from), bytes}, site);
}
void gate_wait(index_t gate, unsigned parity, Site site) {
  if (!counts_here(site)) return;
  Runner& r = runner();
  if (!r.gates(gate, Access::read, site).known(gate)) r.fault("a wait where there is no gate", site);
  r.current().gate = gate;
  r.current().parity = parity;
  if (!r.passes(r.current())) r.wait(State::at_gate, site);
}

std::uint64_t exchange(std::uint64_t value, int lane, Site site) {
  runner().current().value = value;
  runner().wait(State::at_warp, site);
  const std::uint64_t* other = runner().given(lane);
  return other != nullptr ? *other : value;
}

unsigned votes(bool yes, Site site) {
  runner().current().value = yes ? 1 : 0;
  runner().wait(State::at_warp, site);
  unsigned out = 0;
  for (int lane = 0; lane < kWarp; ++lane)
    if (const std::uint64_t* other = runner().given(lane); other != nullptr && *other != 0) out |= 1u << lane;
  return out;
}

}  // namespace cryolith::emulated
