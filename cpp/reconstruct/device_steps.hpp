// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "reconstruct/steps.hpp"
#include "reconstruct/variation.hpp"

namespace cryolith {

// The steps of steps.hpp and variation.hpp on arrays in the memory of a device: to the bit what the CPU makes of them,
// for they round every operation as it does. Their sums too: those of rows are the CPU's, and are added to 2^-100.
class DeviceSteps {
 public:
  virtual ~DeviceSteps() = default;
  virtual ResidualSums weigh_residual(View3<const float> measured, View3<const float> weights, View3<const float> gain,
                                      View3<float> projected) = 0;
  virtual ResidualSums extrapolate_residual(View3<const float> measured, View3<const float> weights,
                                            View3<const float> projected, float momentum, View3<float> earlier) = 0;
  virtual ResidualSums poisson_ratio(View3<const float> measured, View3<const float> weights, float least,
                                     View3<float> projected) = 0;
  virtual ExactSum weighted_sum(View3<const float> weights, View3<const float> values) = 0;
  virtual ExactSum weighted_square(View3<const float> weights, View3<const float> values) = 0;
  virtual ExactSum subtract_projection(View3<const float> weights, float step, View3<float> residual,
                                       View3<float> projected) = 0;
  virtual void update_volume(View1<const float> correction, View1<const float> voxel_weights, float step, Bounds bounds,
                             View1<float> volume) = 0;
  virtual void multiply_volume(View1<const float> correction, View1<const float> voxel_weights, Bounds bounds,
                               View1<float> volume) = 0;
  virtual ExactSum free_descent(View3<const float> volume, double damping, Bounds bounds, View3<float> descent) = 0;
  virtual DirectionSums conjugate_direction(View3<const float> descent, float factor, View3<float> direction) = 0;
  virtual index_t walk_volume(View3<const float> direction, float step, Bounds bounds, View3<float> volume) = 0;
  virtual void invert_sums(View1<float> sums) = 0;
  virtual void fill(float value, View1<float> out) = 0;
  virtual void copy(View1<const float> from, View1<float> out) = 0;
  virtual void multiply(View1<const float> by, View1<float> out) = 0;
  virtual void divide(float divisor, View1<float> out) = 0;
  virtual void raise_to(View1<const float> least, View1<float> out) = 0;
  virtual void graze(View1<const float> sums, float least, View1<float> weights) = 0;
  virtual void scale(float factor, float upper, View1<float> out) = 0;
  virtual void reciprocal(float least, View1<float> out) = 0;
  // values <- the elements of `from` at `places`; the elements of `out` at `places`, all different, <- values.
  virtual void take(View1<const index_t> places, View1<const float> from, View1<float> values) = 0;
  virtual void put(View1<const index_t> places, View1<const float> values, View1<float> out) = 0;
  virtual void ascend_dual(const Variation& variation, View3<const float> metric, View3<const float> volume,
                           View<float, 4> dual) = 0;
  virtual void primal_from_dual(const Variation& variation, View3<const float> metric, View3<const float> z,
                                View<const float, 4> dual, Bounds bounds, View3<float> volume) = 0;
  virtual void gradient_step(View1<const float> ahead, View1<const float> metric, View1<float> z) = 0;
  virtual ExactSum uphill(View3<const float> ahead, View3<const float> volume, View3<const float> earlier) = 0;
  virtual void move_ahead(float momentum, View1<const float> volume, View1<float> earlier, View1<float> ahead) = 0;
  virtual ExactSum add_roughness(double factor, View3<const float> volume, View3<float> descent) = 0;
};

// Of this thread's device.
namespace emulated {
std::unique_ptr<DeviceSteps> make_device_steps();
}
namespace cuda {
std::unique_ptr<DeviceSteps> make_device_steps();
}

// The steps of a device by its name: "emulated", "cuda", "cuda:1" ... The first of each device are made after a few
// have been seen to compute what the CPU does; DeviceError where they do not, or where there is no such device.
class NamedSteps {
 public:
  explicit NamedSteps(const std::string& device);
  const std::string& device() const { return device_; }
  // Runs `body` with the device as this thread's.
  void run(const std::function<void(DeviceSteps&)>& body);

 private:
  std::string device_;
  std::unique_ptr<DeviceSteps> steps_;
};

}  // namespace cryolith
