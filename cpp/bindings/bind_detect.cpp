// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/numpy_view.hpp"
#include "bindings/stages.hpp"
#include "detect/fill_basins.hpp"

namespace cryolith::bind {
namespace {

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
  m.def("fill_basins", &fill_basins, arg("values").noconvert(), arg("outlet").noconvert(), arg("filled").noconvert(),
        arg("cancel") = nullptr,
        "Fill what is enclosed in values (nz, ny, nx) up to the level at which it runs off to an outlet or a face.");
}

}  // namespace cryolith::bind
