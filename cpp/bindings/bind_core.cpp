// SPDX-License-Identifier: BSD-3-Clause
#include <pybind11/stl.h>

#include <string>
#include <vector>

#include "bindings/numpy_view.hpp"
#include "bindings/stages.hpp"
#include "core/dispatch.hpp"
#include "cuda/devices.hpp"

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

struct FoundDevices {
  std::vector<CudaDevice> devices;
  std::string why;  // there are none
};
FoundDevices find_devices() {
  FoundDevices found;
  found.devices = cuda_devices(found.why);
  return found;
}

}  // namespace

void add_core(py::module_& m) {
  py::register_exception_translator(&translate);
  py::class_<CancelToken>(m, "CancelToken", "Ask long work to stop: pass it in, call cancel() from any thread.")
      .def(py::init<>())
      .def("cancel", &CancelToken::cancel, "Stop the work at its next block; it raises cryolith.Cancelled.")
      .def_property_readonly("cancelled", &CancelToken::cancelled, "Whether cancel() was called.");
  m.def("isa", [] { return isa_name(current_isa()); }, "Instruction set in use: baseline, x86-64-v3 or x86-64-v4.");
  py::class_<CudaDevice>(m, "CudaDevice", "One CUDA device.")
      .def_readonly("name", &CudaDevice::name)
      .def_readonly("major", &CudaDevice::major)
      .def_readonly("minor", &CudaDevice::minor)
      .def_readonly("processors", &CudaDevice::processors)
      .def_readonly("memory_bytes", &CudaDevice::memory_bytes);
  m.def(
      "cuda_devices",
      [] {
        const FoundDevices found = find_devices();
        return py::make_tuple(found.devices, found.why);
      },
      "The CUDA devices that can be used and, where there are none, why.");
  m.def("available_threads", &available_threads, "Processors this process may use.");
}

}  // namespace cryolith::bind
