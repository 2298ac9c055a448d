// SPDX-License-Identifier: BSD-3-Clause
#include <pybind11/stl.h>

#include <algorithm>
#include <vector>

#include "bindings/device_plan.hpp"
#include "bindings/numpy_view.hpp"
#include "bindings/stages.hpp"
#include "reconstruct/device_filter.hpp"
#include "reconstruct/device_image_filter.hpp"
#include "reconstruct/filter.hpp"
#include "reconstruct/overlap.hpp"

namespace cryolith::bind {
namespace {

template <class T, class U>
void require_same_shape(const View<T, 3>& a, const char* a_name, const View<U, 3>& b, const char* b_name) {
  for (int i = 0; i < 3; ++i)
    require(a.extent[i] == b.extent[i], b_name, ": found ", b.extent[i], " along axis ", i, ", expected ", a.extent[i],
            " as in ", a_name);
}

void require_gains(const View2<const float>& gains, index_t length, index_t images) {
  require(length >= 2 && length % 2 == 0, "length: found ", length, ", expected an even number");
  require(gains.extent[0] == images && gains.extent[1] == length / 2 + 1, "gains: found (", gains.extent[0], ", ",
          gains.extent[1], "), expected (", images, ", ", length / 2 + 1, ")");
}

void filter_stack(const Array<float>& stack, const Array<float>& gains, index_t length, Array<float>& out, int threads,
                  const CancelToken* cancel) {
  const auto s = read<float, 3>(stack, "stack");
  const auto g = read<float, 2>(gains, "gains");
  const auto o = write<float, 3>(out, "out");
  require_same_shape(s, "stack", o, "out");
  require(g.extent[0] == s.extent[0], "gains: found ", g.extent[0], " rows, expected ", s.extent[0]);
  require_disjoint(s, "stack", o, "out");
  require_disjoint(g, "gains", o, "out");
  const Cpu cpu = cpu_from(threads, cancel);
  py::gil_scoped_release no_gil;
  RowFilter filter(std::vector<index_t>(static_cast<std::size_t>(s.extent[0]), length), g, resolve_threads(cpu));
  filter_images(cpu, filter, s, o);
}

void filter_on(const std::vector<std::string>& devices, const Array<float>& stack, const Array<float>& gains,
               index_t length, Array<float>& out, index_t max_memory, int threads, const CancelToken* cancel) {
  const auto s = read<float, 3>(stack, "stack");
  const auto g = read<float, 2>(gains, "gains");
  const auto o = write<float, 3>(out, "out");
  require_same_shape(s, "stack", o, "out");
  require_gains(g, length, s.extent[0]);
  require_disjoint(s, "stack", o, "out");
  require_disjoint(g, "gains", o, "out");
  const Cpu cpu = cpu_from(threads, cancel);
  py::gil_scoped_release no_gil;
  filter_images(cpu, devices, max_memory, length, g, s, o);
}

// Where the images lie.
void filter_there(const DeviceTensor& stack, const Array<float>& gains, index_t length, const DeviceTensor& out) {
  const auto g = read<float, 2>(gains, "gains");
  const auto s = stack.view<const float, 3>("stack");
  const auto o = out.view<float, 3>("out");
  require(out.device() == stack.device(), "out: found an array on ", out.device(), ", expected one on ",
          stack.device());
  require_same_shape(s, "stack", o, "out");
  require_gains(g, length, s.extent[0]);
  require_disjoint(s, "stack", o, "out");
  py::gil_scoped_release no_gil;
  filter_images_there(length, g, stack, out);
}

void require_fit(const ProjectionPlan& plan, View3<const float> s, const std::vector<index_t>& lengths,
                 View3<float> o) {
  require(static_cast<index_t>(lengths.size()) == plan.tilts(), "lengths: found ", lengths.size(), ", expected ",
          plan.tilts());
  require(s.extent[0] == plan.tilts() && s.extent[1] == plan.image().height && s.extent[2] == plan.image().width,
          "stack: its shape differs from the plan's images");
  require(o.extent[0] == plan.volume().nz && o.extent[1] == plan.volume().ny && o.extent[2] == plan.volume().nx,
          "out: its shape differs from the plan's volume");
}

void wbp_stack(const ProjectionPlan& plan, const Array<float>& stack, const Array<float>& gains,
               const std::vector<index_t>& lengths, Array<float>& out, int threads, const CancelToken* cancel,
               bool fixed16) {
  const auto s = read<float, 3>(stack, "stack");
  const auto g = read<float, 2>(gains, "gains");
  const auto o = write<float, 3>(out, "out");
  require_fit(plan, s, lengths, o);
  require_disjoint(s, "stack", o, "out");
  require_disjoint(g, "gains", o, "out");
  const Cpu cpu = cpu_from(threads, cancel);
  py::gil_scoped_release no_gil;
  RowFilter filter(lengths, g, resolve_threads(cpu));
  filtered_backproject(cpu, plan, filter, s, o, fixed16 ? Precision::fixed16 : Precision::float32);
}

// The same on devices.
void wbp_there(const DevicePlan& plan, const Array<float>& stack, const Array<float>& gains,
               const std::vector<index_t>& lengths, Array<float>& out, int threads, const CancelToken* cancel,
               bool fixed16) {
  require(!fixed16, "precision: found fixed16 for a device other than the CPU, expected float32");
  const auto s = read<float, 3>(stack, "stack");
  const auto g = read<float, 2>(gains, "gains");
  const auto o = write<float, 3>(out, "out");
  require_fit(plan.plan(), s, lengths, o);
  require_disjoint(s, "stack", o, "out");
  require_disjoint(g, "gains", o, "out");
  const Cpu cpu = cpu_from(threads, cancel);
  py::gil_scoped_release no_gil;
  const SlabStage filter = filter_stage(lengths, g);
  plan.pairs().backproject(cpu, s, o, &filter);
}

SlabCut wbp_slabs(const DevicePlan& plan, const std::vector<index_t>& lengths) {
  require(!lengths.empty(), "lengths: found none, expected one a tilt");
  const index_t most = *std::max_element(lengths.begin(), lengths.end()) / 2 + 1;
  const SlabStage filter = filter_stage(lengths, {nullptr, {plan.plan().tilts(), most}});
  return plan.pairs().slabs(&filter);
}

void overlap_array(const Array<double>& slope, const Array<double>& length, index_t columns, Array<float>& out,
                   int threads, const CancelToken* cancel) {
  const auto s = read<double, 2>(slope, "slope");
  const auto l = read<double, 1>(length, "length");
  const auto o = write<float, 2>(out, "out");
  const Cpu cpu = cpu_from(threads, cancel);
  py::gil_scoped_release no_gil;
  overlap_weights(cpu, s, l, columns, o);
}

}  // namespace

void add_reconstruct(py::module_& m) {
  using py::arg;
  m.def("filter_length", &filter_length, arg("count"), "Transform length that filters count samples without wrap.");
  m.def("filter_lengths", &filter_lengths, arg("plan"), "Transform length that each tilt's rows need.");
  m.def("filter_stack", &filter_stack, arg("stack").noconvert(), arg("gains").noconvert(), arg("length"),
        arg("out").noconvert(), arg("threads") = 0, arg("cancel") = py::none(),
        "Filters a stack along its last axis; gains (n_tilts, length/2 + 1).");
  m.def("filter_stack_on", &filter_on, arg("devices"), arg("stack").noconvert(), arg("gains").noconvert(),
        arg("length"), arg("out").noconvert(), arg("max_memory") = 0, arg("threads") = 0, arg("cancel") = py::none(),
        "The same on devices; max_memory: bytes of each, 0: what is free.");
  m.def("filter_stack_there", &filter_there, arg("stack"), arg("gains").noconvert(), arg("length"), arg("out"),
        "The same where the stack lies.");
  m.def("wbp", &wbp_stack, arg("plan"), arg("stack").noconvert(), arg("gains").noconvert(), arg("lengths"),
        arg("out").noconvert(), arg("threads") = 0, arg("cancel") = py::none(), arg("fixed16") = false,
        "Filtered back-projection.");
  m.def("wbp", &wbp_there, arg("plan"), arg("stack").noconvert(), arg("gains").noconvert(), arg("lengths"),
        arg("out").noconvert(), arg("threads") = 0, arg("cancel") = py::none(), arg("fixed16") = false,
        "Filtered back-projection on devices.");
  m.def("wbp_slabs", &wbp_slabs, arg("plan"), arg("lengths"),
        "The slabs of filtered back-projection on devices, as things stand.");
  m.def("overlap_weights", &overlap_array, arg("slope").noconvert(), arg("length").noconvert(), arg("columns"),
        arg("out").noconvert(), arg("threads") = 0, arg("cancel") = py::none(),
        "How much views measure at the frequencies (rows, columns/2 + 1) of one view's section.");
}

}  // namespace cryolith::bind
