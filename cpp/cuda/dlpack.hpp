// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// Device arrays to and from other libraries without a copy, by DLPack (dmlc/dlpack, include/dlpack/dlpack.h): the
// structures of its version 1 and of the versions before.
#include <cstdint>
#include <memory>
#include <vector>

#include "cuda/device_tensor.hpp"

extern "C" {
typedef struct {
  std::int32_t device_type, device_id;
} DLDevice;
typedef struct {
  std::uint8_t code, bits;
  std::uint16_t lanes;
} DLDataType;
typedef struct {
  void* data;
  DLDevice device;
  std::int32_t ndim;
  DLDataType dtype;
  std::int64_t *shape, *strides;  // in elements; no strides: C order
  std::uint64_t byte_offset;
} DLTensor;
typedef struct DLManagedTensor {
  DLTensor dl_tensor;
  void* manager_ctx;
  void (*deleter)(struct DLManagedTensor*);
} DLManagedTensor;
typedef struct {
  std::uint32_t major, minor;
} DLPackVersion;
typedef struct DLManagedTensorVersioned {
  DLPackVersion version;
  void* manager_ctx;
  void (*deleter)(struct DLManagedTensorVersioned*);
  std::uint64_t flags;
  DLTensor dl_tensor;
} DLManagedTensorVersioned;
}

namespace cryolith {

inline constexpr std::int32_t kDlCpu = 1, kDlCuda = 2, kDlCudaManaged = 13;
inline constexpr std::uint64_t kDlReadOnly = 1;
inline constexpr DLPackVersion kDlVersion{1, 0};

// Where DLPack says that an array lies: the emulation's memory is the host's.
DLDevice dlpack_device(const DeviceTensor& tensor);

// The array that `tensor` describes; `owner` keeps it alive and is let go when it is refused, too. ArgumentError for
// what kernels cannot read: another kind of device, packed or odd elements, a memory order other than C.
DeviceTensor tensor_from(const DLTensor& tensor, std::shared_ptr<void> owner, bool read_only);

// What a consumer takes over: its deleter lets the array go. The caller has handed the array out before. A read-only
// array can only be told of in the versioned form.
template <class Managed>
Managed* managed_from(const DeviceTensor& tensor);

}  // namespace cryolith
