// SPDX-License-Identifier: BSD-3-Clause
#include "cuda/device_tensor.hpp"

#include <cstdint>
#include <utility>

#include "cuda/devices.hpp"

namespace cryolith {
namespace {

index_t checked_bytes(ElementType type, const std::vector<index_t>& shape) {
  constexpr index_t most = index_t{1} << 60;
  index_t bytes = type.bytes();
  for (index_t extent : shape) {
    require(extent >= 0 && (extent == 0 || bytes <= most / extent), "shape: found an extent of ", extent,
            ", expected one of a possible array");
    bytes *= extent;
  }
  return bytes;
}

const char* kind_name(ElementType::Kind kind) {
  switch (kind) {
    case ElementType::integer:
      return "int";
    case ElementType::natural:
      return "uint";
    case ElementType::real:
      return "float";
    case ElementType::complex:
      return "complex";
    default:
      return "bool";
  }
}

}  // namespace

DeviceTensor::DeviceTensor(const std::string& device, ElementType type, std::vector<index_t> shape)
    : device_(device_name(device)), type_(type), shape_(std::move(shape)) {
  const index_t count = checked_bytes(type_, shape_);
  with_device(device_, [&] {
    memory_ = is_emulated(device_) ? emulated::make_device_memory(count) : cuda::make_device_memory(count);
  });
}

DeviceTensor::DeviceTensor(const std::string& device, ElementType type, std::vector<index_t> shape, void* data,
                           std::shared_ptr<void> owner, bool read_only)
    : device_(device_name(device)),
      type_(type),
      shape_(std::move(shape)),
      read_only_(read_only),
      owner_(std::move(owner)) {
  const index_t count = checked_bytes(type_, shape_);
  require(reinterpret_cast<std::uintptr_t>(data) % static_cast<std::uintptr_t>(type_.bytes()) == 0,
          "array: the data lie unaligned in memory; pass a copy");
  with_device(device_, [&] {
    memory_ =
        is_emulated(device_) ? emulated::borrow_device_memory(data, count) : cuda::borrow_device_memory(data, count);
  });
}

index_t DeviceTensor::size() const {
  index_t n = 1;
  for (index_t extent : shape_) n *= extent;
  return n;
}

void DeviceTensor::write(const void* from) const {
  with_device(device_, [&] { memory_->write(0, from, bytes()); });
}

void DeviceTensor::read(void* to) const {
  with_device(device_, [&] { memory_->read(0, to, bytes()); });
}

void DeviceTensor::clear() const {
  with_device(device_, [&] { memory_->clear(); });
}

void DeviceTensor::hand_out() const {
  with_device(device_, [&] { memory_->hand_out(); });
}

void DeviceTensor::require_takes(const char* name, ElementType type, int axes, bool only_read) const {
  require(type_ == type, name, ": found ", kind_name(type_.kind), int{type_.bits}, " elements, expected ",
          kind_name(type.kind), int{type.bits}, "; convert them first");
  require(static_cast<int>(shape_.size()) == axes, name, ": found ", shape_.size(), " axes, expected ", axes);
  require(only_read || !read_only_, name, ": the array is read-only; pass one that can be written to");
}

index_t free_device_memory(const std::string& device) {
  index_t out = 0;
  with_device(device, [&] { out = is_emulated(device) ? emulated::free_device_memory() : cuda::free_device_memory(); });
  return out;
}

}  // namespace cryolith
