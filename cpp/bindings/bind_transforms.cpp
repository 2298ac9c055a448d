// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <vector>

#include "align/frame.hpp"
#include "align/warp.hpp"
#include "bindings/numpy_view.hpp"
#include "bindings/stages.hpp"

namespace cryolith::bind {
namespace {

template <int N, void (*Warp)(const Cpu&, View<const float, N>, View2<const double>, View<float, N>)>
void bind_warp(const Array<float>& values, const Array<double>& map, Array<float> out, int threads,
               const CancelToken* cancel) {
  const char* name = N == 2 ? "image" : "volume";
  const auto in = read<float, N>(values, name);
  const auto by = read<double, 2>(map, "map");
  const auto to = write<float, N>(out, "out");
  require_disjoint(in, name, to, "out");
  const Cpu cpu = cpu_from(threads, cancel);
  py::gil_scoped_release no_gil;
  Warp(cpu, in, by, to);
}

void bind_log_polar(const Array<float>& power, index_t nx, double low, double high, Array<float> out, int threads,
                    const CancelToken* cancel) {
  const auto in = read<float, 2>(power, "power");
  const auto to = write<float, 2>(out, "out");
  require_disjoint(in, "power", to, "out");
  const Cpu cpu = cpu_from(threads, cancel);
  py::gil_scoped_release no_gil;
  log_polar(cpu, in, nx, low, high, to);
}

void bind_displacement_sums(const Array<float>& a, const Array<float>& b, const Array<double>& axes, Array<double> out,
                            int threads, const CancelToken* cancel) {
  const auto first = read<float, 4>(a, "a");
  const auto second = read<float, 4>(b, "b");
  const auto along = read<double, 2>(axes, "axes");
  const auto to = write<double, 1>(out, "out");
  const Cpu cpu = cpu_from(threads, cancel);
  py::gil_scoped_release no_gil;
  displacement_sums(cpu, first, second, along, to);
}

// Whether all pixels of use are counts. `filled` and `weight` are written if some are missing.
bool bind_fill_missing(const Array<float>& images, Array<float> filled, Array<float> weight, int threads,
                       const CancelToken* cancel) {
  const auto in = read<float, 3>(images, "images");
  const auto to = write<float, 3>(filled, "filled");
  const auto of = write<float, 3>(weight, "weight");
  require_disjoint(in, "images", to, "filled");
  require_disjoint(in, "images", of, "weight");
  const index_t ny = in.extent[1], nx = in.extent[2];
  const Cpu cpu = cpu_from(threads, cancel);
  std::vector<char> counts(static_cast<std::size_t>(in.extent[0]));
  {
    py::gil_scoped_release no_gil;
    parallel_for(cpu, in.extent[0], [&](index_t i, int) {
      const Frame frame = look({in.data + i * ny * nx, {ny, nx}}, 0);
      counts[static_cast<std::size_t>(i)] = frame.counts;
      std::copy_n(frame.image.data, ny * nx, to.data + i * ny * nx);
      if (frame.weight.empty())
        std::fill_n(of.data + i * ny * nx, ny * nx, 1.0f);
      else
        std::copy(frame.weight.begin(), frame.weight.end(), of.data + i * ny * nx);
    });
  }
  return std::all_of(counts.begin(), counts.end(), [](char c) { return c != 0; });
}

}  // namespace

void add_transforms(py::module_& m) {
  m.def("warp_image", &bind_warp<2, warp_image>,
        "Sample an image through an affine map, by the projector's windowed sinc.", py::arg("image").noconvert(),
        py::arg("map").noconvert(), py::arg("out").noconvert(), py::arg("threads"), py::arg("cancel") = nullptr);
  m.def("warp_volume", &bind_warp<3, warp_volume>,
        "Sample a volume through an affine map, by the projector's windowed sinc.", py::arg("volume").noconvert(),
        py::arg("map").noconvert(), py::arg("out").noconvert(), py::arg("threads"), py::arg("cancel") = nullptr);
  m.def("log_polar", &bind_log_polar, "Sample a half spectrum along half a turn at radii in geometric progression.",
        py::arg("power").noconvert(), py::arg("nx"), py::arg("low"), py::arg("high"), py::arg("out").noconvert(),
        py::arg("threads"), py::arg("cancel") = nullptr);
  m.def("displacement_sums", &bind_displacement_sums, "Slopes and bends of a correlation under affine displacements.",
        py::arg("a").noconvert(), py::arg("b").noconvert(), py::arg("axes").noconvert(), py::arg("out").noconvert(),
        py::arg("threads"), py::arg("cancel") = nullptr);
  m.def("fill_missing", &bind_fill_missing,
        "Fill pixels that are not finite from those around, with weights that fade there; whether all are counts.",
        py::arg("images").noconvert(), py::arg("filled").noconvert(), py::arg("weight").noconvert(), py::arg("threads"),
        py::arg("cancel") = nullptr);
}

}  // namespace cryolith::bind
