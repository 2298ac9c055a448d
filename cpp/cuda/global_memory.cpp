// SPDX-License-Identifier: BSD-3-Clause
#include "cuda/global_memory.hpp"

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>

#include "core/buffer.hpp"
#include "core/error.hpp"

namespace cryolith::emulated {

struct Memory::State {
  static constexpr index_t kAlignment = 256;

  explicit State(index_t count) : size(count), owner(count + kAlignment), shadow(count), data(aligned(owner.data())) {
    std::fill_n(data, static_cast<std::size_t>(count), static_cast<unsigned char>(0xff));
  }
  static unsigned char* aligned(unsigned char* p) {
    const auto past = static_cast<index_t>(reinterpret_cast<std::uintptr_t>(p)) % kAlignment;
    return p + (past == 0 ? 0 : kAlignment - past);
  }

  index_t size;
  Buffer<unsigned char> owner;
  Shadow shadow;
  unsigned char* data;
};

namespace {

// All memories of the process, by address: a kernel's pointer says no more.
struct Registry {
  std::mutex mutex;
  std::map<std::uintptr_t, Memory::State*> memories;
};
Registry& registry() {
  static Registry all;
  return all;
}

Memory::State* memory_at(std::uintptr_t address) {
  Registry& all = registry();
  const std::lock_guard<std::mutex> lock(all.mutex);
  const auto next = all.memories.upper_bound(address);
  return next == all.memories.begin() ? nullptr : std::prev(next)->second;
}

}  // namespace

std::uint32_t next_launch() {
  static std::atomic<std::uint32_t> last{0};
  return ++last;
}

std::optional<std::string> touch_memory(const void* p, index_t bytes, Access access, const Visit& now) {
  Memory::State* memory = memory_at(reinterpret_cast<std::uintptr_t>(p));
  constexpr index_t near = 4096;
  const index_t offset = memory == nullptr ? 0 : static_cast<const unsigned char*>(p) - memory->data;
  if (memory == nullptr || offset > memory->size + near) return "access outside of every buffer";
  if (offset + bytes > memory->size)
    return "out of bounds: bytes " + std::to_string(offset) + " to " + std::to_string(offset + bytes) + " of " +
           std::to_string(memory->size);
  if (offset % bytes != 0) return "misaligned access to " + std::to_string(bytes) + " bytes";
  return memory->shadow.touch(offset, bytes, access, now);
}

Memory::Memory(index_t bytes) : state_(std::make_unique<State>(bytes)) {
  Registry& all = registry();
  const std::lock_guard<std::mutex> lock(all.mutex);
  all.memories[reinterpret_cast<std::uintptr_t>(state_->data)] = state_.get();
}

Memory::Memory(Memory&&) noexcept = default;

Memory::~Memory() {
  if (state_ == nullptr) return;  // moved from
  Registry& all = registry();
  const std::lock_guard<std::mutex> lock(all.mutex);
  all.memories.erase(reinterpret_cast<std::uintptr_t>(state_->data));
}

void* Memory::data() const { return state_->data; }

void Memory::write(index_t offset, const void* from, index_t bytes) {
  require(offset >= 0 && bytes >= 0 && offset + bytes <= state_->size, "copy: found bytes ", offset, " to ",
          offset + bytes, ", expected at most ", state_->size);
  if (bytes > 0) std::memcpy(state_->data + offset, from, static_cast<std::size_t>(bytes));
  state_->shadow.set_written(offset, bytes, true);
}

void Memory::clear() {
  std::fill_n(state_->data, static_cast<std::size_t>(state_->size), static_cast<unsigned char>(0));
  state_->shadow.set_written(0, state_->size, true);
}

void Memory::read(index_t offset, void* to, index_t bytes) const {
  require(offset >= 0 && bytes >= 0 && offset + bytes <= state_->size, "copy: found bytes ", offset, " to ",
          offset + bytes, ", expected at most ", state_->size);
  if (!state_->shadow.written(offset, bytes)) throw Fault("copy: memory is read that was never written");
  if (bytes > 0) std::memcpy(to, state_->data + offset, static_cast<std::size_t>(bytes));
}

}  // namespace cryolith::emulated
