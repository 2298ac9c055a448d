// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// The devices "emulated:0", "emulated:1" ... that the emulation plays: how much memory each has, and when it breaks.
#include <functional>
#include <vector>

#include "core/view.hpp"

namespace cryolith::emulated {

inline constexpr int kDevices = 16;
inline constexpr index_t kMemoryBytes = index_t{1} << 40;  // of each, unless set otherwise

int current_device();  // of this thread
void use_device(int number);
index_t free_memory();  // of this thread's device

// For tests. From now on so many bytes, in pieces of up to `largest`; allocations beyond are refused with
// DeviceOutOfMemory.
void set_memory(int device, index_t bytes, index_t largest = kMemoryBytes);
// For tests. So many launches, copies and allocations go well yet; then the device is lost, for good.
void lose_after(int device, index_t operations);

// What the emulation itself asks: each throws where the device does not give it.
void count_operation();  // of this thread's device
void take_memory(int device, index_t bytes);
void give_memory(int device, index_t bytes);

// A queue beside the device's own. What goes into it happens when it is waited for and not before: whoever looks
// earlier finds what was there, as he might on a GPU.
class Stream {
 public:
  Stream() = default;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  void wait();

 private:
  friend void enqueue(std::function<void()> work);
  std::vector<std::function<void()>> queue_;
};
class UseStream {
 public:
  explicit UseStream(Stream& stream);
  ~UseStream();
  UseStream(const UseStream&) = delete;
  UseStream& operator=(const UseStream&) = delete;

 private:
  Stream* before_;
};
// Does it now, or puts it into this thread's stream.
void enqueue(std::function<void()> work);
void wait_for_stream();

}  // namespace cryolith::emulated
