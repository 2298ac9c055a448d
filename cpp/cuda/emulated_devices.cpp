// SPDX-License-Identifier: BSD-3-Clause
#include "cuda/emulated_devices.hpp"

#include <algorithm>
#include <array>
#include <mutex>
#include <string>
#include <utility>

#include "core/error.hpp"

namespace cryolith::emulated {
namespace {

struct Device {
  index_t memory = kMemoryBytes, largest = kMemoryBytes, used = 0;
  index_t left = -1;  // operations until it is lost; negative: it is not going to be
};
struct Devices {
  std::mutex mutex;
  std::array<Device, kDevices> all;
};
Devices& devices() {
  static Devices all;
  return all;
}
Device& at(int number) {
  require(number >= 0 && number < kDevices, "device: found emulated:", number,
          ", expected at most emulated:", kDevices - 1);
  return devices().all[static_cast<std::size_t>(number)];
}

thread_local int this_threads_device = 0;
thread_local Stream* this_threads_stream = nullptr;

}  // namespace

int current_device() { return this_threads_device; }

void use_device(int number) {
  at(number);
  this_threads_device = number;
}

index_t free_memory() {
  const std::lock_guard<std::mutex> lock(devices().mutex);
  const Device& device = at(this_threads_device);
  return device.memory - device.used;
}

void set_memory(int device, index_t bytes, index_t largest) {
  const std::lock_guard<std::mutex> lock(devices().mutex);
  at(device).memory = bytes;
  at(device).largest = largest;
}

void lose_after(int device, index_t operations) {
  const std::lock_guard<std::mutex> lock(devices().mutex);
  at(device).left = operations;
}

void count_operation() {
  const std::lock_guard<std::mutex> lock(devices().mutex);
  Device& device = at(this_threads_device);
  if (device.left == 0) throw DeviceLost("emulated:" + std::to_string(this_threads_device) + ": the device is lost");
  if (device.left > 0) --device.left;
}

void take_memory(int number, index_t bytes) {
  const std::lock_guard<std::mutex> lock(devices().mutex);
  Device& device = at(number);
  if (bytes > std::min(device.largest, device.memory - device.used))
    throw DeviceOutOfMemory("emulated:" + std::to_string(number) + ": " + std::to_string(bytes) +
                            " bytes were asked for, " + std::to_string(device.memory - device.used) + " are free");
  device.used += bytes;
}

void give_memory(int number, index_t bytes) {
  const std::lock_guard<std::mutex> lock(devices().mutex);
  at(number).used -= bytes;
}

void Stream::wait() {
  for (auto& work : std::exchange(queue_, {})) work();
}

UseStream::UseStream(Stream& stream) : before_(std::exchange(this_threads_stream, &stream)) {}
UseStream::~UseStream() { this_threads_stream = before_; }

void enqueue(std::function<void()> work) {
  count_operation();
  if (this_threads_stream == nullptr)
    work();
  else
    this_threads_stream->queue_.push_back(std::move(work));
}

void wait_for_stream() {
  count_operation();
  if (this_threads_stream != nullptr) this_threads_stream->wait();
}

}  // namespace cryolith::emulated
