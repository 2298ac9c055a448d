// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "core/parallel.hpp"
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

// "emulated:0" for "emulated", "cuda:0" for "cuda"; ArgumentError where it is none of "emulated", "emulated:1", "cuda",
// "cuda:1" ...
std::string device_name(const std::string& device);
bool is_emulated(const std::string& device);
// The same of several, at least one and each once.
std::vector<std::string> device_names(const std::vector<std::string>& devices);

// Computes something small on this thread's device and throws where it is wrong; `of` names the code that it tests.
struct SelfTest {
  std::string of;
  std::function<void()> run;
};

// Runs `body` with the device of that name as this thread's; the one before is the thread's again afterwards.
// DeviceError where there is no such device, where the process was forked after CUDA had started, or where the device
// was lost or has failed a self-test: it is refused for as long as the process lives.
void with_device(const std::string& device, const std::function<void()>& body);
// The same for code that has to prove itself on each device first.
void with_device(const std::string& device, const SelfTest& self_test, const std::function<void()>& body);

// Calls body(i) for each of `count` devices, on a thread of its own, while the caller's watches (cpu.poll, cpu.cancel).
// What one of them, or the watching, throws is rethrown here, after `stop` was called and all have ended.
void run_on_each(const Cpu& cpu, index_t count, const std::function<void()>& stop,
                 const std::function<void(index_t)>& body);

namespace cuda {
int current_device();  // of this thread
void use_device(int number);
}  // namespace cuda

}  // namespace cryolith
