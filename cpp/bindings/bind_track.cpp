// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/numpy_view.hpp"
#include "bindings/stages.hpp"
#include "detect/assignment.hpp"

namespace cryolith::bind {
namespace {

void assign(const Array<index_t>& begins, const Array<index_t>& columns, const Array<double>& costs,
            const Array<double>& alone, index_t n_columns, Array<index_t>& partner, const CancelToken* cancel) {
  const detect::PairCosts pairs{read<index_t, 1>(begins, "begins"), read<index_t, 1>(columns, "columns"),
                                read<double, 1>(costs, "costs")};
  const auto by = read<double, 1>(alone, "alone");
  const auto to = write<index_t, 1>(partner, "partner");
  require_disjoint(pairs.begins, "begins", to, "partner");
  require_disjoint(pairs.columns, "columns", to, "partner");
  const Cpu cpu = cpu_from(1, cancel);
  py::gil_scoped_release no_gil;
  detect::assign(cpu, pairs, by, n_columns, to);
}

}  // namespace

void add_track(py::module_& m) {
  using py::arg;
  m.def("assign", &assign, arg("begins").noconvert(), arg("columns").noconvert(), arg("costs").noconvert(),
        arg("alone").noconvert(), arg("n_columns"), arg("partner").noconvert(), arg("cancel") = nullptr,
        "Give each row a column of its own or none at the least sum of costs; partner (rows) int64, -1 for none.");
}

}  // namespace cryolith::bind
