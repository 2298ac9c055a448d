// SPDX-License-Identifier: BSD-3-Clause
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "bindings/device_plan.hpp"
#include "bindings/numpy_view.hpp"
#include "bindings/stages.hpp"
#include "projection/backproject.hpp"
#include "projection/device_pair.hpp"
#include "projection/free_plan.hpp"
#include "projection/local.hpp"
#include "projection/missing.hpp"
#include "projection/project.hpp"

namespace cryolith::bind {
namespace {

using Shape3 = std::array<index_t, 3>;
using Shape2 = std::array<index_t, 2>;

std::vector<TiltPose> tilt_poses(const Array<double>& poses, const char* name) {
  const auto p = read<double, 2>(poses, name);
  require(p.extent[1] == 8, name, ": found ", p.extent[1], " columns, expected 8");
  std::vector<TiltPose> tilts;
  for (index_t i = 0; i < p.extent[0]; ++i) {
    const double* row = p.data + 8 * i;
    tilts.push_back({row[0], row[1], row[2], row[3], row[4], row[5], row[6], row[7]});
  }
  return tilts;
}

std::unique_ptr<ProjectionPlan> make_plan(const Array<double>& poses, Shape3 volume, Shape2 image,
                                          const std::optional<Array<double>>& among) {
  const std::vector<TiltPose> tilts = tilt_poses(poses, "poses");
  const std::vector<TiltPose> all = among ? tilt_poses(*among, "among") : tilts;
  return std::make_unique<ProjectionPlan>(tilts, VolumeShape{volume[0], volume[1], volume[2]},
                                          ImageShape{image[0], image[1]},
                                          !std::all_of(all.begin(), all.end(), near_image_axis));
}

std::unique_ptr<FreePlan> make_free_plan(const Array<double>& poses, Shape3 volume, Shape2 image) {
  const auto p = read<double, 3>(poses, "poses");
  require(p.extent[1] == 2 && p.extent[2] == 4, "poses: found ", p.extent[1], " x ", p.extent[2], ", expected 2 x 4");
  std::vector<FreePose> views;
  for (index_t i = 0; i < p.extent[0]; ++i) {
    const double *row = p.data + 8 * i, *column = row + 4;
    views.push_back({{row[0], row[1], row[2]}, {column[0], column[1], column[2]}, row[3], column[3]});
  }
  return std::make_unique<FreePlan>(views, VolumeShape{volume[0], volume[1], volume[2]},
                                    ImageShape{image[0], image[1]});
}

template <class T>
void require_shape(const View<T, 3>& a, const char* name, Shape3 shape) {
  require(a.extent[0] == shape[0] && a.extent[1] == shape[1] && a.extent[2] == shape[2], name, ": found shape (",
          a.extent[0], ", ", a.extent[1], ", ", a.extent[2], "), expected (", shape[0], ", ", shape[1], ", ", shape[2],
          ")");
}

Shape3 volume_shape(const ProjectionPlan& p) { return {p.volume().nz, p.volume().ny, p.volume().nx}; }
Shape3 volume_shape(const FreePlan& p) { return {p.volume().nz, p.volume().ny, p.volume().nx}; }
Shape3 images_shape(const ProjectionPlan& p) { return {p.tilts(), p.image().height, p.image().width}; }
Shape3 images_shape(const FreePlan& p) { return {p.views(), p.image().height, p.image().width}; }

Shape3 volume_shape(const DevicePlan& p) { return volume_shape(p.plan()); }
Shape3 images_shape(const DevicePlan& p) { return images_shape(p.plan()); }
void project(const Cpu& cpu, const DevicePlan& p, View3<const float> volume, View3<float> images, bool add) {
  p.pairs().project(cpu, volume, images, add);
}
void backproject(const Cpu& cpu, const DevicePlan& p, View3<const float> images, View3<float> volume) {
  p.pairs().backproject(cpu, images, volume);
}

std::unique_ptr<DevicePlan> make_device_plan(const ProjectionPlan& plan, const std::vector<std::string>& devices,
                                             index_t max_memory) {
  py::gil_scoped_release no_gil;
  return std::make_unique<DevicePlan>(plan, devices, max_memory);
}

std::unique_ptr<DevicePlan> make_device_slab(const DevicePlan& whole, index_t first, index_t last) {
  py::gil_scoped_release no_gil;
  return std::make_unique<DevicePlan>(whole, Range{first, last});
}

template <class Plan>
void project_array(const Plan& plan, const Array<float>& volume, Array<float>& out, int threads,
                   const CancelToken* cancel, bool add) {
  const auto v = read<float, 3>(volume, "volume");
  const auto o = write<float, 3>(out, "out");
  require_shape(v, "volume", volume_shape(plan));
  require_shape(o, "out", images_shape(plan));
  require_disjoint(v, "volume", o, "out");
  const Cpu cpu = cpu_from(threads, cancel);
  py::gil_scoped_release no_gil;
  project(cpu, plan, v, o, add);
}

template <class Plan>
void backproject_array(const Plan& plan, const Array<float>& stack, Array<float>& out, int threads,
                       const CancelToken* cancel, bool fixed16) {
  const auto s = read<float, 3>(stack, "stack");
  const auto o = write<float, 3>(out, "out");
  require_shape(s, "stack", images_shape(plan));
  require_shape(o, "out", volume_shape(plan));
  require_disjoint(s, "stack", o, "out");
  const Cpu cpu = cpu_from(threads, cancel);
  py::gil_scoped_release no_gil;
  if constexpr (std::is_same_v<Plan, ProjectionPlan>) {
    backproject(cpu, plan, s, o, {}, fixed16 ? Precision::fixed16 : Precision::float32);
  } else {
    const char* where =
        std::is_same_v<Plan, DevicePlan> ? "a device other than the CPU" : "views whose rays cross the volume's rows";
    require(!fixed16, "precision: found fixed16 for ", where, ", expected float32");
    backproject(cpu, plan, s, o);
  }
}

// The same for arrays that lie on the device.
void project_there(const DevicePlan& plan, const DeviceTensor& volume, const DeviceTensor& out, int threads,
                   const CancelToken* cancel, bool add) {
  const auto v = plan.view<const float>(volume, "volume");
  const auto o = plan.view<float>(out, "out");
  require_shape(v, "volume", volume_shape(plan));
  require_shape(o, "out", images_shape(plan));
  require_disjoint(v, "volume", o, "out");
  const Cpu cpu = cpu_from(threads, cancel);
  py::gil_scoped_release no_gil;
  plan.pair().project_there(cpu, v, o, add);
}
void backproject_there(const DevicePlan& plan, const DeviceTensor& stack, const DeviceTensor& out, int threads,
                       const CancelToken* cancel) {
  const auto s = plan.view<const float>(stack, "stack");
  const auto o = plan.view<float>(out, "out");
  require_shape(s, "stack", images_shape(plan));
  require_shape(o, "out", volume_shape(plan));
  require_disjoint(s, "stack", o, "out");
  const Cpu cpu = cpu_from(threads, cancel);
  py::gil_scoped_release no_gil;
  plan.pair().backproject_there(cpu, s, o);
}

std::unique_ptr<ProjectionPlan> make_slab(const ProjectionPlan& plan, index_t first, index_t last) {
  return std::make_unique<ProjectionPlan>(plan.slab({first, last}));
}

std::array<index_t, 4> edges(ImageWindow w) { return {w.row, w.row + w.height, w.column, w.column + w.width}; }
std::array<index_t, 4> window_of(const ProjectionPlan& plan) { return edges(plan.window()); }
std::array<index_t, 4> seen_by(const ProjectionPlan& plan, index_t first, index_t last) {
  return edges(plan.window({first, last}));
}

template <class Plan>
index_t scratch_bytes(const Plan& plan, index_t threads) {
  require(threads >= 1, "threads: found ", threads, ", expected at least 1");
  return std::max(project_scratch_bytes(plan, threads), backproject_scratch_bytes(plan, threads));
}

index_t count_missing_pixels(const Array<float>& stack, int threads, const CancelToken* cancel) {
  const auto pixels = read_flat(stack, "stack");
  const Cpu cpu = cpu_from(threads, cancel);
  py::gil_scoped_release no_gil;
  return count_missing(cpu, pixels);
}

template <void (*Move)(const Cpu&, const LocalField&, View3<const float>, View3<float>)>
void local_array(const Array<float>& stack, const Array<float>& nodes, index_t spacing, Array<float> out, int threads,
                 const CancelToken* cancel) {
  const auto from = read<float, 3>(stack, "stack");
  const LocalField field{read<float, 4>(nodes, "nodes"), spacing};
  const auto to = write<float, 3>(out, "out");
  require_disjoint(from, "stack", to, "out");
  require_disjoint(field.nodes, "nodes", to, "out");
  const Cpu cpu = cpu_from(threads, cancel);
  py::gil_scoped_release no_gil;
  Move(cpu, field, from, to);
}

}  // namespace

void add_projection(py::module_& m) {
  using py::arg;
  py::class_<ProjectionPlan>(m, "ProjectionPlan", "Tables of one geometry for one volume shape and one image shape.")
      .def(py::init(&make_plan), arg("poses").noconvert(), arg("volume_shape"), arg("image_shape"),
           arg("among").noconvert() = py::none(),
           "poses: (n_tilts, 8) cos tilt, sin tilt, cos axis, sin axis, shift row, shift column, axis offset [px], "
           "scale; among: those of the whole series, where it is to be projected as there.")
      .def("project", &project_array<ProjectionPlan>, arg("volume").noconvert(), arg("out").noconvert(),
           arg("threads") = 0, arg("cancel") = py::none(), arg("add") = false,
           "Sets out (n_tilts, height, width) to the projections of volume, or adds them to it.")
      .def("backproject", &backproject_array<ProjectionPlan>, arg("stack").noconvert(), arg("out").noconvert(),
           arg("threads") = 0, arg("cancel") = py::none(), arg("fixed16") = false,
           "Sets out (nz, ny, nx) to the back-projection of stack.")
      .def("slab", &make_slab, arg("first"), arg("last"),
           "The plan of the volume's rows first to last alone, on the images' pixels of window.")
      .def("seen_by", &seen_by, arg("first"), arg("last"), "The window of the slab of those rows.")
      .def("scratch_bytes", &scratch_bytes<ProjectionPlan>, arg("threads"),
           "Memory that either holds besides its arguments.")
      .def(
          "backproject_bytes",
          [](const ProjectionPlan& plan, index_t threads) { return backproject_scratch_bytes(plan, threads); },
          arg("threads"), "Memory that backproject holds besides its arguments.")
      .def_property_readonly("table_bytes", &ProjectionPlan::table_bytes, "Memory that its tables take.")
      .def_property_readonly("window", &window_of,
                             "First row, last row, first column, last column of the pixels that it takes.")
      .def_property_readonly_static(
          "slab_rows", [](const py::object&) { return ProjectionPlan::kSlabRows; }, "Slabs begin at multiples of it.")
      .def("spacing", &ProjectionPlan::spacing, arg("tilt"), "Spacing of the samples of one tilt's rows [px].");
  py::class_<SlabCut>(m, "SlabCut", "How host arrays go through devices.")
      .def_readonly("rows", &SlabCut::rows)
      .def_readonly("slabs", &SlabCut::slabs)
      .def_readonly("slots", &SlabCut::slots)
      .def_readonly("device_bytes", &SlabCut::device_bytes)
      .def_readonly("pinned_bytes", &SlabCut::pinned_bytes);
  py::class_<DevicePlan>(m, "DevicePlan", "The projector pair of a plan on devices.")
      .def(py::init(&make_device_plan), arg("plan"), arg("devices"), arg("max_memory") = 0, py::keep_alive<1, 2>(),
           "devices: emulated, cuda, cuda:1 ...; max_memory: bytes of each that slabs take, 0: what is free.")
      .def(
          "slabs", [](const DevicePlan& p, index_t more) { return p.pairs().slabs(nullptr, more); }, arg("more") = 0,
          "The slabs of host arrays, as things stand; more: bytes of other tables that are to come.")
      .def("slab", &make_device_slab, arg("first"), arg("last"), py::keep_alive<0, 1>(),
           "The pair of the volume's rows first to last alone, on the images' pixels of window.")
      .def("share_memory", &DevicePlan::share_memory, arg("other"), "From now on both have slabs in the same memory.")
      .def(
          "free_bytes", [](const DevicePlan& p) { return p.pairs().free_bytes(); },
          "Memory of the device that has the least.")
      .def_property_readonly(
          "table_bytes", [](const DevicePlan& p) { return p.pairs().table_bytes(); }, "Of each device.")
      .def_property_readonly(
          "scratch_bytes", [](const DevicePlan& p) { return p.pairs().scratch_bytes(); },
          "What arrays that lie on the device take besides themselves and the tables.")
      .def_property_readonly(
          "window", [](const DevicePlan& p) { return window_of(p.plan()); },
          "First row, last row, first column, last column of the pixels that it takes.")
      .def("project", &project_array<DevicePlan>, arg("volume").noconvert(), arg("out").noconvert(), arg("threads") = 0,
           arg("cancel") = py::none(), arg("add") = false,
           "Sets out (n_tilts, height, width) to the projections of volume, or adds them to it.")
      .def("backproject", &backproject_array<DevicePlan>, arg("stack").noconvert(), arg("out").noconvert(),
           arg("threads") = 0, arg("cancel") = py::none(), arg("fixed16") = false,
           "Sets out (nz, ny, nx) to the back-projection of stack.")
      .def("project", &project_there, arg("volume"), arg("out"), arg("threads") = 0, arg("cancel") = py::none(),
           arg("add") = false, "The same for arrays on the device.")
      .def("backproject", &backproject_there, arg("stack"), arg("out"), arg("threads") = 0, arg("cancel") = py::none(),
           "The same for arrays on the device.");
  py::class_<FreePlan>(m, "FreePlan", "Views at free poses for one volume shape and one image shape.")
      .def(py::init(&make_free_plan), arg("poses").noconvert(), arg("volume_shape"), arg("image_shape"),
           "poses: (n_views, 2, 4), (row, column) from the image's centre [px] = pose (z, y, x, 1), voxels from the "
           "volume's centre.")
      .def("project", &project_array<FreePlan>, arg("volume").noconvert(), arg("out").noconvert(), arg("threads") = 0,
           arg("cancel") = py::none(), arg("add") = false,
           "Sets out (n_views, height, width) to the projections of volume, or adds them to it.")
      .def("backproject", &backproject_array<FreePlan>, arg("stack").noconvert(), arg("out").noconvert(),
           arg("threads") = 0, arg("cancel") = py::none(), arg("fixed16") = false,
           "Sets out (nz, ny, nx) to the back-projection of stack.")
      .def("scratch_bytes", &scratch_bytes<FreePlan>, arg("threads"),
           "Memory that either holds besides its arguments.");
  m.def("straighten", &local_array<straighten>, arg("stack").noconvert(), arg("nodes").noconvert(), arg("spacing"),
        arg("out").noconvert(), arg("threads") = 0, arg("cancel") = py::none(),
        "Sets out to the images sampled where nodes (n_tilts, 2, rows, columns) [px] say that each pixel lies.");
  m.def("bend", &local_array<bend>, arg("stack").noconvert(), arg("nodes").noconvert(), arg("spacing"),
        arg("out").noconvert(), arg("threads") = 0, arg("cancel") = py::none(), "The transpose of straighten.");
  m.def("local_scratch_bytes", &local_scratch_bytes, arg("height"), arg("width"), arg("threads"),
        "Memory that either holds besides its arguments.");
  m.def("count_missing", &count_missing_pixels, arg("stack").noconvert(), arg("threads") = 0,
        arg("cancel") = py::none(), "Number of NaN or infinite values.");
}

}  // namespace cryolith::bind
