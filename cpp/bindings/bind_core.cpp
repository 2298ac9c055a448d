// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/numpy_view.hpp"
#include "bindings/stages.hpp"
#include "core/dispatch.hpp"

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

}  // namespace

void add_core(py::module_& m) {
  py::register_exception_translator(&translate);
  py::class_<CancelToken>(m, "CancelToken", "Ask long work to stop: pass it in, call cancel() from any thread.")
      .def(py::init<>())
      .def("cancel", &CancelToken::cancel, "Stop the work at its next block; it raises cryolith.Cancelled.")
      .def_property_readonly("cancelled", &CancelToken::cancelled, "Whether cancel() was called.");
  m.def("isa", [] { return isa_name(current_isa()); }, "Instruction set in use: baseline, x86-64-v3 or x86-64-v4.");
  m.def("available_threads", &available_threads, "Processors this process may use.");
}

}  // namespace cryolith::bind
