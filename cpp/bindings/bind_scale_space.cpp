// SPDX-License-Identifier: BSD-3-Clause
#include <pybind11/stl.h>

#include <complex>
#include <string>
#include <utility>
#include <vector>

#include "bindings/numpy_view.hpp"
#include "bindings/stages.hpp"
#include "detect/device_scale_space.hpp"
#include "detect/gaussian_samples.hpp"
#include "detect/scale_space.hpp"

namespace cryolith::bind {
namespace {

Array<double> table_of(const std::vector<detect::Peak>& found) {
  Array<double> peaks({static_cast<py::ssize_t>(found.size()), py::ssize_t{5}});
  double* row = peaks.mutable_data();
  for (const detect::Peak& peak : found)
    for (const double v : {peak.height, peak.scale, peak.z, peak.y, peak.x}) *row++ = v;
  return peaks;
}

std::pair<Array<double>, Array<double>> scale_space_maxima(const Array<std::complex<float>>& base, index_t nx,
                                                           const Array<double>& decays, const Array<double>& gains,
                                                           Array<float>& fields, index_t margin, float threshold,
                                                           float middle, int threads, const CancelToken* cancel) {
  const detect::ScaleSpace space{read<std::complex<float>, 3>(base, "base"), nx, read<double, 1>(decays, "decays"),
                                 read<double, 1>(gains, "gains"), write<float, 4>(fields, "fields")};
  require_disjoint(space.base, "base", space.fields, "fields");
  Array<double> share(decays.size());
  const auto to = write<double, 1>(share, "share");
  const Cpu cpu = cpu_from(threads, cancel);
  std::vector<detect::Peak> found;
  {
    py::gil_scoped_release no_gil;
    found = detect::scale_space_maxima(cpu, space, margin, threshold, middle, to);
  }
  return {table_of(found), share};
}

std::pair<Array<double>, Array<double>> scale_space_maxima_on(const std::string& device,
                                                              const Array<std::complex<float>>& base, index_t nx,
                                                              const Array<double>& decays, const Array<double>& gains,
                                                              index_t margin, float threshold, float middle) {
  const DeviceScaleSpace space{read<std::complex<float>, 3>(base, "base"),
                               nx,
                               read<double, 1>(decays, "decays"),
                               read<double, 1>(gains, "gains"),
                               margin,
                               threshold,
                               middle};
  Array<double> share(decays.size());
  const auto to = write<double, 1>(share, "share");
  std::vector<detect::Peak> found;
  {
    py::gil_scoped_release no_gil;
    found = cryolith::scale_space_maxima(device, space, to);
  }
  return {table_of(found), share};
}

void spectrum_sums(const Array<float>& weight, index_t nx, Array<double>& sums, int threads,
                   const CancelToken* cancel) {
  const auto in = read<float, 3>(weight, "weight");
  const auto out = write<double, 2>(sums, "sums");
  require_disjoint(in, "weight", out, "sums");
  const Cpu cpu = cpu_from(threads, cancel);
  py::gil_scoped_release no_gil;
  detect::spectrum_sums(cpu, in, nx, out);
}

void subtract_weighted(const Array<std::complex<float>>& base, const Array<float>& weight,
                       Array<std::complex<float>>& rest, int threads, const CancelToken* cancel) {
  const auto from = read<std::complex<float>, 3>(base, "base");
  const auto by = read<float, 3>(weight, "weight");
  const auto out = write<std::complex<float>, 3>(rest, "rest");
  require_disjoint(from, "base", out, "rest");
  require_disjoint(by, "weight", out, "rest");
  const Cpu cpu = cpu_from(threads, cancel);
  py::gil_scoped_release no_gil;
  detect::subtract_weighted(cpu, from, by, out);
}

void gaussian_samples(const Array<float>& field, index_t nx, const Array<double>& places, const Array<double>& widths,
                      Array<double>& samples, int threads, const CancelToken* cancel) {
  const auto in = read<float, 3>(field, "field");
  const auto at = read<double, 2>(places, "places");
  const auto by = read<double, 1>(widths, "widths");
  const auto out = write<double, 2>(samples, "samples");
  require_disjoint(at, "places", out, "samples");
  require_disjoint(by, "widths", out, "samples");
  const Cpu cpu = cpu_from(threads, cancel);
  py::gil_scoped_release no_gil;
  detect::gaussian_samples(cpu, in, nx, at, by, out);
}

void add_gaussians(const Array<double>& places, const Array<double>& widths, const Array<double>& heights,
                   Array<float>& volume, index_t nx, int threads, const CancelToken* cancel) {
  const auto at = read<double, 2>(places, "places");
  const auto by = read<double, 1>(widths, "widths");
  const auto high = read<double, 1>(heights, "heights");
  const auto out = write<float, 3>(volume, "volume");
  const Cpu cpu = cpu_from(threads, cancel);
  py::gil_scoped_release no_gil;
  detect::add_gaussians(cpu, at, by, high, out, nx);
}

}  // namespace

void add_scale_space(py::module_& m) {
  using py::arg;
  m.def(
      "scale_space_maxima", &scale_space_maxima, arg("base").noconvert(), arg("nx"), arg("decays").noconvert(),
      arg("gains").noconvert(), arg("fields").noconvert(), arg("margin"), arg("threshold"), arg("middle"),
      arg("threads") = 0, arg("cancel") = nullptr,
      "Extrema over place and scale of a half spectrum times Gaussians: (n, 5) height, scale index, z, y, x; and the "
      "share of voxels within `middle` of 0 at each scale. Scratch: fields (up to 3 scales, nz, ny, 2 (nx // 2 + 1)).");
  m.def("scale_space_maxima_on", &scale_space_maxima_on, arg("device"), arg("base").noconvert(), arg("nx"),
        arg("decays").noconvert(), arg("gains").noconvert(), arg("margin"), arg("threshold"), arg("middle"),
        "The same on a device.");
  m.def("subtract_weighted", &subtract_weighted, arg("base").noconvert(), arg("weight").noconvert(),
        arg("rest").noconvert(), arg("threads") = 0, arg("cancel") = nullptr,
        "Replace the half spectrum rest by base - rest times weight.");
  m.def("spectrum_sums", &spectrum_sums, arg("weight").noconvert(), arg("nx"), arg("sums").noconvert(),
        arg("threads") = 0, arg("cancel") = nullptr,
        "Sum weight (nz, ny, nx / 2 + 1), alone and times products of k, in bins of |k| into sums (bins, 7).");
  m.def("gaussian_samples", &gaussian_samples, arg("field").noconvert(), arg("nx"), arg("places").noconvert(),
        arg("widths").noconvert(), arg("samples").noconvert(), arg("threads") = 0, arg("cancel") = nullptr,
        "Smooth field (nz, ny, nx or more) by a Gaussian at each place: value, slopes and second derivatives into "
        "samples "
        "(n, 7).");
  m.def("add_gaussians", &add_gaussians, arg("places").noconvert(), arg("widths").noconvert(),
        arg("heights").noconvert(), arg("volume").noconvert(), arg("nx"), arg("threads") = 0, arg("cancel") = nullptr,
        "Add Gaussian blobs to volume (nz, ny, nx or more).");
}

}  // namespace cryolith::bind
