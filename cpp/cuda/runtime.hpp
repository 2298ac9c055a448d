// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// The CUDA runtime with every status checked; for files that nvcc compiles. cuda/emulate.hpp has the same classes.
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

// Memory of the device that this thread uses.
class Memory {
 public:
  explicit Memory(index_t bytes) : owned_(true) {
    require(bytes >= 0, "device memory: cannot hold ", bytes, " bytes");
    if (bytes > 0) check(cudaMalloc(&data_, static_cast<std::size_t>(bytes)), "cudaMalloc");
    bytes_ = bytes;
  }
  // Memory that somebody else owns.
  Memory(void* data, index_t bytes) : data_(data), bytes_(bytes) {}
  Memory(Memory&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)), owned_(other.owned_) {}
  Memory& operator=(Memory&&) = delete;
  ~Memory() {
    if (owned_) cudaFree(data_);  // of a lost device: nothing left to tell
  }
  void* data() const { return data_; }
  void write(index_t offset, const void* from, index_t bytes) {
    begin_write(offset, from, bytes);
    wait_for_stream();
  }
  void read(index_t offset, void* to, index_t bytes) const {
    begin_read(offset, to, bytes);
    wait_for_stream();
  }
  // Into this thread's stream; done when that was waited for. The host's bytes stay as they are until then.
  void begin_write(index_t offset, const void* from, index_t bytes) {
    check(cudaMemcpyAsync(at(offset, bytes), from, static_cast<std::size_t>(bytes), cudaMemcpyHostToDevice,
                          current_stream()),
          "copy to the device");
  }
  void begin_read(index_t offset, void* to, index_t bytes) const {
    check(cudaMemcpyAsync(to, at(offset, bytes), static_cast<std::size_t>(bytes), cudaMemcpyDeviceToHost,
                          current_stream()),
          "copy from the device");
  }
  void clear() {
    if (bytes_ > 0) check(cudaMemsetAsync(data_, 0, static_cast<std::size_t>(bytes_), current_stream()), "cudaMemset");
  }
  // Of use for others from now on: whatever writes it is done.
  void hand_out() const { wait_for_stream(); }

 private:
  char* at(index_t offset, index_t bytes) const {
    require(offset >= 0 && bytes >= 0 && offset + bytes <= bytes_, "copy: found bytes ", offset, " to ", offset + bytes,
            ", expected at most ", bytes_);
    return static_cast<char*>(data_) + offset;
  }
  void* data_ = nullptr;
  index_t bytes_ = 0;
  bool owned_ = false;
};

// Bytes of the device that this thread uses that can still be had.
inline index_t free_memory() {
  std::size_t free = 0, all = 0;
  check(cudaMemGetInfo(&free, &all), "cudaMemGetInfo");
  return static_cast<index_t>(free);
}

}  // namespace cryolith::cuda
