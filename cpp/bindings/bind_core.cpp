// SPDX-License-Identifier: BSD-3-Clause
#include <pybind11/complex.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <complex>
#include <sstream>
#include <vector>

#include "bindings/numpy_view.hpp"
#include "bindings/stages.hpp"
#include "core/dispatch.hpp"
#include "core/fft.hpp"

namespace cryolith::bind {
namespace {

// The exception types live in cryolith.errors, one place for Python and C++ alike.
void translate(std::exception_ptr p) {
  auto raise = [](const char* type, const char* what) {
    py::set_error(py::module_::import("cryolith.errors").attr(type), what);
  };
  try {
    if (p) std::rethrow_exception(p);
  } catch (const ArgumentError& e) {
    raise("InputError", e.what());
  } catch (const DeviceError& e) {
    raise("DeviceError", e.what());
  } catch (const Cancelled& e) {
    raise("Cancelled", e.what());
  }
}

using Complex = std::complex<float>;

// FFT arrays have any number of axes: their shape must be the plan's.
template <class T>
void require_shape(const Array<T>& a, const std::vector<index_t>& shape, const char* name) {
  const bool same =
      static_cast<std::size_t>(a.ndim()) == shape.size() && std::equal(shape.begin(), shape.end(), a.shape());
  if (same) return;
  std::ostringstream found, expected;
  for (index_t i = 0; i < a.ndim(); ++i) found << (i == 0 ? "" : ", ") << a.shape(i);
  for (const index_t extent : shape) expected << (expected.tellp() == 0 ? "" : ", ") << extent;
  require(false, name, ": found shape (", found.str(), "), expected (", expected.str(), ")");
}

void rfft(const fft::Plan& plan, const Array<float>& in, Array<Complex>& out, int threads, const CancelToken* cancel) {
  require_shape(in, plan.shape(), "array");
  require_shape(out, plan.spectrum(), "out");
  const auto from = read_flat(in, "array");
  const auto to = write_flat(out, "out");
  require_disjoint(from, "array", to, "out");
  const Cpu cpu = cpu_from(threads, cancel);
  fft::Workspace scratch;
  py::gil_scoped_release no_gil;
  plan.forward(cpu, from.data, to.data, scratch);
}

void irfft(const fft::Plan& plan, const Array<Complex>& in, Array<float>& out, float scale, int threads,
           const CancelToken* cancel) {
  require_shape(in, plan.spectrum(), "array");
  require_shape(out, plan.shape(), "out");
  const auto from = read_flat(in, "array");
  const auto to = write_flat(out, "out");
  require_disjoint(from, "array", to, "out");
  const Cpu cpu = cpu_from(threads, cancel);
  fft::Workspace scratch;
  py::gil_scoped_release no_gil;
  plan.inverse(cpu, from.data, to.data, scale, scratch);
}

void fft_in_place(const fft::Plan& plan, Array<Complex>& data, bool inverse, float scale, int threads,
                  const CancelToken* cancel) {
  require_shape(data, plan.shape(), "data");
  const auto view = write_flat(data, "data");
  const Cpu cpu = cpu_from(threads, cancel);
  fft::Workspace scratch;
  py::gil_scoped_release no_gil;
  if (inverse)
    plan.inverse(cpu, view.data, scale, scratch);
  else
    plan.forward(cpu, view.data, scratch);
}

void add_fft(py::module_& m) {
  const auto threads = py::arg("threads") = 0;
  const auto cancel = py::arg("cancel") = py::none();
  py::class_<fft::Plan>(
      m, "FftPlan",
      "Transform of the last `axes` dimensions of a C-ordered array of this shape: float32 to a half\n"
      "spectrum (real) or complex64 in place. Conventions of numpy.fft; inverses are times `scale`.")
      .def(py::init([](const std::vector<index_t>& shape, int axes, bool real) {
             return fft::Plan(shape, axes, real ? fft::Kind::real : fft::Kind::complex);
           }),
           py::arg("shape"), py::arg("axes"), py::arg("real") = true)
      .def_property_readonly("shape", &fft::Plan::shape, "Of the array.")
      .def_property_readonly("spectrum", &fft::Plan::spectrum, "Of its transform: real: the last axis is n // 2 + 1.")
      .def_property_readonly("count", &fft::Plan::count, "Product of the transformed extents.")
      .def("rfft", &rfft, "Real forward transform into `out`.", py::arg("array").noconvert(),
           py::arg("out").noconvert(), threads, cancel)
      .def("irfft", &irfft, "Real inverse transform times `scale` into `out`; `array` is kept.",
           py::arg("array").noconvert(), py::arg("out").noconvert(), py::arg("scale"), threads, cancel)
      .def("fft_in_place", &fft_in_place, "Complex transform in place; `scale` multiplies the inverse only.",
           py::arg("data").noconvert(), py::arg("inverse"), py::arg("scale") = 1.0f, threads, cancel);
  m.def("fft_good_size", &fft::good_size, "Smallest length >= n that the transforms are fast for.", py::arg("n"));
}

}  // namespace

void add_core(py::module_& m) {
  py::register_exception_translator(&translate);
  py::class_<CancelToken>(m, "CancelToken", "Ask long work to stop: pass it in, call cancel() from any thread.")
      .def(py::init<>())
      .def("cancel", &CancelToken::cancel, "Stop the work at its next block; it raises cryolith.Cancelled.")
      .def_property_readonly("cancelled", &CancelToken::cancelled, "Whether cancel() was called.");
  m.def("isa", [] { return isa_name(current_isa()); }, "Instruction set in use: baseline, x86-64-v3 or x86-64-v4.");
  m.def("available_threads", &available_threads, "Processors this process may use.");
  add_fft(m);
}

}  // namespace cryolith::bind
