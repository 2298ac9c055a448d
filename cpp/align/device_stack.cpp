// SPDX-License-Identifier: BSD-3-Clause
#include "align/device_stack.hpp"

#include <cmath>
#include <vector>

#include "align/test_scene.hpp"
#include "core/error.hpp"
#include "cuda/devices.hpp"

namespace cryolith {
namespace {

MakeFrames frames_on(const std::string& device) {
  return is_emulated(device) ? MakeFrames(emulated::make_device_frames) : MakeFrames(cuda::make_device_frames);
}

// Frames of a smooth scene: rough shifts of pairs, and those of all.
void test_stack(const std::string& device) {
  const TestScene scene({{0, 0}, {2, -3}, {-1, 1}});
  constexpr index_t n = 3, numbers = n * kPairColumns + n * kFrameColumns;
  const index_t pairs[] = {0, 1, 0, 2, 1, 2};
  double found[2][numbers];
  for (const bool here : {true, false}) {
    FrameStack stack(n, scene.ny, scene.nx, 10, here ? frames_on(device) : MakeFrames(make_host_frames));
    double* to = found[here ? 0 : 1];
    stack.look(Cpu{1}, 0, {scene.images()});
    stack.pairs(Cpu{1}, {pairs, {3, 2}}, {to, {3, kPairColumns}});
    stack.place(Cpu{1}, 0, {scene.images()}, {scene.shifts(), {n, 2}});
    stack.refine(Cpu{1}, {to + 3 * kPairColumns, {n, kFrameColumns}});
  }
  double off = 0;
  for (index_t k = 0; k < numbers; ++k)
    if (k >= 3 * kPairColumns || k % 3 != 2)  // heights have no scale
      off = std::max(off, std::isnan(found[0][k]) ? INFINITY : std::abs(found[0][k] - found[1][k]));
  if (!(off < 1e-4)) throw DeviceError("shifts of frames are " + std::to_string(off) + " off the CPU's");
}

}  // namespace

DeviceFrameStack::DeviceFrameStack(const std::string& device, index_t n, index_t ny, index_t nx, double max_shift)
    : device_(device) {
  require_device_extent("frames", ny, nx);
  on_device([&] { stack_ = std::make_unique<FrameStack>(n, ny, nx, max_shift, frames_on(device_)); });
}
void DeviceFrameStack::look(const Cpu& cpu, index_t first, const ImageStack& frames) {
  on_device([&] { stack_->look(cpu, first, frames); });
}
void DeviceFrameStack::pairs(const Cpu& cpu, View2<const index_t> pairs, View2<double> out) const {
  on_device([&] { stack_->pairs(cpu, pairs, out); });
}
void DeviceFrameStack::place(const Cpu& cpu, index_t first, const ImageStack& frames, View2<const double> shifts) {
  on_device([&] { stack_->place(cpu, first, frames, shifts); });
}
void DeviceFrameStack::refine(const Cpu& cpu, View2<double> out) const {
  on_device([&] { stack_->refine(cpu, out); });
}
void DeviceFrameStack::on_device(const std::function<void()>& body) const {
  with_device(device_, {"registration of stacks", [&] { test_stack(device_); }}, body);
}

}  // namespace cryolith
