// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include "core/error.hpp"
#include "core/pages.hpp"
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
    const std::size_t bytes = (static_cast<std::size_t>(count) * sizeof(T) + 63) / 64 * 64;
    data_ = Owner(static_cast<T*>(bytes < kPagesFrom ? zeroed(bytes) : take_pages(bytes)), Free{bytes});
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
  static void* zeroed(std::size_t bytes) {
    void* memory = std::aligned_alloc(64, bytes == 0 ? 64 : bytes);
    if (memory == nullptr) throw std::bad_alloc();
    return std::memset(memory, 0, bytes);
  }
  struct Free {
    std::size_t bytes = 0;
    void operator()(T* p) const {
      if (bytes < kPagesFrom)
        std::free(p);
      else
        return_pages(p, bytes);
    }
  };
  using Owner = std::unique_ptr<T, Free>;
  Owner data_;
  index_t size_ = 0;
};

}  // namespace cryolith
