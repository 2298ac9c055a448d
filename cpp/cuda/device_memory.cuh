// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// DeviceMemory of the device that this file is compiled for.
#include "core/kernel.hpp"
#include "cuda/device_tensor.hpp"

namespace cryolith::CRYOLITH_DEVICE {

class HeldMemory : public DeviceMemory {
 public:
  explicit HeldMemory(index_t bytes) : memory_(bytes) {}
  HeldMemory(void* data, index_t bytes) : memory_(data, bytes) {}
  void* data() const override { return memory_.data(); }
  void write(index_t offset, const void* from, index_t bytes) override { memory_.write(offset, from, bytes); }
  void read(index_t offset, void* to, index_t bytes) const override { memory_.read(offset, to, bytes); }
  void clear() override { memory_.clear(); }
  void hand_out() const override { memory_.hand_out(); }

 private:
  Memory memory_;
};

std::shared_ptr<DeviceMemory> make_device_memory(index_t bytes) { return std::make_shared<HeldMemory>(bytes); }
std::shared_ptr<DeviceMemory> borrow_device_memory(void* data, index_t bytes) {
  return std::make_shared<HeldMemory>(data, bytes);
}
index_t free_device_memory() { return free_memory(); }

}  // namespace cryolith::CRYOLITH_DEVICE
