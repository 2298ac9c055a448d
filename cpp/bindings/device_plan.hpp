// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <string>
#include <vector>

#include "projection/device_pair.hpp"
#include "projection/plan.hpp"

namespace cryolith::bind {

// A plan with its pair on devices, which answers as the plan does.
class DevicePlan {
 public:
  DevicePlan(const ProjectionPlan& plan, const std::vector<std::string>& devices, index_t max_memory)
      : plan_(plan), pair_(devices, plan, max_memory) {}
  const ProjectionPlan& plan() const { return plan_; }
  const DevicesPair& pair() const { return pair_; }

 private:
  const ProjectionPlan& plan_;
  DevicesPair pair_;
};

}  // namespace cryolith::bind
