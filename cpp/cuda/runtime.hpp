// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// The CUDA runtime with every status checked; for files that nvcc compiles.
#include <cuda_runtime.h>

#include <sstream>

#include "core/error.hpp"
#include "core/view.hpp"

namespace cryolith::cuda {

struct OutOfMemory : DeviceError {
  using DeviceError::DeviceError;
};

// Throws DeviceError where a call failed, or OutOfMemory.
inline void check(cudaError_t status, const char* what, const char* file = __builtin_FILE(),
                  int line = __builtin_LINE()) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // what can be forgotten is: the next call starts clean
  std::ostringstream out;
  out << "CUDA: " << what << " failed: " << cudaGetErrorString(status) << " (" << cudaGetErrorName(status) << ", "
      << file << ":" << line << ")";
  if (status == cudaErrorMemoryAllocation) throw OutOfMemory(out.str());
  throw DeviceError(out.str());
}

// Memory of the device that this thread uses.
class Memory {
 public:
  explicit Memory(index_t bytes) {
    require(bytes >= 0, "device memory: cannot hold ", bytes, " bytes");
    if (bytes > 0) check(cudaMalloc(&data_, static_cast<std::size_t>(bytes)), "cudaMalloc");
    bytes_ = bytes;
  }
  Memory(Memory&& other) noexcept : data_(other.data_), bytes_(other.bytes_) {
    other.data_ = nullptr;
    other.bytes_ = 0;
  }
  Memory& operator=(Memory&&) = delete;
  ~Memory() { cudaFree(data_); }  // of a lost device: nothing left to tell
  void* data() const { return data_; }
  void write(index_t offset, const void* from, index_t bytes) {
    check(cudaMemcpy(at(offset, bytes), from, static_cast<std::size_t>(bytes), cudaMemcpyHostToDevice),
          "copy to the device");
  }
  void read(index_t offset, void* to, index_t bytes) const {
    check(cudaMemcpy(to, at(offset, bytes), static_cast<std::size_t>(bytes), cudaMemcpyDeviceToHost),
          "copy from the device");
  }
  void clear() {
    if (bytes_ > 0) check(cudaMemset(data_, 0, static_cast<std::size_t>(bytes_)), "cudaMemset");
  }

 private:
  char* at(index_t offset, index_t bytes) const {
    require(offset >= 0 && bytes >= 0 && offset + bytes <= bytes_, "copy: found bytes ", offset, " to ", offset + bytes,
            ", expected at most ", bytes_);
    return static_cast<char*>(data_) + offset;
  }
  void* data_ = nullptr;
  index_t bytes_ = 0;
};

}  // namespace cryolith::cuda
