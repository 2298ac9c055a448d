// SPDX-License-Identifier: BSD-3-Clause
#include "cuda/global_memory.hpp"

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>

#include "core/buffer.hpp"
#include "core/error.hpp"

namespace cryolith::emulated {

struct Memory::State : std::enable_shared_from_this<Memory::State> {
  static constexpr index_t kAlignment = 256;

  explicit State(index_t count) : device(current_device()), size(count), shadow(count) {
    take_memory(device, size);
    owner = Buffer<unsigned char>(count + kAlignment);
    data = aligned(owner.data());
    std::fill_n(data, static_cast<std::size_t>(count), static_cast<unsigned char>(0xff));
  }
  State(void* others, index_t count)
      : device(current_device()), size(count), shadow(count), data(static_cast<unsigned char*>(others)) {
    shadow.set_written(0, count, true);
  }
  ~State() {
    if (owner.size() > 0) give_memory(device, size);
  }
  static unsigned char* aligned(unsigned char* p) {
    const auto past = static_cast<index_t>(reinterpret_cast<std::uintptr_t>(p)) % kAlignment;
    return p + (past == 0 ? 0 : kAlignment - past);
  }
  bool holds(const void* p, index_t bytes) const {
    const index_t offset = static_cast<const unsigned char*>(p) - data;
    return offset >= 0 && offset + bytes <= size;
  }

  int device;
  index_t size;
  Buffer<unsigned char> owner;  // empty where it is somebody else's
  Shadow shadow;
  unsigned char* data;
};

namespace {

// All memories of the process, by address: a kernel's pointer says no more.
struct Registry {
  std::mutex mutex;
  std::multimap<std::uintptr_t, Memory::State*> memories;
};
Registry& registry() {
  static Registry all;
  return all;
}

// The memory that holds these bytes or, where none does, the nearest one below. Several may begin at or before an
// address: what others own comes in parts that overlap.
Memory::State* memory_at(const void* p, index_t bytes) {
  Registry& all = registry();
  const std::lock_guard<std::mutex> lock(all.mutex);
  Memory::State* nearest = nullptr;
  for (auto next = all.memories.upper_bound(reinterpret_cast<std::uintptr_t>(p)); next != all.memories.begin();) {
    Memory::State* state = (--next)->second;
    if (state->holds(p, bytes)) return state;
    if (nearest == nullptr) nearest = state;
  }
  return nearest;
}

void strike_off(const Memory::State* state) {
  Registry& all = registry();
  const std::lock_guard<std::mutex> lock(all.mutex);
  const auto [first, last] = all.memories.equal_range(reinterpret_cast<std::uintptr_t>(state->data));
  all.memories.erase(std::find_if(first, last, [&](const auto& entry) { return entry.second == state; }));
}

std::shared_ptr<Memory::State> entered(std::unique_ptr<Memory::State> state) {
  std::shared_ptr<Memory::State> shared(state.release(), [](Memory::State* gone) {
    strike_off(gone);
    delete gone;
  });
  Registry& all = registry();
  const std::lock_guard<std::mutex> lock(all.mutex);
  all.memories.emplace(reinterpret_cast<std::uintptr_t>(shared->data), shared.get());
  return shared;
}

}  // namespace

std::uint32_t next_launch() {
  static std::atomic<std::uint32_t> last{0};
  return ++last;
}

std::optional<std::string> touch_memory(const void* p, index_t bytes, Access access, const Visit& now) {
  Memory::State* memory = memory_at(p, bytes);
  constexpr index_t near = 4096;
  const index_t offset = memory == nullptr ? 0 : static_cast<const unsigned char*>(p) - memory->data;
  if (memory == nullptr || offset > memory->size + near) return "access outside of every buffer";
  if (offset + bytes > memory->size)
    return "out of bounds: bytes " + std::to_string(offset) + " to " + std::to_string(offset + bytes) + " of " +
           std::to_string(memory->size);
  if (memory->device != current_device()) return "access to memory of emulated:" + std::to_string(memory->device);
  if (offset % bytes != 0) return "misaligned access to " + std::to_string(bytes) + " bytes";
  return memory->shadow.touch(offset, bytes, access, now);
}

Memory::Memory(index_t bytes) : bytes_(bytes) {
  require(bytes >= 0, "device memory: cannot hold ", bytes, " bytes");
  count_operation();
  state_ = entered(std::make_unique<State>(bytes));
  data_ = state_->data;
}

// A part of memory that is known already, such as the emulation's own that was handed out, stays under its watch.
Memory::Memory(void* data, index_t bytes) : data_(static_cast<unsigned char*>(data)), bytes_(bytes) {
  State* known = memory_at(data, bytes);
  if (known != nullptr && known->holds(data, bytes) && known->device == current_device())
    state_ = known->weak_from_this().lock();
  if (state_ == nullptr) state_ = entered(std::make_unique<State>(data, bytes));
}

index_t Memory::at(index_t offset, index_t bytes) const {
  require(offset >= 0 && bytes >= 0 && offset + bytes <= bytes_, "copy: found bytes ", offset, " to ", offset + bytes,
          ", expected at most ", bytes_);
  return data_ - state_->data + offset;
}

void Memory::begin_write(index_t offset, const void* from, index_t bytes) {
  const index_t first = at(offset, bytes);
  enqueue([state = state_, first, from, bytes] {
    if (bytes > 0) std::memcpy(state->data + first, from, static_cast<std::size_t>(bytes));
    state->shadow.set_written(first, bytes, true);
  });
}

void Memory::begin_read(index_t offset, void* to, index_t bytes) const {
  const index_t first = at(offset, bytes);
  enqueue([state = state_, first, to, bytes] {
    if (!state->shadow.written(first, bytes)) throw Fault("copy: memory is read that was never written");
    if (bytes > 0) std::memcpy(to, state->data + first, static_cast<std::size_t>(bytes));
  });
}

void Memory::write(index_t offset, const void* from, index_t bytes) {
  begin_write(offset, from, bytes);
  wait_for_stream();
}

void Memory::read(index_t offset, void* to, index_t bytes) const {
  begin_read(offset, to, bytes);
  wait_for_stream();
}

void Memory::clear() {
  const index_t first = at(0, bytes_);
  enqueue([state = state_, first, bytes = bytes_] {
    std::fill_n(state->data + first, static_cast<std::size_t>(bytes), static_cast<unsigned char>(0));
    state->shadow.set_written(first, bytes, true);
  });
}

void Memory::hand_out() const {
  wait_for_stream();
  if (!state_->shadow.written(at(0, bytes_), bytes_)) throw Fault("memory is handed out that was never written");
}

}  // namespace cryolith::emulated
