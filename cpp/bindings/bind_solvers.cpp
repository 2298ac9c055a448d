// SPDX-License-Identifier: BSD-3-Clause
#include <pybind11/stl.h>

#include <array>
#include <cstdint>
#include <optional>
#include <utility>

#include "bindings/numpy_view.hpp"
#include "bindings/stages.hpp"
#include "reconstruct/segments.hpp"
#include "reconstruct/steps.hpp"
#include "reconstruct/variation.hpp"

namespace cryolith::bind {
namespace {

using In = const Array<float>&;
using Out = Array<float>&;

// Passes are short and leave what they write unfinished when they stop: none takes a cancel token.
Cpu pass(int threads) { return cpu_from(threads, nullptr); }

View1<const float> in(In a, const char* name, index_t size) {
  const auto v = read_flat(a, name);
  require(v.extent[0] == size, name, ": found ", v.extent[0], " elements, expected ", size);
  return v;
}

View1<float> out(Out a, const char* name, index_t size) {
  const auto v = write_flat(a, name);
  require(v.extent[0] == size, name, ": found ", v.extent[0], " elements, expected ", size);
  return v;
}

using Sums = std::pair<ExactSum, ExactSum>;

Sums pair(ResidualSums sums) { return {std::move(sums.residual), std::move(sums.data)}; }

template <class T>
View3<T> same_shape(View3<T> v, const View3<const float>& as, const char* name) {
  for (int i = 0; i < 3; ++i)
    require(v.extent[i] == as.extent[i], name, ": found ", v.extent[i], " along axis ", i, ", expected ", as.extent[i]);
  return v;
}

// The same for arrays whose rows count: sums are made row by row.
View3<const float> in(In a, const char* name, const View3<float>& as) {
  return same_shape(read<float, 3>(a, name), as, name);
}

// Runs a pass without the GIL and returns what it returns.
template <class Work>
auto run(const Work& work) {
  py::gil_scoped_release no_gil;
  return work();
}

Sums residual_step(In measured, In weights, const std::optional<Array<float>>& gain, Out projected, int threads) {
  const auto p = write<float, 3>(projected, "projected");
  const auto b = in(measured, "measured", p), w = in(weights, "weights", p);
  const auto g = gain ? in(*gain, "gain", p) : View3<const float>{};
  require_disjoint(b, "measured", p, "projected");
  require_disjoint(w, "weights", p, "projected");
  const Cpu cpu = pass(threads);
  return pair(run([&] { return weigh_residual(cpu, b, w, g, p); }));
}

Sums poisson_step(In measured, In weights, float least, Out projected, int threads) {
  const auto p = write<float, 3>(projected, "projected");
  const auto b = in(measured, "measured", p), w = in(weights, "weights", p);
  require_disjoint(b, "measured", p, "projected");
  require_disjoint(w, "weights", p, "projected");
  const Cpu cpu = pass(threads);
  return pair(run([&] { return poisson_ratio(cpu, b, w, least, p); }));
}

Sums extrapolate_step(In measured, In weights, In projected, float momentum, Out earlier, int threads) {
  const auto e = write<float, 3>(earlier, "earlier");
  const auto b = in(measured, "measured", e), w = in(weights, "weights", e), p = in(projected, "projected", e);
  require_disjoint(p, "projected", e, "earlier");
  const Cpu cpu = pass(threads);
  return pair(run([&] { return extrapolate_residual(cpu, b, w, p, momentum, e); }));
}

// square_step and weighted_sum.
template <ExactSum (*Sum)(const Cpu&, View3<const float>, View3<const float>)>
ExactSum sum_of(In weights, In values, int threads) {
  const auto v = read<float, 3>(values, "values");
  const auto w = same_shape(read<float, 3>(weights, "weights"), v, "weights");
  const Cpu cpu = pass(threads);
  return run([&] { return Sum(cpu, w, v); });
}

ExactSum subtract_step(In weights, float step, Out residual, Out projected, int threads) {
  const auto r = write<float, 3>(residual, "residual");
  const auto p = same_shape(write<float, 3>(projected, "projected"), r, "projected");
  const auto w = in(weights, "weights", r);
  require_disjoint(View3<const float>(r), "residual", p, "projected");
  const Cpu cpu = pass(threads);
  return run([&] { return subtract_projection(cpu, w, step, r, p); });
}

void update_step(In correction, In weights, float step, float lower, float upper, Out volume, int threads) {
  const auto v = write_flat(volume, "volume");
  const auto c = in(correction, "correction", v.extent[0]), w = in(weights, "weights", v.extent[0]);
  require_disjoint(c, "correction", v, "volume");
  const Cpu cpu = pass(threads);
  run([&] { update_volume(cpu, c, w, step, {lower, upper}, v); });
}

void multiply_step(In correction, In weights, float lower, float upper, Out volume, int threads) {
  const auto v = write_flat(volume, "volume");
  const auto c = in(correction, "correction", v.extent[0]), w = in(weights, "weights", v.extent[0]);
  require_disjoint(c, "correction", v, "volume");
  const Cpu cpu = pass(threads);
  run([&] { multiply_volume(cpu, c, w, {lower, upper}, v); });
}

ExactSum descent_step(In volume, double damping, float lower, float upper, Out descent, int threads) {
  const auto d = write<float, 3>(descent, "descent");
  const auto v = in(volume, "volume", d);
  require_disjoint(v, "volume", d, "descent");
  const Cpu cpu = pass(threads);
  return run([&] { return free_descent(cpu, v, damping, {lower, upper}, d); });
}

Sums conjugate_step(In descent, float factor, Out direction, int threads) {
  const auto p = write<float, 3>(direction, "direction");
  const auto d = in(descent, "descent", p);
  require_disjoint(d, "descent", p, "direction");
  const Cpu cpu = pass(threads);
  DirectionSums sums = run([&] { return conjugate_direction(cpu, d, factor, p); });
  return {std::move(sums.square), std::move(sums.slope)};
}

index_t walk_step(In direction, float step, float lower, float upper, Out volume, int threads) {
  const auto v = write<float, 3>(volume, "volume");
  const auto p = in(direction, "direction", v);
  require_disjoint(p, "direction", v, "volume");
  const Cpu cpu = pass(threads);
  return run([&] { return walk_volume(cpu, p, step, {lower, upper}, v); });
}

void invert_step(Out sums, int threads) {
  const auto s = write_flat(sums, "sums");
  const Cpu cpu = pass(threads);
  run([&] { invert_sums(cpu, s); });
}

ExactSum roughness_step(double factor, In volume, Out descent, int threads) {
  const auto v = read<float, 3>(volume, "volume");
  const auto d = same_shape(write<float, 3>(descent, "descent"), v, "descent");
  require_disjoint(v, "volume", d, "descent");
  const Cpu cpu = pass(threads);
  return run([&] { return add_roughness(cpu, factor, v, d); });
}

void gradient_step_of(In ahead, In metric, Out z, int threads) {
  const auto o = write_flat(z, "z");
  const auto a = in(ahead, "ahead", o.extent[0]), m = in(metric, "metric", o.extent[0]);
  require_disjoint(a, "ahead", o, "z");
  const Cpu cpu = pass(threads);
  run([&] { gradient_step(cpu, a, m, o); });
}

// Alternates `rounds` ascents of the dual with the volume that it gives.
void variation_step(std::array<float, 3> axis, float strength, float huber, In metric, In z, float lower, float upper,
                    int rounds, Array<float>& dual, Out volume, int threads) {
  const auto v = write<float, 3>(volume, "volume");
  const auto m = same_shape(read<float, 3>(metric, "metric"), v, "metric");
  const auto target = same_shape(read<float, 3>(z, "z"), v, "z");
  const auto q = dual_view(write<float, 3>(dual, "dual"), v);
  require(strength > 0.0f && huber >= 0.0f, "strength: found ", strength, ", expected a positive number");
  require_disjoint(m, "metric", v, "volume");
  require_disjoint(target, "z", v, "volume");
  const Cpu cpu = pass(threads);
  const Variation variation{{axis[0], axis[1], axis[2]}, strength, huber};
  run([&] {
    primal_from_dual(cpu, variation, m, target, q, {lower, upper}, v);
    for (int round = 0; round < rounds; ++round) {
      ascend_dual(cpu, variation, m, v, q);
      primal_from_dual(cpu, variation, m, target, q, {lower, upper}, v);
    }
  });
}

ExactSum uphill_of(In ahead, In volume, In earlier, int threads) {
  const auto v = read<float, 3>(volume, "volume");
  const auto a = same_shape(read<float, 3>(ahead, "ahead"), v, "ahead");
  const auto e = same_shape(read<float, 3>(earlier, "earlier"), v, "earlier");
  const Cpu cpu = pass(threads);
  return run([&] { return uphill(cpu, a, v, e); });
}

void ahead_step(float momentum, In volume, Out earlier, Out ahead, int threads) {
  const auto v = read_flat(volume, "volume");
  const auto e = out(earlier, "earlier", v.extent[0]), a = out(ahead, "ahead", v.extent[0]);
  const Cpu cpu = pass(threads);
  run([&] { move_ahead(cpu, momentum, v, e, a); });
}

void fill_step(float value, Out array, int threads) {
  const auto v = write_flat(array, "array");
  const Cpu cpu = pass(threads);
  run([&] { fill(cpu, value, v); });
}

void divide_step(float divisor, Out array, int threads) {
  const auto v = write_flat(array, "array");
  const Cpu cpu = pass(threads);
  run([&] { divide(cpu, divisor, v); });
}

// copy_step, factor_step and raise_step: array <- what Step makes of it and the other.
template <void (*Step)(const Cpu&, View1<const float>, View1<float>)>
void change_step(In other, Out array, int threads) {
  const auto v = write_flat(array, "array");
  const auto o = in(other, "other", v.extent[0]);
  require_disjoint(o, "other", v, "array");
  const Cpu cpu = pass(threads);
  run([&] { Step(cpu, o, v); });
}

void graze_step(In sums, float least, Out weights, int threads) {
  const auto w = write_flat(weights, "weights");
  const auto s = in(sums, "sums", w.extent[0]);
  require_disjoint(s, "sums", w, "weights");
  const Cpu cpu = pass(threads);
  run([&] { graze(cpu, s, least, w); });
}

void scale_step(float factor, float upper, Out array, int threads) {
  const auto v = write_flat(array, "array");
  const Cpu cpu = pass(threads);
  run([&] { scale(cpu, factor, upper, v); });
}

void reciprocal_step(float least, Out array, int threads) {
  const auto v = write_flat(array, "array");
  const Cpu cpu = pass(threads);
  run([&] { reciprocal(cpu, least, v); });
}

void segment_step(In volume, In thresholds, Array<std::uint8_t>& labels, int threads) {
  const auto v = read_flat(volume, "volume");
  const auto l = write_flat(labels, "labels");
  require(l.extent[0] == v.extent[0], "labels: found ", l.extent[0], " elements, expected ", v.extent[0]);
  const auto t = read_flat(thresholds, "thresholds");
  require(t.extent[0] < 256, "thresholds: found ", t.extent[0], ", expected at most 255");
  const Cpu cpu = pass(threads);
  run([&] { segment(cpu, v, t, l); });
}

void free_step(const Array<std::uint8_t>& labels, double chance, std::uint64_t seed, Out free, int threads) {
  const auto l = read<std::uint8_t, 3>(labels, "labels");
  const auto f = write<float, 3>(free, "free");
  require(l.size() == f.size(), "free: found ", f.size(), " elements, expected ", l.size());
  const Cpu cpu = pass(threads);
  run([&] { free_voxels(cpu, l, chance, seed, f); });
}

void smooth_step(In volume, In free, float share, Out smoothed, int threads) {
  const auto v = read<float, 3>(volume, "volume");
  const auto f = same_shape(read<float, 3>(free, "free"), v, "free");
  const auto s = same_shape(write<float, 3>(smoothed, "smoothed"), v, "smoothed");
  require_disjoint(v, "volume", s, "smoothed");
  const Cpu cpu = pass(threads);
  run([&] { smooth_free(cpu, v, f, share, s); });
}

void add_ray_steps(py::module_& m) {
  using py::arg;
  m.def("residual_step", &residual_step, arg("measured").noconvert(), arg("weights").noconvert(),
        arg("gain").noconvert(), arg("projected").noconvert(), arg("threads") = 0,
        "projected <- gain W (b - projected); returns the sums of W (b - projected)^2 and W b^2.");
  m.def("poisson_step", &poisson_step, arg("measured").noconvert(), arg("weights").noconvert(), arg("least"),
        arg("projected").noconvert(), arg("threads") = 0,
        "projected <- W max(b, 0) / max(projected, least); returns the sums of residual_step.");
  m.def("extrapolate_step", &extrapolate_step, arg("measured").noconvert(), arg("weights").noconvert(),
        arg("projected").noconvert(), arg("momentum"), arg("earlier").noconvert(), arg("threads") = 0,
        "earlier <- W (b - projected - momentum (projected - earlier)); returns the sums of W (b - projected)^2 and W "
        "b^2.");
  m.def("weighted_sum", &sum_of<weighted_sum>, arg("weights").noconvert(), arg("values").noconvert(),
        arg("threads") = 0, "Returns the sum of W v.");
  m.def("square_step", &sum_of<weighted_square>, arg("weights").noconvert(), arg("values").noconvert(),
        arg("threads") = 0, "Returns the sum of W v^2.");
  m.def("subtract_step", &subtract_step, arg("weights").noconvert(), arg("step"), arg("residual").noconvert(),
        arg("projected").noconvert(), arg("threads") = 0,
        "residual <- residual - step projected, projected <- W residual; returns the sum of W residual^2.");
  m.def("invert_step", &invert_step, arg("sums").noconvert(), arg("threads") = 0,
        "sums <- 1 / max(sums, 1) where sums > 1/2, else 0.");
}

void add_volume_steps(py::module_& m) {
  using py::arg;
  m.def("update_step", &update_step, arg("correction").noconvert(), arg("weights").noconvert(), arg("step"),
        arg("lower"), arg("upper"), arg("volume").noconvert(), arg("threads") = 0,
        "volume <- clamp(volume + step weights correction) where weights > 0.");
  m.def("multiply_step", &multiply_step, arg("correction").noconvert(), arg("weights").noconvert(), arg("lower"),
        arg("upper"), arg("volume").noconvert(), arg("threads") = 0,
        "volume <- clamp(volume weights max(correction, 0)) where weights > 0.");
  m.def("descent_step", &descent_step, arg("volume").noconvert(), arg("damping"), arg("lower"), arg("upper"),
        arg("descent").noconvert(), arg("threads") = 0,
        "descent <- descent - damping volume where it may move; returns the sum of its squares.");
  m.def("conjugate_step", &conjugate_step, arg("descent").noconvert(), arg("factor"), arg("direction").noconvert(),
        arg("threads") = 0,
        "direction <- descent + factor direction where the descent is not 0; returns <p, p> and <descent, p>.");
  m.def("walk_step", &walk_step, arg("direction").noconvert(), arg("step"), arg("lower"), arg("upper"),
        arg("volume").noconvert(), arg("threads") = 0,
        "volume <- clamp(volume + step direction); returns how many voxels a bound stopped.");
  m.def("roughness_step", &roughness_step, arg("factor"), arg("volume").noconvert(), arg("descent").noconvert(),
        arg("threads") = 0, "descent <- descent - factor D'D volume; returns |D volume|^2.");
}

void add_array_steps(py::module_& m) {
  using py::arg;
  m.def("fill_step", &fill_step, arg("value"), arg("array").noconvert(), arg("threads") = 0, "array <- value.");
  m.def("divide_step", &divide_step, arg("divisor"), arg("array").noconvert(), arg("threads") = 0,
        "array <- array / divisor.");
  m.def("copy_step", &change_step<copy>, arg("other").noconvert(), arg("array").noconvert(), arg("threads") = 0,
        "array <- other.");
  m.def("factor_step", &change_step<multiply>, arg("other").noconvert(), arg("array").noconvert(), arg("threads") = 0,
        "array <- array other.");
  m.def("raise_step", &change_step<raise_to>, arg("other").noconvert(), arg("array").noconvert(), arg("threads") = 0,
        "array <- max(array, other).");
  m.def("graze_step", &graze_step, arg("sums").noconvert(), arg("least"), arg("weights").noconvert(),
        arg("threads") = 0, "weights <- 0 where sums < least.");
  m.def("scale_step", &scale_step, arg("factor"), arg("upper"), arg("array").noconvert(), arg("threads") = 0,
        "array <- min(upper, factor array).");
  m.def("reciprocal_step", &reciprocal_step, arg("least"), arg("array").noconvert(), arg("threads") = 0,
        "array <- 1 / max(array, least).");
}

void add_variation_steps(py::module_& m) {
  using py::arg;
  m.def("gradient_step", &gradient_step_of, arg("ahead").noconvert(), arg("metric").noconvert(), arg("z").noconvert(),
        arg("threads") = 0, "z <- ahead + metric z.");
  m.def("variation_step", &variation_step, arg("axis"), arg("strength"), arg("huber"), arg("metric").noconvert(),
        arg("z").noconvert(), arg("lower"), arg("upper"), arg("rounds"), arg("dual").noconvert(),
        arg("volume").noconvert(), arg("threads") = 0,
        "volume <- the proximal map of total variation at z, from dual.");
  m.def("uphill", &uphill_of, arg("ahead").noconvert(), arg("volume").noconvert(), arg("earlier").noconvert(),
        arg("threads") = 0, "Returns <ahead - volume, volume - earlier>.");
  m.def("ahead_step", &ahead_step, arg("momentum"), arg("volume").noconvert(), arg("earlier").noconvert(),
        arg("ahead").noconvert(), arg("threads") = 0,
        "ahead <- volume + momentum (volume - earlier), earlier <- volume.");
}

void add_segment_steps(py::module_& m) {
  using py::arg;
  m.def("segment_step", &segment_step, arg("volume").noconvert(), arg("thresholds").noconvert(),
        arg("labels").noconvert(), arg("threads") = 0, "labels <- how many thresholds lie below each voxel.");
  m.def("free_step", &free_step, arg("labels").noconvert(), arg("chance"), arg("seed"), arg("free").noconvert(),
        arg("threads") = 0, "free <- 1 at the borders of the labels and at voxels drawn by chance, else 0.");
  m.def("smooth_step", &smooth_step, arg("volume").noconvert(), arg("free").noconvert(), arg("share"),
        arg("smoothed").noconvert(), arg("threads") = 0,
        "smoothed <- volume, with a share of the neighbours' mean where free > 0.");
}

}  // namespace

void add_solvers(py::module_& m) {
  add_ray_steps(m);
  add_volume_steps(m);
  add_array_steps(m);
  add_variation_steps(m);
  add_device_steps(m);
  add_segment_steps(m);
}

}  // namespace cryolith::bind
