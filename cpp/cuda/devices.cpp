// SPDX-License-Identifier: BSD-3-Clause
#include "cuda/devices.hpp"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

#include "core/error.hpp"
#include "cuda/emulated_devices.hpp"

namespace cryolith {
namespace {

struct Parsed {
  bool emulated;
  int number;
  std::string name() const { return (emulated ? "emulated:" : "cuda:") + std::to_string(number); }
};

Parsed parsed(const std::string& device) {
  Parsed out{device.rfind("emulated", 0) == 0, -1};
  const std::string kind = out.emulated ? "emulated" : "cuda", prefix = kind + ":";
  if (device == kind) out.number = 0;
  if (device.rfind(prefix, 0) == 0) {
    const char *begin = device.data() + prefix.size(), *end = device.data() + device.size();
    const auto number = std::from_chars(begin, end, out.number);
    if (number.ec != std::errc() || number.ptr != end) out.number = -1;
  }
  require(out.number >= 0, "device: found '", device,
          "', expected 'cpu', 'cuda', 'cuda:0', 'cuda:1' ... or 'emulated', 'emulated:1' ...");
  return out;
}

// What this process knows of its devices: a context does not survive a fork, and a device that computed wrongly once,
// or was lost, is not asked again.
struct Seen {
  std::recursive_mutex mutex;                                              // a self-test uses its device
  std::map<std::string, std::string> refused;                              // why
  std::map<std::pair<std::string, std::string>, std::string> test_failed;  // device and code: what; empty: it passed
  std::map<int, bool> there;
  pid_t process = 0;  // that used CUDA first
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

// This thread's device, until the end of the scope.
class UseDevice {
 public:
  explicit UseDevice(const Parsed& device) : emulated_(device.emulated) {
    before_ = emulated_ ? emulated::current_device() : cuda::current_device();
    use(device.number);
  }
  ~UseDevice() {
    try {
      use(before_);
    } catch (const DeviceError&) {  // lost: whoever uses it next is told
    }
  }
  UseDevice(const UseDevice&) = delete;
  UseDevice& operator=(const UseDevice&) = delete;

 private:
  void use(int number) const {
    if (emulated_)
      emulated::use_device(number);
    else
      cuda::use_device(number);
  }
  bool emulated_;
  int before_ = 0;
};

void require_usable(Seen& all, const Parsed& device) {
  if (!device.emulated) {
    if (all.process == 0) all.process = getpid();
    if (all.process != getpid())
      throw DeviceError("cuda: this process was forked from one that had used CUDA; start workers by spawn");
    // Devices are looked up until one is known to be there: their properties take longer than a small kernel.
    if (!all.there[device.number]) require_cuda(device.number);
    all.there[device.number] = true;
  }
  const auto refusal = all.refused.find(device.name());
  if (refusal != all.refused.end()) throw DeviceError(device.name() + " " + refusal->second);
}

void require_passed(Seen& all, const Parsed& device, const SelfTest& test) {
  // The code of all emulated devices is the same, and so are their results.
  const std::pair<std::string, std::string> key{device.emulated ? "emulated" : device.name(), test.of};
  if (all.test_failed.find(key) == all.test_failed.end()) {
    std::string failed;
    try {
      test.run();
    } catch (const DeviceOutOfMemory&) {  // says nothing of its results
      throw;
    } catch (const DeviceLost&) {
      throw;
    } catch (const std::exception& error) {
      failed = error.what();
    }
    all.test_failed[key] = failed;
  }
  const std::string& failed = all.test_failed[key];
  if (failed.empty()) return;
  all.refused[device.name()] = "failed its self-test (" + test.of + ") and is not used: " + failed;
  throw DeviceError(device.name() + " " + all.refused[device.name()]);
}

void run_on(const std::string& device, const SelfTest* test, const std::function<void()>& body) {
  const Parsed name = parsed(device);
  Seen& all = seen();
  try {
    std::optional<UseDevice> use;
    {
      const std::lock_guard<std::recursive_mutex> lock(all.mutex);
      require_usable(all, name);
      use.emplace(name);
      if (test != nullptr) require_passed(all, name, *test);
    }
    body();
  } catch (const DeviceLost& lost) {
    const std::lock_guard<std::recursive_mutex> lock(all.mutex);
    all.refused[name.name()] = std::string("was lost and is not used; start a new process: ") + lost.what();
    throw;
  }
}

}  // namespace

std::string device_name(const std::string& device) { return parsed(device).name(); }
bool is_emulated(const std::string& device) { return parsed(device).emulated; }
std::vector<std::string> device_names(const std::vector<std::string>& devices) {
  require(!devices.empty(), "device: found none, expected at least one");
  std::vector<std::string> out;
  for (const std::string& device : devices) {
    const std::string name = device_name(device);
    require(std::find(out.begin(), out.end(), name) == out.end(), "device: found ", name, " twice, expected each once");
    out.push_back(name);
  }
  return out;
}

void with_device(const std::string& device, const std::function<void()>& body) { run_on(device, nullptr, body); }
void with_device(const std::string& device, const SelfTest& self_test, const std::function<void()>& body) {
  run_on(device, &self_test, body);
}

void run_on_each(const Cpu& cpu, index_t count, const std::function<void()>& stop,
                 const std::function<void(index_t)>& body) {
  const auto stopping = [&stop](const std::function<void()>& work) {
    try {
      work();
    } catch (...) {
      stop();
      throw;
    }
  };
  const Cpu watched{static_cast<int>(count), nullptr, [&] {
                      stopping([&] {
                        if (cpu.cancel != nullptr && cpu.cancel->cancelled()) throw Cancelled();
                        if (cpu.poll) cpu.poll();
                      });
                    }};
  // A second block for one device: only then does the caller watch.
  parallel_for(watched, std::max<index_t>(2, count), [&](index_t i, int) {
    if (i < count) stopping([&] { body(i); });
  });
}

}  // namespace cryolith
