// SPDX-License-Identifier: BSD-3-Clause
#include "cuda/dlpack.hpp"

#include <string>
#include <type_traits>

#include "cuda/devices.hpp"

namespace cryolith {
namespace {

std::string device_of(DLDevice device) {
  if (device.device_type == kDlCpu) return "emulated";
  require(device.device_type == kDlCuda || device.device_type == kDlCudaManaged, "array: found DLPack device type ",
          device.device_type, ", expected ", kDlCpu, " (the host's memory) or ", kDlCuda, " (CUDA)");
  return "cuda:" + std::to_string(device.device_id);
}

ElementType element_of(DLDataType type) {
  const bool kind =
      type.code <= ElementType::real || type.code == ElementType::complex || type.code == ElementType::boolean;
  const bool whole =
      type.lanes == 1 && (type.bits == 8 || type.bits == 16 || type.bits == 32 || type.bits == 64 || type.bits == 128);
  require(kind && whole, "array: found elements of DLPack type code ", int{type.code}, ", ", int{type.bits}, " bits, ",
          type.lanes, " lanes, expected booleans, integers, floats or complex numbers");
  return {static_cast<ElementType::Kind>(type.code), type.bits};
}

void require_c_order(const DLTensor& tensor) {
  for (std::int32_t d = 0; d < tensor.ndim; ++d)
    require(tensor.shape[d] >= 0, "array: found an extent of ", tensor.shape[d], ", expected none below 0");
  if (tensor.strides == nullptr) return;
  std::int64_t packed = 1;
  for (std::int32_t d = tensor.ndim - 1; d >= 0; --d) {
    if (tensor.shape[d] == 0) return;
    require(tensor.shape[d] == 1 || tensor.strides[d] == packed, "array: found a stride of ", tensor.strides[d],
            " elements on axis ", d, ", expected ", packed, " (C order, without gaps); make it contiguous first");
    packed *= tensor.shape[d];
  }
}

template <class Managed>
struct Handed {
  explicit Handed(const DeviceTensor& t) : tensor(t), shape(t.shape()), strides(t.shape().size()) {
    index_t packed = 1;
    for (std::size_t d = shape.size(); d-- > 0; packed *= shape[d]) strides[d] = packed;
    managed.dl_tensor = {tensor.data(),
                         dlpack_device(tensor),
                         static_cast<std::int32_t>(shape.size()),
                         {tensor.type().kind, tensor.type().bits, 1},
                         shape.data(),
                         strides.data(),
                         0};
    managed.manager_ctx = this;
    managed.deleter = [](Managed* m) { delete static_cast<Handed*>(m->manager_ctx); };
  }
  DeviceTensor tensor;
  std::vector<std::int64_t> shape, strides;
  Managed managed = {};
};

}  // namespace

DLDevice dlpack_device(const DeviceTensor& tensor) {
  if (is_emulated(tensor.device())) return {kDlCpu, 0};
  return {kDlCuda, static_cast<std::int32_t>(std::stoi(tensor.device().substr(sizeof "cuda")))};
}

DeviceTensor tensor_from(const DLTensor& tensor, std::shared_ptr<void> owner, bool read_only) {
  const std::string device = device_of(tensor.device);
  const ElementType type = element_of(tensor.dtype);
  require_c_order(tensor);
  return DeviceTensor(device, type, {tensor.shape, tensor.shape + tensor.ndim},
                      static_cast<char*>(tensor.data) + tensor.byte_offset, std::move(owner), read_only);
}

template <class Managed>
Managed* managed_from(const DeviceTensor& tensor) {
  if constexpr (std::is_same_v<Managed, DLManagedTensor>)
    require(!tensor.read_only(), "array: it is read-only, which DLPack before version 1 cannot say; pass a copy");
  auto* handed = new Handed<Managed>(tensor);
  if constexpr (std::is_same_v<Managed, DLManagedTensorVersioned>) {
    handed->managed.version = kDlVersion;
    handed->managed.flags = tensor.read_only() ? kDlReadOnly : 0;
  }
  return &handed->managed;
}
template DLManagedTensor* managed_from(const DeviceTensor&);
template DLManagedTensorVersioned* managed_from(const DeviceTensor&);

}  // namespace cryolith
