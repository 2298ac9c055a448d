// SPDX-License-Identifier: BSD-3-Clause
#include <pybind11/stl.h>

#include <array>
#include <memory>
#include <vector>

#include "bindings/numpy_view.hpp"
#include "bindings/stages.hpp"
#include "projection/backproject.hpp"
#include "projection/missing.hpp"
#include "projection/project.hpp"

namespace cryolith::bind {
namespace {

using Shape3 = std::array<index_t, 3>;
using Shape2 = std::array<index_t, 2>;

std::unique_ptr<ProjectionPlan> make_plan(const Array<double>& poses, Shape3 volume, Shape2 image) {
  const auto p = read<double, 2>(poses, "poses");
  require(p.extent[1] == 7, "poses: found ", p.extent[1], " columns, expected 7");
  std::vector<TiltPose> tilts;
  for (index_t i = 0; i < p.extent[0]; ++i) {
    const double* row = p.data + 7 * i;
    tilts.push_back({row[0], row[1], row[2], row[3], row[4], row[5], row[6]});
  }
  return std::make_unique<ProjectionPlan>(tilts, VolumeShape{volume[0], volume[1], volume[2]},
                                          ImageShape{image[0], image[1]});
}

template <class T>
void require_shape(const View<T, 3>& a, const char* name, Shape3 shape) {
  require(a.extent[0] == shape[0] && a.extent[1] == shape[1] && a.extent[2] == shape[2], name, ": found shape (",
          a.extent[0], ", ", a.extent[1], ", ", a.extent[2], "), expected (", shape[0], ", ", shape[1], ", ", shape[2],
          ")");
}

Shape3 volume_shape(const ProjectionPlan& p) { return {p.volume().nz, p.volume().ny, p.volume().nx}; }
Shape3 images_shape(const ProjectionPlan& p) { return {p.tilts(), p.image().height, p.image().width}; }

void project_array(const ProjectionPlan& plan, const Array<float>& volume, Array<float>& out, int threads,
                   const CancelToken* cancel) {
  const auto v = read<float, 3>(volume, "volume");
  const auto o = write<float, 3>(out, "out");
  require_shape(v, "volume", volume_shape(plan));
  require_shape(o, "out", images_shape(plan));
  require_disjoint(v, "volume", o, "out");
  const Cpu cpu = cpu_from(threads, cancel);
  py::gil_scoped_release no_gil;
  project(cpu, plan, v, o);
}

void backproject_array(const ProjectionPlan& plan, const Array<float>& stack, Array<float>& out, int threads,
                       const CancelToken* cancel, bool fixed16) {
  const auto s = read<float, 3>(stack, "stack");
  const auto o = write<float, 3>(out, "out");
  require_shape(s, "stack", images_shape(plan));
  require_shape(o, "out", volume_shape(plan));
  require_disjoint(s, "stack", o, "out");
  const Cpu cpu = cpu_from(threads, cancel);
  py::gil_scoped_release no_gil;
  backproject(cpu, plan, s, o, {}, fixed16 ? Precision::fixed16 : Precision::float32);
}

index_t count_missing_pixels(const Array<float>& stack, int threads, const CancelToken* cancel) {
  const auto pixels = read_flat(stack, "stack");
  const Cpu cpu = cpu_from(threads, cancel);
  py::gil_scoped_release no_gil;
  return count_missing(cpu, pixels);
}

}  // namespace

void add_projection(py::module_& m) {
  using py::arg;
  py::class_<ProjectionPlan>(m, "ProjectionPlan", "Tables of one geometry for one volume shape and one image shape.")
      .def(py::init(&make_plan), arg("poses").noconvert(), arg("volume_shape"), arg("image_shape"),
           "poses: (n_tilts, 7) cos tilt, sin tilt, cos axis, sin axis, shift row, shift column, axis offset [px].")
      .def("project", &project_array, arg("volume").noconvert(), arg("out").noconvert(), arg("threads") = 0,
           arg("cancel") = py::none(), "Sets out (n_tilts, height, width) to the projections of volume.")
      .def("backproject", &backproject_array, arg("stack").noconvert(), arg("out").noconvert(), arg("threads") = 0,
           arg("cancel") = py::none(), arg("fixed16") = false, "Sets out (nz, ny, nx) to the back-projection of stack.")
      .def("spacing", &ProjectionPlan::spacing, arg("tilt"), "Spacing of the samples of one tilt's rows [px].");
  m.def("count_missing", &count_missing_pixels, arg("stack").noconvert(), arg("threads") = 0,
        arg("cancel") = py::none(), "Number of NaN or infinite values.");
}

}  // namespace cryolith::bind
