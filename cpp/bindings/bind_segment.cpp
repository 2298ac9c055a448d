// SPDX-License-Identifier: BSD-3-Clause
#include <cstdint>

#include "bindings/numpy_view.hpp"
#include "bindings/stages.hpp"
#include "detect/random_walker.hpp"

namespace cryolith::bind {
namespace {

// Holds on to the arrays that the walker reads.
struct Walker {
  Array<float> values;
  Array<std::int32_t> seeds;
  detect::RandomWalker core;
};

}  // namespace

void add_segment(py::module_& m) {
  using py::arg;
  py::class_<Walker>(m, "RandomWalker")
      .def(py::init([](const Array<float>& values, const Array<std::int32_t>& seeds, double beta, int threads,
                       const CancelToken* cancel) {
             const auto in = read<float, 3>(values, "values");
             const auto from = read<std::int32_t, 3>(seeds, "seeds");
             const Cpu cpu = cpu_from(threads, cancel);
             py::gil_scoped_release no_gil;
             detect::RandomWalker core(cpu, in, from, beta);
             py::gil_scoped_acquire gil;
             return Walker{values, seeds, std::move(core)};
           }),
           arg("values").noconvert(), arg("seeds").noconvert(), arg("beta"), arg("threads") = 0,
           arg("cancel") = nullptr)
      .def(
          "solve",
          [](Walker& walker, std::int32_t label, double tolerance, Array<float>& chance, int threads,
             const CancelToken* cancel) {
            const auto to = write<float, 3>(chance, "chance");
            require_disjoint(read<float, 3>(walker.values, "values"), "values", to, "chance");
            const Cpu cpu = cpu_from(threads, cancel);
            py::gil_scoped_release no_gil;
            return walker.core.solve(cpu, label, tolerance, to);
          },
          arg("label"), arg("tolerance"), arg("chance").noconvert(), arg("threads") = 0, arg("cancel") = nullptr,
          "Write the chances (nz, ny, nx) of one label and return the iterations.");
}

}  // namespace cryolith::bind
