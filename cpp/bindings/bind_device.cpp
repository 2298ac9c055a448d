// SPDX-License-Identifier: BSD-3-Clause
#include <pybind11/stl.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bindings/numpy_view.hpp"
#include "bindings/stages.hpp"
#include "core/cufft.hpp"
#include "cuda/devices.hpp"
#include "cuda/dlpack.hpp"
#include "cuda/emulated_devices.hpp"

namespace cryolith::bind {
namespace {

constexpr std::string_view kKinds = "iuf..cb";  // numpy's letters in the order of ElementType::Kind

ElementType element_of(const py::dtype& type, const char* name) {
  const auto kind = kKinds.find(type.kind());
  require(kind != std::string_view::npos && type.kind() != '.' && type.itemsize() <= 16, name, ": found dtype ",
          py::str(type).cast<std::string>(), ", expected real or complex numbers");
  return {static_cast<ElementType::Kind>(kind), static_cast<std::uint8_t>(8 * type.itemsize())};
}
std::string dtype_of(ElementType type) { return std::string(1, kKinds[type.kind]) + std::to_string(type.bytes()); }

DeviceTensor to_device(const py::array& array, const std::string& device) {
  require((array.flags() & py::array::c_style) != 0, "array: found an array that is not in C order; pass a copy");
  const ElementType type = element_of(array.dtype(), "array");
  const std::vector<index_t> shape(array.shape(), array.shape() + array.ndim());
  const void* from = array.data();
  py::gil_scoped_release no_gil;
  DeviceTensor out(device, type, shape);
  out.write(from);
  return out;
}

py::array to_numpy(const DeviceTensor& tensor) {
  py::array out(py::dtype(dtype_of(tensor.type())), tensor.shape());
  void* to = out.mutable_data();
  py::gil_scoped_release no_gil;
  tensor.read(to);
  return out;
}

void read_into(const DeviceTensor& tensor, Array<float>& out) {
  const View3<float> to = write<float, 3>(out, "out");
  require(tensor.view<const float, 3>("array").size() == to.size(), "out: found ", to.size(), " elements, expected ",
          tensor.size());
  py::gil_scoped_release no_gil;
  tensor.read(to.data);
}

template <class Managed>
constexpr bool kVersioned = std::is_same_v<Managed, DLManagedTensorVersioned>;
template <class Managed>
constexpr const char* kFresh = kVersioned<Managed> ? "dltensor_versioned" : "dltensor";
template <class Managed>
constexpr const char* kUsed = kVersioned<Managed> ? "used_dltensor_versioned" : "used_dltensor";

template <class Managed>
py::object capsule_of(const DeviceTensor& tensor) {
  Managed* managed = managed_from<Managed>(tensor);
  const auto forget = [](PyObject* capsule) {  // that nobody has taken
    if (!PyCapsule_IsValid(capsule, kFresh<Managed>)) return;
    auto* left = static_cast<Managed*>(PyCapsule_GetPointer(capsule, kFresh<Managed>));
    left->deleter(left);
  };
  return py::reinterpret_steal<py::object>(PyCapsule_New(managed, kFresh<Managed>, forget));
}

py::object to_dlpack(const DeviceTensor& tensor, bool versioned) {
  {
    py::gil_scoped_release no_gil;
    tensor.hand_out();
  }
  return versioned ? capsule_of<DLManagedTensorVersioned>(tensor) : capsule_of<DLManagedTensor>(tensor);
}

// Takes over what is in the capsule, which is the taker's to delete from here on, once.
template <class Managed>
DeviceTensor taken(const py::object& capsule) {
  auto* managed = static_cast<Managed*>(PyCapsule_GetPointer(capsule.ptr(), kFresh<Managed>));
  std::shared_ptr<void> owner(managed, [](void* p) {
    py::gil_scoped_acquire gil;  // the owner may be a Python object
    auto* done = static_cast<Managed*>(p);
    if (done->deleter != nullptr) done->deleter(done);
  });
  PyCapsule_SetName(capsule.ptr(), kUsed<Managed>);
  bool read_only = false;
  if constexpr (kVersioned<Managed>) {
    require(managed->version.major == kDlVersion.major, "array: found DLPack version ", managed->version.major,
            ", expected ", kDlVersion.major);
    read_only = (managed->flags & kDlReadOnly) != 0;
  }
  return tensor_from(managed->dl_tensor, std::move(owner), read_only);
}

DeviceTensor from_dlpack(const py::object& capsule) {
  if (PyCapsule_IsValid(capsule.ptr(), kFresh<DLManagedTensorVersioned>))
    return taken<DLManagedTensorVersioned>(capsule);
  require(PyCapsule_IsValid(capsule.ptr(), kFresh<DLManagedTensor>) != 0,
          "array: found no fresh DLPack capsule, expected what __dlpack__ returns, once");
  return taken<DLManagedTensor>(capsule);
}

std::pair<int, int> dlpack_device_of(const DeviceTensor& tensor) {
  const DLDevice device = dlpack_device(tensor);
  return {device.device_type, device.device_id};
}

}  // namespace

void add_device(py::module_& m) {
  using py::arg;
  py::class_<CudaDevice>(m, "CudaDevice", "One CUDA device.")
      .def_readonly("name", &CudaDevice::name)
      .def_readonly("major", &CudaDevice::major)
      .def_readonly("minor", &CudaDevice::minor)
      .def_readonly("processors", &CudaDevice::processors)
      .def_readonly("memory_bytes", &CudaDevice::memory_bytes);
  m.def(
      "cuda_devices",
      [] {
        std::string why;
        const auto devices = cuda_devices(why);
        return py::make_tuple(devices, why);
      },
      "The CUDA devices that can be used and, where there are none, why.");
  m.def("cufft_version", &cuda::cufft_version, "Version of cuFFT, 12001 for 12.0.1; DeviceError where there is none.");
  m.def("device_name", &device_name, arg("device"), "emulated:0 for emulated, cuda:0 for cuda.");
  m.def("device_names", &device_names, arg("devices"), "The same of several, at least one and each once.");
  py::class_<DeviceTensor>(m, "DeviceTensor", "An array in a device's memory.")
      .def_property_readonly("device", &DeviceTensor::device)
      .def_property_readonly("shape", &DeviceTensor::shape)
      .def_property_readonly("dtype", [](const DeviceTensor& t) { return dtype_of(t.type()); })
      .def_property_readonly("read_only", &DeviceTensor::read_only)
      .def("numpy", &to_numpy, "A copy of it.")
      .def("dlpack", &to_dlpack, arg("versioned"), "A capsule, when all work on the array is done.")
      .def("dlpack_device", &dlpack_device_of);
  m.def(
      "empty_on",
      [](const std::string& device, const std::vector<index_t>& shape) {
        return DeviceTensor(device, element_type<float>(), shape);
      },
      arg("device"), arg("shape"), "A float32 array that nobody has written yet.");
  m.def("read_into", &read_into, arg("array"), arg("out").noconvert(),
        "Copy a float32 array of three axes into one in the host's memory.");
  m.def("to_device", &to_device, arg("array").noconvert(), arg("device"), "A copy on a device.");
  m.def("from_dlpack", &from_dlpack, arg("capsule"), "The array of a DLPack capsule, where it lies.");
  m.def("emulated_memory", &emulated::set_memory, arg("device"), arg("bytes"), arg("largest") = emulated::kMemoryBytes,
        "For tests: the memory of emulated:device from now on, and the largest piece of it.");
  m.def("lose_emulated_after", &emulated::lose_after, arg("device"), arg("operations"),
        "For tests: emulated:device is lost, for good, after that many launches, copies and allocations.");
}

}  // namespace cryolith::bind
