// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// As much of the CUDA runtime as cuda/runtime.hpp uses, on the host: to test what it does where there is no card. A
// device's memory is the host's; what goes into a stream happens when that is waited for.
#include <cstdlib>
#include <cstring>
#include <functional>
#include <mutex>
#include <set>
#include <thread>
#include <utility>
#include <vector>

enum cudaError_t { cudaSuccess, cudaErrorMemoryAllocation, cudaErrorInvalidValue };
enum cudaMemcpyKind { cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost };

struct FakeStream {
  int device = 0;
  std::vector<std::function<void()>> queue;
};
using cudaStream_t = FakeStream*;
inline FakeStream fake_legacy_stream;
#define cudaStreamLegacy (&fake_legacy_stream)
constexpr unsigned cudaStreamNonBlocking = 1, cudaHostAllocPortable = 1;

// What a test looks at and sets.
struct FakeCuda {
  std::mutex mutex;
  std::set<const void*> pinned;        // where page-locked memory begins
  std::set<std::thread::id> copiers;   // threads that asked for copies
  std::vector<const void*> host_ends;  // of copies
  int copies_until_failure = -1;
};
inline FakeCuda fake_cuda;
inline thread_local int fake_device = 0;

inline const char* cudaGetErrorString(cudaError_t) { return "a failure"; }
inline const char* cudaGetErrorName(cudaError_t) { return "cudaErrorFake"; }
inline cudaError_t cudaGetLastError() { return cudaSuccess; }
inline cudaError_t cudaDeviceSynchronize() { return cudaSuccess; }
inline cudaError_t cudaGetDevice(int* device) {
  *device = fake_device;
  return cudaSuccess;
}
inline cudaError_t cudaSetDevice(int device) {
  fake_device = device;
  return cudaSuccess;
}
inline cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = new FakeStream{fake_device, {}};
  return cudaSuccess;
}
inline cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  for (const auto& work : std::exchange(stream->queue, {})) work();
  return cudaSuccess;
}
inline cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  delete stream;
  return cudaSuccess;
}
inline cudaError_t cudaMalloc(void** data, std::size_t bytes) {
  *data = std::malloc(bytes);
  return cudaSuccess;
}
inline cudaError_t cudaFree(void* data) {
  std::free(data);
  return cudaSuccess;
}
inline cudaError_t cudaHostAlloc(void** data, std::size_t bytes, unsigned) {
  *data = std::malloc(bytes);
  const std::scoped_lock lock(fake_cuda.mutex);
  fake_cuda.pinned.insert(*data);
  return cudaSuccess;
}
inline cudaError_t cudaFreeHost(void* data) {
  const std::scoped_lock lock(fake_cuda.mutex);
  fake_cuda.pinned.erase(data);
  std::free(data);
  return cudaSuccess;
}
inline cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* all) {
  *free = *all = 0;
  return cudaSuccess;
}
inline cudaError_t cudaMemsetAsync(void* data, int value, std::size_t bytes, cudaStream_t stream) {
  stream->queue.push_back([=] { std::memset(data, value, bytes); });
  return cudaSuccess;
}
inline cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                                   cudaStream_t stream) {
  const std::scoped_lock lock(fake_cuda.mutex);
  if (fake_cuda.copies_until_failure == 0 || stream->device != fake_device) return cudaErrorInvalidValue;
  --fake_cuda.copies_until_failure;
  fake_cuda.copiers.insert(std::this_thread::get_id());
  fake_cuda.host_ends.push_back(kind == cudaMemcpyHostToDevice ? from : to);
  stream->queue.push_back([=] { std::memcpy(to, from, bytes); });
  return cudaSuccess;
}
