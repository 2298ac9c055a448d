// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <type_traits>
#include <vector>

#include "core/kernel.hpp"

namespace cryolith::CRYOLITH_DEVICE {

// Blocks of `each` that cover n.
inline unsigned blocks_for(index_t n, index_t each) { return static_cast<unsigned>((n + each - 1) / each); }

// Elements in the memory of the device that this file is compiled for.
template <class T>
class DeviceArray {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  explicit DeviceArray(index_t count) : memory_(count * kSize), count_(count) {}
  explicit DeviceArray(const std::vector<T>& values) : DeviceArray(static_cast<index_t>(values.size())) {
    write(0, values.data(), count_);
  }
  T* data() const { return static_cast<T*>(memory_.data()); }
  index_t size() const { return count_; }
  index_t bytes() const { return count_ * kSize; }
  void write(index_t first, const T* from, index_t count) { memory_.write(first * kSize, from, count * kSize); }
  void read(index_t first, T* to, index_t count) const { memory_.read(first * kSize, to, count * kSize); }
  // Into this thread's stream: done when that was waited for.
  void begin_write(index_t first, const T* from, index_t count) {
    memory_.begin_write(first * kSize, from, count * kSize);
  }
  void begin_read(index_t first, T* to, index_t count) const { memory_.begin_read(first * kSize, to, count * kSize); }
  void clear() { memory_.clear(); }

 private:
  static constexpr index_t kSize = sizeof(T);
  Memory memory_;
  index_t count_;
};

// Elements in host memory that copies pass while kernels run.
template <class T>
class PinnedArray {
 public:
  explicit PinnedArray(index_t count) : memory_(count * index_t{sizeof(T)}), count_(count) {}
  T* data() { return static_cast<T*>(memory_.data()); }
  index_t size() const { return count_; }

 private:
  PinnedMemory memory_;
  index_t count_;
};

}  // namespace cryolith::CRYOLITH_DEVICE
