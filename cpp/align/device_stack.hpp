// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <memory>
#include <string>

#include "align/stack.hpp"

namespace cryolith {

// FrameStack with its spectra on a device ("emulated", "cuda:1" ...): the same shifts but for the rounding of
// transforms and sums.
class DeviceFrameStack {
 public:
  DeviceFrameStack(const std::string& device, index_t n, index_t ny, index_t nx, double max_shift);
  const std::string& device() const { return device_; }
  void look(const Cpu& cpu, index_t first, const ImageStack& frames);
  void pairs(const Cpu& cpu, View2<const index_t> pairs, View2<double> out) const;
  void place(const Cpu& cpu, index_t first, const ImageStack& frames, View2<const double> shifts);
  void refine(const Cpu& cpu, View2<double> out) const;

 private:
  // Each call may come from another thread of the process, to which the device has to be named anew.
  void on_device(const std::function<void()>& body) const;
  std::string device_;
  std::unique_ptr<FrameStack> stack_;
};

// On this thread's device.
namespace emulated {
std::unique_ptr<FrameArrays> make_device_frames(std::size_t n, const Search& search, const Band& band);
}
namespace cuda {
std::unique_ptr<FrameArrays> make_device_frames(std::size_t n, const Search& search, const Band& band);
}

}  // namespace cryolith
