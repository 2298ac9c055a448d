// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "core/view.hpp"

namespace cryolith {

struct CudaDevice {
  std::string name;
  int major, minor;  // compute capability
  int processors;    // streaming multiprocessors
  index_t memory_bytes;
};

// The CUDA devices that can be used; where there are none, `why` says why. Starts no context.
std::vector<CudaDevice> cuda_devices(std::string& why);

// Computes something small on this thread's device and throws where it is wrong; `of` names the code that it tests.
struct SelfTest {
  std::string of;
  std::function<void()> run;
};

// Runs `body` with the device of that name, "emulated", "cuda" or "cuda:1", as this thread's. DeviceError where there
// is none, where the process was forked after CUDA had started, or where `self_test` failed once on it; that runs at
// the first use of each device by the code that it tests.
void with_device(const std::string& device, const SelfTest& self_test, const std::function<void()>& body);

namespace cuda {
void use_device(int number);  // sets it for this thread
}

}  // namespace cryolith
