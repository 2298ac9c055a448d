// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// The CUDA runtime with every status checked; for files that nvcc compiles. cuda/emulate.hpp has the same classes.
#include "cuda/host_copies.hpp"
#include "cuda/stream.hpp"

namespace cryolith::cuda {

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
    if (bytes < kLarge) begin_write(offset, from, bytes);
    wait_for_stream();
    if (bytes >= kLarge) write_in_pieces(at(offset, bytes), static_cast<const char*>(from), bytes);
  }
  void read(index_t offset, void* to, index_t bytes) const {
    if (bytes < kLarge) begin_read(offset, to, bytes);
    wait_for_stream();
    if (bytes >= kLarge) read_in_pieces(static_cast<char*>(to), at(offset, bytes), bytes);
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
