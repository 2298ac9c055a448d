// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "core/error.hpp"
#include "core/view.hpp"

namespace cryolith {

// Zeroed scratch of trivially copyable elements, aligned to a cache line. Sizes are checked before multiplying.
template <class T>
class Buffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  Buffer() = default;
  explicit Buffer(index_t count) : size_(count) {
    constexpr index_t limit = (index_t{1} << 62) / static_cast<index_t>(sizeof(T));
    require(count >= 0 && count < limit, "buffer: cannot hold ", count, " elements");
    const std::size_t wanted = static_cast<std::size_t>(count) * sizeof(T), unit = wanted < kLarge ? 64 : kHuge;
    const std::size_t bytes = wanted == 0 ? unit : (wanted + unit - 1) / unit * unit;
    data_.reset(static_cast<T*>(std::aligned_alloc(unit, bytes)));
    if (!data_) throw std::bad_alloc();
#if defined(MADV_HUGEPAGE)
    if (unit == kHuge) madvise(static_cast<void*>(data_.get()), bytes, MADV_HUGEPAGE);
#endif
    std::memset(static_cast<void*>(data_.get()), 0, bytes);
  }
  // A buffer that was moved from is empty.
  Buffer(Buffer&& other) noexcept : data_(std::move(other.data_)), size_(std::exchange(other.size_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    data_ = std::move(other.data_);
    size_ = std::exchange(other.size_, 0);
    return *this;
  }
  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }
  index_t size() const { return size_; }
  T& operator[](index_t i) { return data_.get()[i]; }
  const T& operator[](index_t i) const { return data_.get()[i]; }
  void clear() {
    if (size_ > 0) std::memset(static_cast<void*>(data_.get()), 0, static_cast<std::size_t>(size_) * sizeof(T));
  }

 private:
  // Buffers from kLarge on lie on pages of kHuge, where the system has them: one of 4 KiB each would be cleared on its
  // own when first touched, and rows that lie pages apart would each wait for a translation.
  static constexpr std::size_t kHuge = std::size_t{2} << 20, kLarge = std::size_t{32} << 20;
  struct Free {
    void operator()(T* p) const { std::free(p); }
  };
  std::unique_ptr<T, Free> data_;
  index_t size_ = 0;
};

}  // namespace cryolith
