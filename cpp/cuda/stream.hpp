// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// Statuses of the CUDA runtime, its streams, and host memory for their copies.
#include <cuda_runtime.h>

#include <cstdlib>
#include <sstream>
#include <utility>

#include "core/error.hpp"
#include "core/view.hpp"

namespace cryolith::cuda {

// Throws DeviceOutOfMemory, DeviceLost or DeviceError where a call failed.
inline void check(cudaError_t status, const char* what, const char* file = __builtin_FILE(),
                  int line = __builtin_LINE()) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // what can be forgotten is: the next call starts clean
  std::ostringstream out;
  out << "CUDA: " << what << " failed: " << cudaGetErrorString(status) << " (" << cudaGetErrorName(status) << ", "
      << file << ":" << line << ")";
  if (status == cudaErrorMemoryAllocation) throw DeviceOutOfMemory(out.str());
  // A context that is lost gives the same answer to whatever is asked next.
  if (cudaDeviceSynchronize() != cudaSuccess) throw DeviceLost(out.str());
  throw DeviceError(out.str());
}

// The queue that this thread's launches and copies go into: the device's own, or a Stream's.
inline cudaStream_t& current_stream() {
  thread_local cudaStream_t stream = cudaStreamLegacy;
  return stream;
}
inline void wait_for_stream() { check(cudaStreamSynchronize(current_stream()), "waiting for the device"); }

// A queue beside the device's own: what is in it runs in order, whatever others do meanwhile.
class Stream {
 public:
  Stream() { check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreate"); }
  ~Stream() {
    cudaStreamSynchronize(stream_);  // what it still does uses memory that goes next
    cudaStreamDestroy(stream_);
  }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  void wait() const { check(cudaStreamSynchronize(stream_), "waiting for a stream"); }
  // Returns when it is done.
  void copy(void* to, const void* from, index_t bytes, cudaMemcpyKind kind) const {
    check(cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), kind, stream_), "copy");
    wait();
  }

 private:
  friend class UseStream;
  cudaStream_t stream_ = nullptr;
};

// While it lives, `stream` is this thread's.
class UseStream {
 public:
  explicit UseStream(Stream& stream) : before_(std::exchange(current_stream(), stream.stream_)) {}
  ~UseStream() { current_stream() = before_; }
  UseStream(const UseStream&) = delete;
  UseStream& operator=(const UseStream&) = delete;

 private:
  cudaStream_t before_;
};

// Host memory that copies pass while kernels run: page-locked, or plain where the system locks no more pages (copies
// then make the host wait, and are right all the same).
class PinnedMemory {
 public:
  explicit PinnedMemory(index_t bytes) {
    const auto size = static_cast<std::size_t>(bytes > 0 ? bytes : 1);
    pinned_ = cudaHostAlloc(&data_, size, cudaHostAllocPortable) == cudaSuccess;
    if (pinned_) return;
    cudaGetLastError();
    data_ = std::malloc(size);
    if (data_ == nullptr) throw std::bad_alloc();
  }
  PinnedMemory(PinnedMemory&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), pinned_(std::exchange(other.pinned_, false)) {}
  PinnedMemory& operator=(PinnedMemory&&) = delete;
  ~PinnedMemory() {
    if (pinned_)
      cudaFreeHost(data_);
    else
      std::free(data_);
  }
  void* data() const { return data_; }

 private:
  void* data_ = nullptr;
  bool pinned_ = false;
};

}  // namespace cryolith::cuda
