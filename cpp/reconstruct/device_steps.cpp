// SPDX-License-Identifier: BSD-3-Clause
#include "reconstruct/device_steps.hpp"

#include <cmath>
#include <vector>

#include "core/error.hpp"
#include "cuda/device_tensor.hpp"
#include "cuda/devices.hpp"

namespace cryolith {
namespace {

std::unique_ptr<DeviceSteps> make(const std::string& device) {
  return is_emulated(device) ? emulated::make_device_steps() : cuda::make_device_steps();
}

constexpr index_t kShape[3] = {3, 21, 53}, kCount = 3 * 21 * 53;

std::vector<float> waves(double frequency) {
  std::vector<float> out(kCount);
  for (std::size_t i = 0; i < out.size(); ++i)
    out[i] = static_cast<float>(std::sin(frequency * static_cast<double>(i)));
  return out;
}

// Runs steps of all three forms, of elements, of sums and of neighbours, on six arrays, the last a dual; returns
// what they sum.
template <class Steps, class Array>
double run_some(Steps&& steps, const Array& array) {
  const Variation variation{{1.0f, 2.0f, 0.5f}, 0.3f, 0.1f};
  const View3<float> a = array(0), b = array(1), w = array(2), c = array(3), d = array(4);
  const View1<float> flat{c.data, {kCount}};
  steps.multiply(View1<const float>{w.data, {kCount}}, View1<float>{w.data, {kCount}});
  const double residual = steps.weigh_residual(a, w, View3<const float>{}, b).residual.value();
  steps.update_volume(View1<const float>{b.data, {kCount}}, View1<const float>{w.data, {kCount}}, 0.7f,
                      Bounds{-0.5f, 0.75f}, flat);
  const double rough = steps.add_roughness(0.3, c, d).value();
  const View<float, 4> dual = dual_view({array(5).data, {3 * kShape[0], kShape[1], kShape[2]}}, a);
  steps.ascend_dual(variation, w, d, dual);
  steps.primal_from_dual(variation, w, d, View<const float, 4>(dual), Bounds{-0.5f, 0.75f}, c);
  return residual + rough;
}

// The CPU's steps, called as DeviceSteps are.
struct CpuSteps {
  auto multiply(auto... a) { return cryolith::multiply(Cpu{1}, a...); }
  auto weigh_residual(auto... a) { return cryolith::weigh_residual(Cpu{1}, a...); }
  auto update_volume(auto... a) { return cryolith::update_volume(Cpu{1}, a...); }
  auto add_roughness(auto... a) { return cryolith::add_roughness(Cpu{1}, a...); }
  auto ascend_dual(auto... a) { return cryolith::ascend_dual(Cpu{1}, a...); }
  auto primal_from_dual(auto... a) { return cryolith::primal_from_dual(Cpu{1}, a...); }
};

void require_near(double found, double wanted, const char* what) {
  if (!(std::abs(found - wanted) <= 1e-6 * std::abs(wanted) + 1e-6))
    throw DeviceError(std::string(what) + " is " + std::to_string(found) + ", expected " + std::to_string(wanted));
}

void test_steps(const std::string& device) {
  std::vector<std::vector<float>> host;
  for (double frequency : {1.1, 0.37, 2.3, 0.71, 1.9}) host.push_back(waves(frequency));
  host.emplace_back(3 * kCount, 0.0f);
  std::vector<DeviceTensor> there;
  for (const auto& array : host) {
    const auto blocks = static_cast<index_t>(array.size()) / kCount;
    there.emplace_back(device, element_type<float>(), std::vector<index_t>{blocks * kShape[0], kShape[1], kShape[2]});
    there.back().write(array.data());
  }
  const auto shaped = [](float* data) { return View3<float>{data, {kShape[0], kShape[1], kShape[2]}}; };
  const double wanted = run_some(CpuSteps{}, [&](std::size_t i) { return shaped(host[i].data()); });
  const auto steps = make(device);
  const double found = run_some(*steps, [&](std::size_t i) { return shaped(static_cast<float*>(there[i].data())); });
  require_near(found, wanted, "a sum of residuals");
  std::vector<float> volume(kCount, NAN);
  there[3].read(volume.data());
  for (std::size_t i = 0; i < volume.size(); ++i) require_near(volume[i], host[3][i], "a voxel");
}

}  // namespace

NamedSteps::NamedSteps(const std::string& device) : device_(device_name(device)) {
  with_device(device_, {"solver steps", [this] { test_steps(device_); }}, [this] { steps_ = make(device_); });
}

void NamedSteps::run(const std::function<void(DeviceSteps&)>& body) {
  with_device(device_, [&] { body(*steps_); });
}

}  // namespace cryolith
