// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// Arrays in the memory of a device, for code that is compiled for none: what pairs, filters and solvers take and
// return.
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "core/error.hpp"
#include "core/view.hpp"

namespace cryolith {

// Kind and size of an element, in the numbers of DLPack.
struct ElementType {
  enum Kind : std::uint8_t { integer = 0, natural = 1, real = 2, complex = 5, boolean = 6 };
  Kind kind = real;
  std::uint8_t bits = 32;
  index_t bytes() const { return bits / 8; }
  bool operator==(const ElementType&) const = default;
};
template <class T>
constexpr ElementType element_type() {
  constexpr auto bits = static_cast<std::uint8_t>(8 * sizeof(T));
  if constexpr (std::is_same_v<T, bool>) return {ElementType::boolean, bits};
  if constexpr (std::is_floating_point_v<T>) return {ElementType::real, bits};
  if constexpr (std::is_integral_v<T>) return {std::is_signed_v<T> ? ElementType::integer : ElementType::natural, bits};
  return {ElementType::complex, bits};
}

// Bytes in the memory of a device; what reads and writes them has to have that device as its thread's.
class DeviceMemory {
 public:
  virtual ~DeviceMemory() = default;
  virtual void* data() const = 0;
  virtual void write(index_t offset, const void* from, index_t bytes) = 0;
  virtual void read(index_t offset, void* to, index_t bytes) const = 0;
  virtual void clear() = 0;
  virtual void hand_out() const = 0;  // to other programs: returns when all that writes it is done
};

// A C-ordered array on a device, shared by its copies: as a handle, it can be const and written through.
class DeviceTensor {
 public:
  // Elements that nobody has written yet. DeviceError where there is no such device, DeviceOutOfMemory where it is
  // full.
  DeviceTensor(const std::string& device, ElementType type, std::vector<index_t> shape);
  // Those of somebody else, who is told by `owner` when they are needed no more.
  DeviceTensor(const std::string& device, ElementType type, std::vector<index_t> shape, void* data,
               std::shared_ptr<void> owner, bool read_only);

  const std::string& device() const { return device_; }  // "cuda:0", "emulated:1" ...
  ElementType type() const { return type_; }
  const std::vector<index_t>& shape() const { return shape_; }
  index_t size() const;
  index_t bytes() const { return size() * type_.bytes(); }
  bool read_only() const { return read_only_; }
  void* data() const { return memory_->data(); }
  // The whole of it; these make its device the thread's while they run.
  void write(const void* from) const;
  void read(void* to) const;
  void clear() const;  // to zeros
  void hand_out() const;

  // For kernels, on the tensor's device.
  template <class T, int N>
  View<T, N> view(const char* name) const {
    require_takes(name, element_type<std::remove_const_t<T>>(), N, std::is_const_v<T>);
    View<T, N> v;
    v.data = static_cast<T*>(data());
    for (int i = 0; i < N; ++i) v.extent[i] = shape_[static_cast<std::size_t>(i)];
    return v;
  }

 private:
  void require_takes(const char* name, ElementType type, int axes, bool only_read) const;

  std::string device_;
  ElementType type_;
  std::vector<index_t> shape_;
  bool read_only_ = false;
  std::shared_ptr<void> owner_;
  std::shared_ptr<DeviceMemory> memory_;  // goes before its owner does
};

index_t free_device_memory(const std::string& device);  // bytes

namespace emulated {
std::shared_ptr<DeviceMemory> make_device_memory(index_t bytes);
std::shared_ptr<DeviceMemory> borrow_device_memory(void* data, index_t bytes);
index_t free_device_memory();  // bytes of this thread's device
}  // namespace emulated
namespace cuda {
std::shared_ptr<DeviceMemory> make_device_memory(index_t bytes);
std::shared_ptr<DeviceMemory> borrow_device_memory(void* data, index_t bytes);
index_t free_device_memory();  // bytes of this thread's device
}  // namespace cuda

}  // namespace cryolith
