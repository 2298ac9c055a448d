// SPDX-License-Identifier: BSD-3-Clause
#include "align/device_frames.hpp"

#include <cmath>
#include <vector>

#include "align/stack.hpp"
#include "core/error.hpp"
#include "cuda/devices.hpp"
#include "cuda/self_test.hpp"

namespace cryolith {
namespace {

std::unique_ptr<DeviceFrameSum> make(const std::string& device, index_t ny, index_t nx) {
  return is_emulated(device) ? emulated::make_device_frame_sum(ny, nx) : cuda::make_device_frame_sum(ny, nx);
}

// Two frames of odd extents, moved differently.
void test_frame_sum(const std::string& device) {
  const index_t ny = 21, nx = 150;
  const auto total = make(device, ny, nx);
  FrameSum on_cpu(ny, nx);
  std::vector<float> frame(static_cast<std::size_t>(ny * nx)), found(frame.size(), NAN), wanted(frame.size());
  Scatter scatter;
  for (double shift : {0.3, -4.6}) {
    for (float& v : frame) v = static_cast<float>(scatter.bits() >> 24);
    total->add(Cpu{1}, {frame.data(), {ny, nx}}, {shift, 2 * shift});
    on_cpu.add(Cpu{1}, {frame.data(), {ny, nx}}, {shift, 2 * shift});
  }
  total->write(Cpu{1}, {found.data(), {ny, nx}});
  on_cpu.write(Cpu{1}, {wanted.data(), {ny, nx}});
  require_near(found, wanted, 1e-6, "a sum of moved frames");
}

// Each call may come from another thread of the process, to which the device has to be named anew.
class NamedFrameSum : public DeviceFrameSum {
 public:
  NamedFrameSum(const std::string& device, index_t ny, index_t nx) : device_(device), ny_(ny), nx_(nx) {
    on_device([&] { sum_ = make(device_, ny, nx); });
  }
  ~NamedFrameSum() override = default;
  void add(const Cpu& cpu, View2<const float> frame, const Vec2& shift) override {
    require_shape("frame", frame.extent);
    on_device([&] { sum_->add(cpu, frame, shift); });
  }
  void write(const Cpu& cpu, View2<float> out) override {
    require_shape("out", out.extent);
    on_device([&] { sum_->write(cpu, out); });
  }

 private:
  void require_shape(const char* name, const index_t (&extent)[2]) const {
    require(extent[0] == ny_ && extent[1] == nx_, name, ": found ", extent[0], " x ", extent[1], " pixels, expected ",
            ny_, " x ", nx_);
  }
  void on_device(const std::function<void()>& body) const {
    with_device(device_, {"sum of frames", [&] { test_frame_sum(device_); }}, body);
  }
  std::string device_;
  index_t ny_, nx_;
  std::unique_ptr<DeviceFrameSum> sum_;
};

}  // namespace

std::unique_ptr<DeviceFrameSum> make_device_frame_sum(const std::string& device, index_t ny, index_t nx) {
  require(ny > 0 && nx > 0, "frames: found ", ny, " x ", nx, " pixels, expected at least 1 x 1");
  return std::make_unique<NamedFrameSum>(device, ny, nx);
}

}  // namespace cryolith
