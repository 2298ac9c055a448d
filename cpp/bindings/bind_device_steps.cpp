// SPDX-License-Identifier: BSD-3-Clause
// The solvers' steps of bind_solvers.cpp for arrays on a device: the same names, with DeviceSteps in place of a number
// of threads.
#include <pybind11/stl.h>

#include <array>
#include <optional>
#include <utility>

#include "bindings/numpy_view.hpp"
#include "bindings/stages.hpp"
#include "cuda/device_tensor.hpp"
#include "reconstruct/device_steps.hpp"

namespace cryolith::bind {
namespace {

using In = const DeviceTensor&;
using Sums = std::pair<ExactSum, ExactSum>;

void require_there(const NamedSteps& on, In a, const char* name) {
  require(a.device() == on.device(), name, ": found an array on ", a.device(), ", expected one on ", on.device());
}
View3<float> out(const NamedSteps& on, In a, const char* name) {
  require_there(on, a, name);
  return a.view<float, 3>(name);
}
View3<float> out(const NamedSteps& on, In a, const char* name, const View3<float>& as) {
  const auto v = out(on, a, name);
  for (int i = 0; i < 3; ++i)
    require(v.extent[i] == as.extent[i], name, ": found ", v.extent[i], " along axis ", i, ", expected ", as.extent[i]);
  return v;
}
View3<const float> in(const NamedSteps& on, In a, const char* name) {
  require_there(on, a, name);
  return a.view<const float, 3>(name);
}
View3<const float> in(const NamedSteps& on, In a, const char* name, const View3<float>& as) {
  const auto v = in(on, a, name);
  for (int i = 0; i < 3; ++i)
    require(v.extent[i] == as.extent[i], name, ": found ", v.extent[i], " along axis ", i, ", expected ", as.extent[i]);
  require_disjoint(v, name, as, "out");
  return v;
}
template <class T>
View1<T> flat(const View3<T>& v) {
  return {v.data, {v.size()}};
}

// Runs a step without the GIL and returns what it returns.
template <class Step>
auto run(NamedSteps& on, const Step& step) {
  using Found = decltype(step(std::declval<DeviceSteps&>()));
  py::gil_scoped_release no_gil;
  if constexpr (std::is_void_v<Found>) {
    on.run([&](DeviceSteps& steps) { step(steps); });
  } else {
    std::optional<Found> found;
    on.run([&](DeviceSteps& steps) { found = step(steps); });
    return std::move(*found);
  }
}
Sums pair(ResidualSums sums) { return {std::move(sums.residual), std::move(sums.data)}; }
Sums pair(DirectionSums sums) { return {std::move(sums.square), std::move(sums.slope)}; }

Sums residual_step(In measured, In weights, const std::optional<DeviceTensor>& gain, In projected, NamedSteps& on) {
  const auto p = out(on, projected, "projected");
  const auto b = in(on, measured, "measured", p), w = in(on, weights, "weights", p);
  const auto g = gain ? in(on, *gain, "gain", p) : View3<const float>{};
  return pair(run(on, [&](DeviceSteps& s) { return s.weigh_residual(b, w, g, p); }));
}

Sums poisson_step(In measured, In weights, float least, In projected, NamedSteps& on) {
  const auto p = out(on, projected, "projected");
  const auto b = in(on, measured, "measured", p), w = in(on, weights, "weights", p);
  return pair(run(on, [&](DeviceSteps& s) { return s.poisson_ratio(b, w, least, p); }));
}

Sums extrapolate_step(In measured, In weights, In projected, float momentum, In earlier, NamedSteps& on) {
  const auto e = out(on, earlier, "earlier");
  const auto b = in(on, measured, "measured", e), w = in(on, weights, "weights", e);
  const auto p = in(on, projected, "projected", e);
  return pair(run(on, [&](DeviceSteps& s) { return s.extrapolate_residual(b, w, p, momentum, e); }));
}

// square_step and weighted_sum.
template <ExactSum (DeviceSteps::*Sum)(View3<const float>, View3<const float>)>
ExactSum sum_of(In weights, In values, NamedSteps& on) {
  const auto w = in(on, weights, "weights"), v = in(on, values, "values");
  require(w.size() == v.size() && w.extent[2] == v.extent[2], "weights: their shape is not that of values");
  return run(on, [&](DeviceSteps& s) { return (s.*Sum)(w, v); });
}

ExactSum subtract_step(In weights, float step, In residual, In projected, NamedSteps& on) {
  const auto r = out(on, residual, "residual"), p = out(on, projected, "projected", r);
  const auto w = in(on, weights, "weights", r);
  require_disjoint(View3<const float>(r), "residual", p, "projected");
  return run(on, [&](DeviceSteps& s) { return s.subtract_projection(w, step, r, p); });
}

void update_step(In correction, In weights, float step, float lower, float upper, In volume, NamedSteps& on) {
  const auto v = out(on, volume, "volume");
  const auto c = in(on, correction, "correction", v), w = in(on, weights, "weights", v);
  run(on, [&](DeviceSteps& s) { s.update_volume(flat(c), flat(w), step, {lower, upper}, flat(v)); });
}

void multiply_step(In correction, In weights, float lower, float upper, In volume, NamedSteps& on) {
  const auto v = out(on, volume, "volume");
  const auto c = in(on, correction, "correction", v), w = in(on, weights, "weights", v);
  run(on, [&](DeviceSteps& s) { s.multiply_volume(flat(c), flat(w), {lower, upper}, flat(v)); });
}

ExactSum descent_step(In volume, double damping, float lower, float upper, In descent, NamedSteps& on) {
  const auto d = out(on, descent, "descent");
  const auto v = in(on, volume, "volume", d);
  return run(on, [&](DeviceSteps& s) { return s.free_descent(v, damping, {lower, upper}, d); });
}

Sums conjugate_step(In descent, float factor, In direction, NamedSteps& on) {
  const auto p = out(on, direction, "direction");
  const auto d = in(on, descent, "descent", p);
  return pair(run(on, [&](DeviceSteps& s) { return s.conjugate_direction(d, factor, p); }));
}

index_t walk_step(In direction, float step, float lower, float upper, In volume, NamedSteps& on) {
  const auto v = out(on, volume, "volume");
  const auto p = in(on, direction, "direction", v);
  return run(on, [&](DeviceSteps& s) { return s.walk_volume(p, step, {lower, upper}, v); });
}

void invert_step(In sums, NamedSteps& on) {
  const auto v = out(on, sums, "sums");
  run(on, [&](DeviceSteps& s) { s.invert_sums(flat(v)); });
}

ExactSum roughness_step(double factor, In volume, In descent, NamedSteps& on) {
  const auto d = out(on, descent, "descent");
  const auto v = in(on, volume, "volume", d);
  return run(on, [&](DeviceSteps& s) { return s.add_roughness(factor, v, d); });
}

void gradient_step(In ahead, In metric, In z, NamedSteps& on) {
  const auto o = out(on, z, "z");
  const auto a = in(on, ahead, "ahead", o), m = in(on, metric, "metric", o);
  run(on, [&](DeviceSteps& s) { s.gradient_step(flat(a), flat(m), flat(o)); });
}

void variation_step(std::array<float, 3> axis, float strength, float huber, In metric, In z, float lower, float upper,
                    int rounds, In dual, In volume, NamedSteps& on) {
  const auto v = out(on, volume, "volume");
  const auto m = in(on, metric, "metric", v), target = in(on, z, "z", v);
  require_there(on, dual, "dual");
  const auto q = dual_view(dual.view<float, 3>("dual"), v);
  require(strength > 0.0f && huber >= 0.0f, "strength: found ", strength, ", expected a positive number");
  const Variation variation{{axis[0], axis[1], axis[2]}, strength, huber};
  run(on, [&](DeviceSteps& s) {
    s.primal_from_dual(variation, m, target, q, {lower, upper}, v);
    for (int round = 0; round < rounds; ++round) {
      s.ascend_dual(variation, m, v, q);
      s.primal_from_dual(variation, m, target, q, {lower, upper}, v);
    }
  });
}

ExactSum uphill_of(In ahead, In volume, In earlier, NamedSteps& on) {
  const auto v = in(on, volume, "volume"), a = in(on, ahead, "ahead"), e = in(on, earlier, "earlier");
  require(a.size() == v.size() && e.size() == v.size(), "ahead: its shape is not the volume's");
  return run(on, [&](DeviceSteps& s) { return s.uphill(a, v, e); });
}

void ahead_step(float momentum, In volume, In earlier, In ahead, NamedSteps& on) {
  const auto e = out(on, earlier, "earlier"), a = out(on, ahead, "ahead", e);
  const auto v = in(on, volume, "volume", e);
  run(on, [&](DeviceSteps& s) { s.move_ahead(momentum, flat(v), flat(e), flat(a)); });
}

void fill_step(float value, In array, NamedSteps& on) {
  const auto v = out(on, array, "array");
  run(on, [&](DeviceSteps& s) { s.fill(value, flat(v)); });
}

void divide_step(float divisor, In array, NamedSteps& on) {
  const auto v = out(on, array, "array");
  run(on, [&](DeviceSteps& s) { s.divide(divisor, flat(v)); });
}

// copy_step, factor_step and raise_step: array <- what Step makes of it and the other.
template <void (DeviceSteps::*Step)(View1<const float>, View1<float>)>
void change_step(In other, In array, NamedSteps& on) {
  const auto v = out(on, array, "array");
  const auto o = in(on, other, "other", v);
  run(on, [&](DeviceSteps& s) { (s.*Step)(flat(o), flat(v)); });
}

void graze_step(In sums, float least, In weights, NamedSteps& on) {
  const auto w = out(on, weights, "weights");
  const auto s = in(on, sums, "sums", w);
  run(on, [&](DeviceSteps& steps) { steps.graze(flat(s), least, flat(w)); });
}

void scale_step(float factor, float upper, In array, NamedSteps& on) {
  const auto v = out(on, array, "array");
  run(on, [&](DeviceSteps& s) { s.scale(factor, upper, flat(v)); });
}

void reciprocal_step(float least, In array, NamedSteps& on) {
  const auto v = out(on, array, "array");
  run(on, [&](DeviceSteps& s) { s.reciprocal(least, flat(v)); });
}

void take_step(In places, In stack, In values, NamedSteps& on) {
  require_there(on, values, "values");
  const auto s = in(on, stack, "stack");
  const auto v = flat(values.view<float, 3>("values"));
  const auto at = places.view<const index_t, 1>("places");
  require(at.size() == v.size(), "values: found ", v.size(), ", expected ", at.size());
  run(on, [&](DeviceSteps& steps) { steps.take(at, flat(s), v); });
}

void put_step(In places, In values, In stack, NamedSteps& on) {
  require_there(on, values, "values");
  const auto s = out(on, stack, "stack");
  const auto v = flat(values.view<const float, 3>("values"));
  const auto at = places.view<const index_t, 1>("places");
  require(at.size() == v.size(), "values: found ", v.size(), ", expected ", at.size());
  run(on, [&](DeviceSteps& steps) { steps.put(at, v, flat(s)); });
}

}  // namespace

void add_device_steps(py::module_& m) {
  using py::arg;
  py::class_<NamedSteps>(m, "DeviceSteps", "What steps on a device's arrays take in place of a number of threads.")
      .def(py::init<const std::string&>(), arg("device"), "device: emulated, cuda, cuda:1 ...")
      .def_property_readonly("device", &NamedSteps::device)
      .def(
          "empty",
          [](const NamedSteps& on, std::array<index_t, 3> shape) {
            py::gil_scoped_release no_gil;
            return DeviceTensor(on.device(), element_type<float>(), {shape[0], shape[1], shape[2]});
          },
          arg("shape"), "A float32 array on the device that nobody has written.");
  const auto on = arg("threads");
  m.def("residual_step", &residual_step, arg("measured"), arg("weights"), arg("gain").none(true), arg("projected"), on);
  m.def("poisson_step", &poisson_step, arg("measured"), arg("weights"), arg("least"), arg("projected"), on);
  m.def("extrapolate_step", &extrapolate_step, arg("measured"), arg("weights"), arg("projected"), arg("momentum"),
        arg("earlier"), on);
  m.def("weighted_sum", &sum_of<&DeviceSteps::weighted_sum>, arg("weights"), arg("values"), on);
  m.def("square_step", &sum_of<&DeviceSteps::weighted_square>, arg("weights"), arg("values"), on);
  m.def("subtract_step", &subtract_step, arg("weights"), arg("step"), arg("residual"), arg("projected"), on);
  m.def("update_step", &update_step, arg("correction"), arg("weights"), arg("step"), arg("lower"), arg("upper"),
        arg("volume"), on);
  m.def("multiply_step", &multiply_step, arg("correction"), arg("weights"), arg("lower"), arg("upper"), arg("volume"),
        on);
  m.def("descent_step", &descent_step, arg("volume"), arg("damping"), arg("lower"), arg("upper"), arg("descent"), on);
  m.def("conjugate_step", &conjugate_step, arg("descent"), arg("factor"), arg("direction"), on);
  m.def("walk_step", &walk_step, arg("direction"), arg("step"), arg("lower"), arg("upper"), arg("volume"), on);
  m.def("invert_step", &invert_step, arg("sums"), on);
  m.def("roughness_step", &roughness_step, arg("factor"), arg("volume"), arg("descent"), on);
  m.def("gradient_step", &gradient_step, arg("ahead"), arg("metric"), arg("z"), on);
  m.def("variation_step", &variation_step, arg("axis"), arg("strength"), arg("huber"), arg("metric"), arg("z"),
        arg("lower"), arg("upper"), arg("rounds"), arg("dual"), arg("volume"), on);
  m.def("uphill", &uphill_of, arg("ahead"), arg("volume"), arg("earlier"), on);
  m.def("ahead_step", &ahead_step, arg("momentum"), arg("volume"), arg("earlier"), arg("ahead"), on);
  m.def("fill_step", &fill_step, arg("value"), arg("array"), on);
  m.def("divide_step", &divide_step, arg("divisor"), arg("array"), on);
  m.def("copy_step", &change_step<&DeviceSteps::copy>, arg("other"), arg("array"), on);
  m.def("factor_step", &change_step<&DeviceSteps::multiply>, arg("other"), arg("array"), on);
  m.def("raise_step", &change_step<&DeviceSteps::raise_to>, arg("other"), arg("array"), on);
  m.def("graze_step", &graze_step, arg("sums"), arg("least"), arg("weights"), on);
  m.def("scale_step", &scale_step, arg("factor"), arg("upper"), arg("array"), on);
  m.def("reciprocal_step", &reciprocal_step, arg("least"), arg("array"), on);
  m.def("take_step", &take_step, arg("places"), arg("stack"), arg("values"), on, "values <- stack[places], flat.");
  m.def("put_step", &put_step, arg("places"), arg("values"), arg("stack"), on, "stack[places] <- values, flat.");
}

}  // namespace cryolith::bind
