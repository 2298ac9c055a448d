// SPDX-License-Identifier: BSD-3-Clause
#include <pybind11/stl.h>

#include <optional>

#include "bindings/numpy_view.hpp"
#include "bindings/stages.hpp"
#include "detect/fill_basins.hpp"
#include "detect/label.hpp"
#include "detect/region_sums.hpp"

namespace cryolith::bind {
namespace {

index_t label(const Array<std::uint8_t>& mask, int connectivity, Array<std::int32_t>& labels, int threads,
              const CancelToken* cancel) {
  const auto in = read<std::uint8_t, 3>(mask, "mask");
  const auto out = write<std::int32_t, 3>(labels, "labels");
  require_disjoint(in, "mask", out, "labels");
  const Cpu cpu = cpu_from(threads, cancel);
  py::gil_scoped_release no_gil;
  return detect::label(cpu, in, connectivity, out);
}

void region_sums(const Array<std::int32_t>& labels, const std::optional<Array<float>>& intensity, double centre,
                 Array<std::int64_t>& sums, Array<double>& intensities, int threads, const CancelToken* cancel) {
  const auto in = read<std::int32_t, 3>(labels, "labels");
  const auto values = intensity ? read<float, 3>(*intensity, "intensity") : View3<const float>{};
  const auto out = write<std::int64_t, 2>(sums, "sums");
  const auto out_values = write<double, 2>(intensities, "intensities");
  require_disjoint(in, "labels", out, "sums");
  require_disjoint(in, "labels", out_values, "intensities");
  if (intensity) {
    require_disjoint(values, "intensity", out, "sums");
    require_disjoint(values, "intensity", out_values, "intensities");
  }
  const Cpu cpu = cpu_from(threads, cancel);
  py::gil_scoped_release no_gil;
  detect::region_sums(cpu, in, values, centre, out, out_values);
}

void fill_basins(const Array<float>& values, const Array<std::uint8_t>& outlet, Array<float>& filled,
                 const CancelToken* cancel) {
  const auto in = read<float, 3>(values, "values");
  const auto seeds = read<std::uint8_t, 3>(outlet, "outlet");
  const auto out = write<float, 3>(filled, "filled");
  require_disjoint(in, "values", out, "filled");
  require_disjoint(seeds, "outlet", out, "filled");
  const Cpu cpu = cpu_from(1, cancel);
  py::gil_scoped_release no_gil;
  detect::fill_basins(cpu, in, seeds, out);
}

}  // namespace

void add_detect(py::module_& m) {
  using py::arg;
  m.def("label", &label, arg("mask").noconvert(), arg("connectivity"), arg("labels").noconvert(), arg("threads") = 0,
        arg("cancel") = nullptr,
        "Number the connected components of mask (nz, ny, nx) uint8 into labels int32; return how many.");
  m.def("region_sums", &region_sums, arg("labels").noconvert(), arg("intensity").noconvert(), arg("centre"),
        arg("sums").noconvert(), arg("intensities").noconvert(), arg("threads") = 0, arg("cancel") = nullptr,
        "Sum coordinates, box, exits and intensity over the voxels of each label into sums (n, 29) and "
        "intensities (n, 4).");
  m.def("fill_basins", &fill_basins, arg("values").noconvert(), arg("outlet").noconvert(), arg("filled").noconvert(),
        arg("cancel") = nullptr,
        "Fill what is enclosed in values (nz, ny, nx) up to the level at which it runs off to an outlet or a face.");
}

}  // namespace cryolith::bind
