// SPDX-License-Identifier: BSD-3-Clause
#include <pybind11/stl.h>

#include <array>
#include <cstdint>
#include <memory>

#include "bindings/numpy_view.hpp"
#include "bindings/stages.hpp"
#include "detect/device_distance.hpp"
#include "detect/distance.hpp"
#include "detect/local_thickness.hpp"

namespace cryolith::bind {
namespace {

using Edges = std::array<double, 3>;

detect::DistanceOptions options_of(const Edges& spacing, bool border, bool all_labels) {
  return {{spacing[0], spacing[1], spacing[2]}, border, all_labels};
}

template <class Value>
void distance(const Array<Value>& values, const Edges& spacing, bool border, bool all_labels, Array<float>& out,
              int threads, const CancelToken* cancel) {
  const auto in = read<Value, 3>(values, "values");
  const auto to = write<float, 3>(out, "out");
  require_disjoint(in, "values", to, "out");
  const Cpu cpu = cpu_from(threads, cancel);
  py::gil_scoped_release no_gil;
  detect::distance(cpu, in, options_of(spacing, border, all_labels), to);
}

template <class Value>
void distance_on_device(const Array<Value>& values, const Edges& spacing, bool border, bool all_labels,
                        Array<float>& out, const std::string& device) {
  const auto in = read<Value, 3>(values, "values");
  const auto to = write<float, 3>(out, "out");
  require_disjoint(in, "values", to, "out");
  py::gil_scoped_release no_gil;
  device_distance(device, in, options_of(spacing, border, all_labels), to);
}

void local_thickness(const Array<float>& distances, const Edges& spacing, Array<float>& out, int threads,
                     const CancelToken* cancel) {
  const auto in = read<float, 3>(distances, "distances");
  const auto to = write<float, 3>(out, "out");
  require_disjoint(in, "distances", to, "out");
  const Cpu cpu = cpu_from(threads, cancel);
  py::gil_scoped_release no_gil;
  detect::local_thickness(cpu, in, spacing.data(), to);
}

template <class Value>
void bind_slabs(py::module_& m, const char* name) {
  using py::arg;
  using Slabs = detect::DistanceSlabs<Value>;
  py::class_<Slabs>(m, name)
      .def(py::init([](const std::array<index_t, 3>& shape, const Edges& spacing, bool border, bool all_labels) {
             return std::make_unique<Slabs>(shape[0], shape[1], shape[2], options_of(spacing, border, all_labels));
           }),
           arg("shape"), arg("spacing"), arg("border"), arg("all_labels"))
      .def(
          "scan",
          [](Slabs& slabs, index_t first, const Array<Value>& values, int threads, const CancelToken* cancel) {
            const auto in = read<Value, 3>(values, "values");
            const Cpu cpu = cpu_from(threads, cancel);
            py::gil_scoped_release no_gil;
            slabs.scan(cpu, first, in);
          },
          arg("first"), arg("values").noconvert(), arg("threads") = 0, arg("cancel") = nullptr)
      .def(
          "finish",
          [](Slabs& slabs, index_t first, const Array<Value>& values, Array<float>& out, int threads,
             const CancelToken* cancel) {
            const auto in = read<Value, 3>(values, "values");
            const auto to = write<float, 3>(out, "out");
            require_disjoint(in, "values", to, "out");
            const Cpu cpu = cpu_from(threads, cancel);
            py::gil_scoped_release no_gil;
            slabs.finish(cpu, first, in, to);
          },
          arg("first"), arg("values").noconvert(), arg("out").noconvert(), arg("threads") = 0, arg("cancel") = nullptr);
}

}  // namespace

void add_distance(py::module_& m) {
  using py::arg;
  const char* text =
      "Distance of each voxel of values (nz, ny, nx) to the nearest one of another value, to out float32.";
  m.def("distance", &distance<std::uint8_t>, arg("values").noconvert(), arg("spacing"), arg("border"),
        arg("all_labels"), arg("out").noconvert(), arg("threads") = 0, arg("cancel") = nullptr, text);
  m.def("distance", &distance<std::int32_t>, arg("values").noconvert(), arg("spacing"), arg("border"),
        arg("all_labels"), arg("out").noconvert(), arg("threads") = 0, arg("cancel") = nullptr, text);
  m.def("device_distance", &distance_on_device<std::uint8_t>, arg("values").noconvert(), arg("spacing"), arg("border"),
        arg("all_labels"), arg("out").noconvert(), arg("device"), "The same on a device: emulated, cuda, cuda:1 ...");
  m.def("device_distance", &distance_on_device<std::int32_t>, arg("values").noconvert(), arg("spacing"), arg("border"),
        arg("all_labels"), arg("out").noconvert(), arg("device"), "The same on a device: emulated, cuda, cuda:1 ...");
  m.def("local_thickness", &local_thickness, arg("distances").noconvert(), arg("spacing"), arg("out").noconvert(),
        arg("threads") = 0, arg("cancel") = nullptr,
        "Diameter of the largest ball inside the phase that holds each voxel, from distances (nz, ny, nx).");
  bind_slabs<std::uint8_t>(m, "MaskDistanceSlabs");
  bind_slabs<std::int32_t>(m, "LabelDistanceSlabs");
}

}  // namespace cryolith::bind
