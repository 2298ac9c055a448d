// SPDX-License-Identifier: BSD-3-Clause
#include <complex>
#include <cstdint>
#include <vector>

#include "bindings/numpy_view.hpp"
#include "bindings/stages.hpp"
#include "detect/maxima.hpp"
#include "detect/oriented.hpp"

namespace cryolith::bind {
namespace {

void oriented_maxima(const Array<std::complex<float>>& base, index_t nx, const Array<double>& shapes,
                     const Array<double>& gains, Array<float>& value, Array<std::int32_t>& which, int threads,
                     const CancelToken* cancel) {
  const detect::OrientedBank bank{read<std::complex<float>, 3>(base, "base"), nx, read<double, 2>(shapes, "shapes"),
                                  read<double, 1>(gains, "gains")};
  const auto out = write<float, 3>(value, "value");
  const auto whose = write<std::int32_t, 3>(which, "which");
  require_disjoint(bank.base, "base", out, "value");
  require_disjoint(bank.base, "base", whose, "which");
  const Cpu cpu = cpu_from(threads, cancel);
  py::gil_scoped_release no_gil;
  detect::oriented_maxima(cpu, bank, out, whose);
}

void oriented_sums(const Array<float>& weight, index_t nx, const Array<double>& shapes, const Array<double>& axes,
                   bool across, double reach, Array<double>& sums, Array<double>& profile, int threads,
                   const CancelToken* cancel) {
  const detect::OrientedSums in{read<float, 3>(weight, "weight"), nx,     read<double, 2>(shapes, "shapes"),
                                read<double, 2>(axes, "axes"),    across, reach};
  const auto out = write<double, 2>(sums, "sums");
  const auto by = write<double, 2>(profile, "profile");
  require_disjoint(out, "sums", by, "profile");
  require_disjoint(in.shapes, "shapes", out, "sums");
  const Cpu cpu = cpu_from(threads, cancel);
  py::gil_scoped_release no_gil;
  detect::oriented_sums(cpu, in, out, by);
}

void oriented_samples(const Array<float>& field, const Array<double>& places, const Array<double>& shapes,
                      Array<double>& samples, int threads, const CancelToken* cancel) {
  const auto in = read<float, 3>(field, "field");
  const auto at = read<double, 2>(places, "places");
  const auto by = read<double, 2>(shapes, "shapes");
  const auto out = write<double, 1>(samples, "samples");
  require_disjoint(at, "places", out, "samples");
  require_disjoint(by, "shapes", out, "samples");
  const Cpu cpu = cpu_from(threads, cancel);
  py::gil_scoped_release no_gil;
  detect::oriented_samples(cpu, in, at, by, out);
}

void spline_samples(const Array<float>& coefficients, const Array<double>& places, Array<double>& samples, int threads,
                    const CancelToken* cancel) {
  const auto in = read<float, 3>(coefficients, "coefficients");
  const auto at = read<double, 2>(places, "places");
  const auto out = write<double, 1>(samples, "samples");
  require_disjoint(at, "places", out, "samples");
  const Cpu cpu = cpu_from(threads, cancel);
  py::gil_scoped_release no_gil;
  detect::spline_samples(cpu, in, at, out);
}

Array<double> volume_extrema(const Array<float>& field, index_t margin, float threshold, int threads,
                             const CancelToken* cancel) {
  const auto in = read<float, 3>(field, "field");
  const Cpu cpu = cpu_from(threads, cancel);
  std::vector<detect::Peak> found;
  {
    py::gil_scoped_release no_gil;
    detect::scale_maxima(cpu, {nullptr, in.data, nullptr, in.extent[2]}, in.extent, margin, 0.0, threshold, 0.0f,
                         found);
  }
  Array<double> peaks({static_cast<py::ssize_t>(found.size()), py::ssize_t{4}});
  double* row = peaks.mutable_data();
  for (const detect::Peak& peak : found)
    for (const double v : {peak.height, peak.z, peak.y, peak.x}) *row++ = v;
  return peaks;
}

}  // namespace

void add_oriented(py::module_& m) {
  using py::arg;
  m.def(
      "oriented_maxima", &oriented_maxima, arg("base").noconvert(), arg("nx"), arg("shapes").noconvert(),
      arg("gains").noconvert(), arg("value").noconvert(), arg("which").noconvert(), arg("threads") = 0,
      arg("cancel") = nullptr,
      "At each voxel the value of the largest magnitude over a half spectrum times anisotropic Gaussians, and whose.");
  m.def("oriented_sums", &oriented_sums, arg("weight").noconvert(), arg("nx"), arg("shapes").noconvert(),
        arg("axes").noconvert(), arg("across"), arg("reach"), arg("sums").noconvert(), arg("profile").noconvert(),
        arg("threads") = 0, arg("cancel") = nullptr,
        "Sums of an even weight times anisotropic Gaussians: moments of k, and by |k| along or across an axis.");
  m.def("oriented_samples", &oriented_samples, arg("field").noconvert(), arg("places").noconvert(),
        arg("shapes").noconvert(), arg("samples").noconvert(), arg("threads") = 0, arg("cancel") = nullptr,
        "A field smoothed by an anisotropic Gaussian at each of some places.");
  m.def("spline_samples", &spline_samples, arg("coefficients").noconvert(), arg("places").noconvert(),
        arg("samples").noconvert(), arg("threads") = 0, arg("cancel") = nullptr,
        "A periodic sum of cubic B-splines at each of some places.");
  m.def("volume_extrema", &volume_extrema, arg("field").noconvert(), arg("margin"), arg("threshold"),
        arg("threads") = 0, arg("cancel") = nullptr,
        "Extrema of a field beyond a threshold in magnitude: (n, 4) height, z, y, x.");
}

}  // namespace cryolith::bind
