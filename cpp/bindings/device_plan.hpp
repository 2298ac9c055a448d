// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <memory>
#include <string>

#include "core/error.hpp"
#include "cuda/device_tensor.hpp"
#include "cuda/devices.hpp"
#include "projection/device_pair.hpp"
#include "projection/plan.hpp"

namespace cryolith::bind {

// A plan with its pair on a device, which answers as the plan does.
class DevicePlan {
 public:
  DevicePlan(const ProjectionPlan& plan, const std::string& device)
      : plan_(plan), device_(device_name(device)), pair_(make_device_pair(device_, plan)) {}
  const ProjectionPlan& plan() const { return plan_; }
  const std::string& device() const { return device_; }
  DevicePair& pair() const { return *pair_; }

  // Arrays that lie there.
  template <class T>
  View3<T> view(const DeviceTensor& a, const char* name) const {
    require(a.device() == device_, name, ": found an array on ", a.device(), ", expected one on ", device_);
    return a.view<T, 3>(name);
  }

 private:
  const ProjectionPlan& plan_;
  std::string device_;
  std::unique_ptr<DevicePair> pair_;
};

}  // namespace cryolith::bind
