// SPDX-License-Identifier: BSD-3-Clause
#include "cuda/devices.hpp"

#include <unistd.h>

#include <charconv>
#include <map>
#include <mutex>
#include <utility>

#include "core/error.hpp"

namespace cryolith {
namespace {

constexpr int kEmulated = -1;

int device_number(const std::string& device) {
  if (device == "emulated") return kEmulated;
  if (device == "cuda") return 0;
  const std::string prefix = "cuda:";
  int number = -1;
  if (device.rfind(prefix, 0) == 0) {
    const char *begin = device.data() + prefix.size(), *end = device.data() + device.size();
    const auto parsed = std::from_chars(begin, end, number);
    if (parsed.ec != std::errc() || parsed.ptr != end) number = -1;
  }
  require(number >= 0, "device: found '", device, "', expected 'cpu', 'cuda', 'cuda:0', 'cuda:1' ... or 'emulated'");
  return number;
}

// What this process knows of its devices: a context does not survive a fork, and a device that computed wrongly once is
// not asked again.
struct Seen {
  std::mutex mutex;
  std::map<std::pair<int, std::string>, std::string> verdicts;  // of a device and a self-test; empty: healthy
  pid_t process = 0;                                            // that used CUDA first
};
Seen& seen() {
  static Seen all;
  return all;
}

void require_cuda(int number) {
  std::string why;
  const auto devices = cuda_devices(why);
  if (devices.empty()) throw DeviceError("cuda: " + why);
  if (number >= static_cast<int>(devices.size()))
    throw DeviceError("cuda: found " + std::to_string(devices.size()) + " devices, no cuda:" + std::to_string(number));
}

}  // namespace

void with_device(const std::string& device, const SelfTest& self_test, const std::function<void()>& body) {
  const int number = device_number(device);
  const std::pair<int, std::string> tested{number, self_test.of};
  Seen& all = seen();
  {
    const std::lock_guard<std::mutex> lock(all.mutex);
    if (number != kEmulated) {
      if (all.process == 0) all.process = getpid();
      if (all.process != getpid())
        throw DeviceError("cuda: this process was forked from one that had used CUDA; start workers by spawn");
      // Devices are looked up until one is known to be there: their properties take longer than a small kernel.
      if (all.verdicts.find(tested) == all.verdicts.end()) require_cuda(number);
      cuda::use_device(number);
    }
    if (all.verdicts.find(tested) == all.verdicts.end()) {
      std::string verdict;
      try {
        self_test.run();
      } catch (const std::exception& error) {
        verdict = error.what();
      }
      all.verdicts[tested] = verdict;
    }
    if (!all.verdicts[tested].empty())
      throw DeviceError(device + " failed its self-test and is not used: " + all.verdicts[tested]);
  }
  body();
}

}  // namespace cryolith
