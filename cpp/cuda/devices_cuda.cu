// SPDX-License-Identifier: BSD-3-Clause
#include "cuda/devices.hpp"
#include "cuda/runtime.hpp"

namespace cryolith {

std::vector<CudaDevice> cuda_devices(std::string& why) {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess) {
    cudaGetLastError();
    why = std::string(cudaGetErrorString(status)) + " (" + cudaGetErrorName(status) + ")";
    return {};
  }
  if (count == 0) why = "the driver knows no device";
  std::vector<CudaDevice> out;
  for (int i = 0; i < count; ++i) {
    cudaDeviceProp p;
    cuda::check(cudaGetDeviceProperties(&p, i), "cudaGetDeviceProperties");
    out.push_back({p.name, p.major, p.minor, p.multiProcessorCount, static_cast<index_t>(p.totalGlobalMem)});
  }
  return out;
}

namespace cuda {
int current_device() {
  int number = 0;
  check(cudaGetDevice(&number), "cudaGetDevice");
  return number;
}
void use_device(int number) { check(cudaSetDevice(number), "cudaSetDevice"); }
}  // namespace cuda

}  // namespace cryolith
