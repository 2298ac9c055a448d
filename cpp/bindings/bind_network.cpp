// SPDX-License-Identifier: BSD-3-Clause
#include <pybind11/stl.h>

#include <array>
#include <cstdint>
#include <memory>
#include <tuple>
#include <vector>

#include "bindings/numpy_view.hpp"
#include "bindings/stages.hpp"
#include "detect/flow.hpp"
#include "detect/geodesic.hpp"
#include "detect/skeleton.hpp"
#include "detect/split_pores.hpp"
#include "detect/trace_branches.hpp"

namespace cryolith::bind {
namespace {

using Edges = std::array<double, 3>;

template <class T>
Array<T> array_of(const std::vector<T>& values) {
  return Array<T>(static_cast<py::ssize_t>(values.size()), values.data());
}

void thin(const Array<float>& distances, const Edges& spacing, Array<std::uint8_t>& mask, const CancelToken* cancel) {
  const auto in = read<float, 3>(distances, "distances");
  const auto to = write<std::uint8_t, 3>(mask, "mask");
  require_disjoint(in, "distances", to, "mask");
  const Cpu cpu = cpu_from(1, cancel);
  py::gil_scoped_release no_gil;
  detect::thin(cpu, in, spacing.data(), to);
}

using Trace = std::tuple<Array<index_t>, Array<index_t>, Array<std::int32_t>, Array<std::int32_t>, Array<index_t>,
                         Array<index_t>>;

Trace trace_branches(const Array<std::uint8_t>& skeleton) {
  const auto in = read<std::uint8_t, 3>(skeleton, "skeleton");
  detect::BranchTrace trace;
  {
    py::gil_scoped_release no_gil;
    trace = detect::trace_branches(in);
  }
  return Trace(array_of(trace.places), array_of(trace.first), array_of(trace.start), array_of(trace.end),
               array_of(trace.node_places), array_of(trace.node_first));
}

Array<index_t> split_pores(const Array<float>& distances, const Array<std::uint8_t>& mask, double least, double share,
                           Array<std::int32_t>& labels, const CancelToken* cancel) {
  const auto in = read<float, 3>(distances, "distances");
  const auto inside = read<std::uint8_t, 3>(mask, "mask");
  const auto to = write<std::int32_t, 3>(labels, "labels");
  require_disjoint(in, "distances", to, "labels");
  require_disjoint(inside, "mask", to, "labels");
  const Cpu cpu = cpu_from(1, cancel);
  std::vector<index_t> peaks;
  {
    py::gil_scoped_release no_gil;
    peaks = detect::split_pores(cpu, in, inside, least, share, to);
  }
  return array_of(peaks);
}

void geodesic(const Array<std::uint8_t>& mask, const Edges& spacing, Array<float>& length, const CancelToken* cancel) {
  const auto in = read<std::uint8_t, 3>(mask, "mask");
  const auto to = write<float, 3>(length, "length");
  require_disjoint(in, "mask", to, "length");
  const Cpu cpu = cpu_from(1, cancel);
  py::gil_scoped_release no_gil;
  detect::geodesic(cpu, in, spacing.data(), to);
}

}  // namespace

void add_network(py::module_& m) {
  using py::arg;
  m.def("thin", &thin, arg("distances").noconvert(), arg("spacing"), arg("mask").noconvert(), arg("cancel") = nullptr,
        "Thin mask (nz, ny, nx; 0 and 1) to lines in place, in the order of distances, keeping its topology.");
  m.def("trace_branches", &trace_branches, arg("skeleton").noconvert(),
        "The graph of a skeleton: places and first of branches, their start and end nodes, places and first of nodes.");
  m.def("split_pores", &split_pores, arg("distances").noconvert(), arg("mask").noconvert(), arg("least"), arg("share"),
        arg("labels").noconvert(), arg("cancel") = nullptr,
        "Part a phase into the catchment areas of the maxima of its distances; returns where those are.");
  m.def("geodesic", &geodesic, arg("mask").noconvert(), arg("spacing"), arg("length").noconvert(),
        arg("cancel") = nullptr, "Lengths of the shortest ways inside of mask from where length is finite, to length.");
  py::class_<detect::Flow>(m, "Flow",
                           "Steady diffusion through mask (nz, ny, nx) between the two faces across an axis.")
      .def(py::init([](const Array<std::uint8_t>& mask, int along, const Edges& bonds, int threads,
                       const CancelToken* cancel) {
             const auto in = read<std::uint8_t, 3>(mask, "mask");
             const Cpu cpu = cpu_from(threads, cancel);
             py::gil_scoped_release no_gil;
             return std::make_unique<detect::Flow>(cpu, in, along, bonds.data());
           }),
           arg("mask").noconvert(), arg("along"), arg("bonds"), arg("threads") = 0, arg("cancel") = nullptr)
      .def_property_readonly("dissipation", &detect::Flow::dissipation)
      .def(
          "step",
          [](detect::Flow& flow, int threads, const CancelToken* cancel) {
            const Cpu cpu = cpu_from(threads, cancel);
            py::gil_scoped_release no_gil;
            return flow.step(cpu);
          },
          arg("threads") = 0, arg("cancel") = nullptr,
          "One step of the solver; by how much the dissipation went down.");
}

}  // namespace cryolith::bind
