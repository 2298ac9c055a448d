// SPDX-License-Identifier: BSD-3-Clause
#include <pybind11/stl.h>

#include <tuple>
#include <utility>
#include <vector>

#include "bindings/numpy_view.hpp"
#include "bindings/stages.hpp"
#include "core/exact_sum.hpp"
#include "core/statistics.hpp"

namespace cryolith::bind {
namespace {

ExactSum sum_of(const std::vector<double>& parts) {
  ExactSum sum;
  for (double part : parts) sum += part;
  return sum;
}

std::tuple<float, float, index_t, ExactSum, ExactSum> statistics_of(const Array<float>& volume, int threads) {
  const auto v = read<float, 3>(volume, "volume");
  const Cpu cpu = cpu_from(threads, nullptr);
  Statistics found;
  {
    py::gil_scoped_release no_gil;
    found = statistics(cpu, v);
  }
  return {found.low, found.high, found.count, std::move(found.sum), std::move(found.squares)};
}

template <class T>
void halve_into(const Array<T>& volume, Array<T>& half, int threads) {
  const auto v = read<T, 3>(volume, "volume");
  const auto h = write<T, 3>(half, "half");
  for (int i = 0; i < 3; ++i)
    require(h.extent[i] == (v.extent[i] + 1) / 2, "half: found ", h.extent[i], " along axis ", i, ", expected ",
            (v.extent[i] + 1) / 2);
  require_disjoint(v, "volume", h, "half");
  const Cpu cpu = cpu_from(threads, nullptr);
  py::gil_scoped_release no_gil;
  halve<T>(cpu, v, h);
}

template <class T>
void add_halve(py::module_& m) {
  using py::arg;
  m.def("halve", &halve_into<T>, arg("volume").noconvert(), arg("half").noconvert(), arg("threads") = 0,
        "half <- means of the finite values of boxes of 2 x 2 x 2 voxels, of what there is at the far edges.");
}

}  // namespace

void add_statistics(py::module_& m) {
  using py::arg;
  py::class_<ExactSum>(m, "ExactSum",
                       "A sum without rounding: sums of pieces add up to that of the whole, in any order.")
      .def(py::init<>())
      .def(py::init(&sum_of), arg("parts"))
      .def(
          "__add__",
          [](ExactSum a, const ExactSum& b) {
            a += b;
            return a;
          },
          py::is_operator())
      .def("__float__", &ExactSum::value)
      .def_property_readonly("parts", &ExactSum::parts, "Numbers that add up to it, to make it again elsewhere.");
  m.def("statistics", &statistics_of, arg("volume").noconvert(), arg("threads") = 0,
        "Of the finite values: lowest, highest, count, sum and sum of squares; the same for any cut into whole rows.");
  add_halve<float>(m);
  add_halve<double>(m);
}

}  // namespace cryolith::bind
