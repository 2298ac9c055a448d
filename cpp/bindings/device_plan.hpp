// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <string>
#include <vector>

#include "core/error.hpp"
#include "cuda/device_tensor.hpp"
#include "cuda/devices.hpp"
#include "projection/device_pair.hpp"
#include "projection/plan.hpp"

namespace cryolith::bind {

// A plan with its pair on devices, which answers as the plan does.
class DevicePlan {
 public:
  DevicePlan(const ProjectionPlan& plan, const std::vector<std::string>& devices, index_t max_memory)
      : pairs_(devices, plan, max_memory) {}
  DevicePlan(const DevicePlan& whole, Range rows) : pairs_(whole.pairs_, rows) {}
  const ProjectionPlan& plan() const { return pairs_.plan(); }
  const std::string& device() const { return pairs_.devices().front(); }  // of arrays that stay on one
  DevicePair& pair() const { return pairs_.first(); }                     // there
  const DevicesPair& pairs() const { return pairs_; }
  void share_memory(const DevicePlan& other) { pairs_.share_memory(other.pairs_); }

  // Arrays that lie there.
  template <class T>
  View3<T> view(const DeviceTensor& a, const char* name) const {
    require(a.device() == device(), name, ": found an array on ", a.device(), ", expected one on ", device());
    return a.view<T, 3>(name);
  }

 private:
  DevicesPair pairs_;
};

}  // namespace cryolith::bind
