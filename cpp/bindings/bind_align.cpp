// SPDX-License-Identifier: BSD-3-Clause
#include "align/prepare.hpp"
#include "align/register.hpp"
#include "bindings/numpy_view.hpp"
#include "bindings/stages.hpp"

namespace cryolith::bind {
namespace {

void bind_despike(Array<float> images, Array<index_t> replaced, int threads, const CancelToken* cancel) {
  const auto in = write<float, 3>(images, "images");
  const auto count = write<index_t, 1>(replaced, "replaced");
  require_disjoint(in, "images", count, "replaced");
  const Cpu cpu = cpu_from(threads, cancel);
  py::gil_scoped_release no_gil;
  despike(cpu, in, count);
}

void bind_reduce(const Array<float>& images, const Array<float>& row_weight, const Array<index_t>& row_source,
                 const Array<float>& column_weight, const Array<index_t>& column_source, Array<float> out, int threads,
                 const CancelToken* cancel) {
  const auto in = read<float, 3>(images, "images");
  const AxisMap rows{read<float, 2>(row_weight, "row_weight"), read<index_t, 2>(row_source, "row_source")};
  const AxisMap columns{read<float, 2>(column_weight, "column_weight"),
                        read<index_t, 2>(column_source, "column_source")};
  const auto to = write<float, 3>(out, "out");
  require_disjoint(in, "images", to, "out");
  const Cpu cpu = cpu_from(threads, cancel);
  py::gil_scoped_release no_gil;
  reduce_images(cpu, in, rows, columns, to);
}

void bind_resample(const Array<float>& images, const Array<double>& map, const Array<float>& fill, Array<float> out,
                   int threads, const CancelToken* cancel) {
  const auto in = read<float, 3>(images, "images");
  const auto maps = read<double, 3>(map, "map");
  const auto fills = read<float, 1>(fill, "fill");
  const auto to = write<float, 3>(out, "out");
  require_disjoint(in, "images", to, "out");
  const Cpu cpu = cpu_from(threads, cancel);
  py::gil_scoped_release no_gil;
  resample_images(cpu, in, maps, fills, to);
}

void bind_register(const Array<float>& reference, const Array<float>& moving, Array<double> out, double low,
                   double high, double taper, double max_shift, int threads, const CancelToken* cancel) {
  const auto a = read<float, 3>(reference, "reference");
  const auto b = read<float, 3>(moving, "moving");
  const auto to = write<double, 2>(out, "out");
  require_disjoint(a, "reference", to, "out");
  require_disjoint(b, "moving", to, "out");
  const Cpu cpu = cpu_from(threads, cancel);
  const RegisterOptions options{low, high, taper, max_shift};
  py::gil_scoped_release no_gil;
  register_pairs(cpu, a, b, options, to);
}

}  // namespace

void add_align(py::module_& m) {
  m.def("despike", &bind_despike, "Replace hot pixels by the median of their neighbours, in place.",
        py::arg("images").noconvert(), py::arg("replaced").noconvert(), py::arg("threads"),
        py::arg("cancel") = nullptr);
  m.def("reduce_images", &bind_reduce, "Apply one sparse linear map along rows and one along columns.",
        py::arg("images").noconvert(), py::arg("row_weight").noconvert(), py::arg("row_source").noconvert(),
        py::arg("column_weight").noconvert(), py::arg("column_source").noconvert(), py::arg("out").noconvert(),
        py::arg("threads"), py::arg("cancel") = nullptr);
  m.def("resample_images", &bind_resample, "Resample each image through an affine map, bilinear.",
        py::arg("images").noconvert(), py::arg("map").noconvert(), py::arg("fill").noconvert(),
        py::arg("out").noconvert(), py::arg("threads"), py::arg("cancel") = nullptr);
  m.def("register_pairs", &bind_register, "Shift of each moving image against its reference.",
        py::arg("reference").noconvert(), py::arg("moving").noconvert(), py::arg("out").noconvert(), py::arg("low"),
        py::arg("high"), py::arg("taper"), py::arg("max_shift"), py::arg("threads"), py::arg("cancel") = nullptr);
}

}  // namespace cryolith::bind
