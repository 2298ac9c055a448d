// SPDX-License-Identifier: BSD-3-Clause
#include "align/device_frames.hpp"
#include "align/device_register.hpp"
#include "align/device_stack.hpp"
#include "align/prepare.hpp"
#include "align/register.hpp"
#include "align/stack.hpp"
#include "bindings/numpy_view.hpp"
#include "bindings/stages.hpp"
#include "cuda/device_tensor.hpp"
#include "cuda/devices.hpp"

namespace cryolith::bind {
namespace {

void bind_despike(Array<float> images, Array<index_t> replaced, int threads, const CancelToken* cancel) {
  const auto in = write<float, 3>(images, "images");
  const auto count = write<index_t, 1>(replaced, "replaced");
  require_disjoint(in, "images", count, "replaced");
  const Cpu cpu = cpu_from(threads, cancel);
  py::gil_scoped_release no_gil;
  despike(cpu, in, count);
}

void bind_reduce(const Array<float>& images, const Array<float>& row_weight, const Array<index_t>& row_source,
                 const Array<float>& column_weight, const Array<index_t>& column_source, Array<float> out, int threads,
                 const CancelToken* cancel) {
  const auto in = read<float, 3>(images, "images");
  const AxisMap rows{read<float, 2>(row_weight, "row_weight"), read<index_t, 2>(row_source, "row_source")};
  const AxisMap columns{read<float, 2>(column_weight, "column_weight"),
                        read<index_t, 2>(column_source, "column_source")};
  const auto to = write<float, 3>(out, "out");
  require_disjoint(in, "images", to, "out");
  const Cpu cpu = cpu_from(threads, cancel);
  py::gil_scoped_release no_gil;
  reduce_images(cpu, in, rows, columns, to);
}

void bind_resample(const Array<float>& images, const Array<double>& map, const Array<float>& fill, Array<float> out,
                   int threads, const CancelToken* cancel) {
  const auto in = read<float, 3>(images, "images");
  const auto maps = read<double, 3>(map, "map");
  const auto fills = read<float, 1>(fill, "fill");
  const auto to = write<float, 3>(out, "out");
  require_disjoint(in, "images", to, "out");
  const Cpu cpu = cpu_from(threads, cancel);
  py::gil_scoped_release no_gil;
  resample_images(cpu, in, maps, fills, to);
}

void bind_register(const Array<float>& reference, const Array<float>& moving, Array<double> out, double max_shift,
                   int threads, const CancelToken* cancel) {
  const auto a = read<float, 3>(reference, "reference");
  const auto b = read<float, 3>(moving, "moving");
  const auto to = write<double, 2>(out, "out");
  require_disjoint(a, "reference", to, "out");
  require_disjoint(b, "moving", to, "out");
  const Cpu cpu = cpu_from(threads, cancel);
  py::gil_scoped_release no_gil;
  register_pairs(cpu, a, b, max_shift, to);
}

// Images of the host, or a tensor that lies on the device; one image is a stack of one.
ImageStack stack_of(const py::object& images, const char* name, const std::string& device) {
  if (!py::isinstance<DeviceTensor>(images)) return {read<float, 3>(images.cast<Array<float>>(), name), false};
  const auto& tensor = images.cast<const DeviceTensor&>();
  require(tensor.device() == device_name(device), name, ": found an array on ", tensor.device(), ", expected one on ",
          device_name(device));
  if (tensor.shape().size() != 2) return {tensor.view<const float, 3>(name), true};
  const auto image = tensor.view<const float, 2>(name);
  return {{image.data, {1, image.extent[0], image.extent[1]}}, true};
}

void bind_register_there(const std::string& device, const py::object& reference, const py::object& moving,
                         Array<double> out, double max_shift) {
  const ImageStack a = stack_of(reference, "reference", device), b = stack_of(moving, "moving", device);
  const auto to = write<double, 2>(out, "out");
  py::gil_scoped_release no_gil;
  register_pairs(device, a, b, max_shift, to);
}

ImageStack frames_of(const FrameStack&, const Array<float>& frames) { return {read<float, 3>(frames, "frames")}; }
ImageStack frames_of(const DeviceFrameStack& stack, const py::object& frames) {
  return stack_of(frames, "frames", stack.device());
}

template <class Stack, class Frames>
void stack_look(Stack& stack, index_t first, const Frames& frames, int threads, const CancelToken* cancel) {
  const ImageStack in = frames_of(stack, frames);
  const Cpu cpu = cpu_from(threads, cancel);
  py::gil_scoped_release no_gil;
  stack.look(cpu, first, in);
}

template <class Stack>
void stack_pairs(const Stack& stack, const Array<index_t>& pairs, Array<double> out, int threads,
                 const CancelToken* cancel) {
  const auto in = read<index_t, 2>(pairs, "pairs");
  const auto to = write<double, 2>(out, "out");
  const Cpu cpu = cpu_from(threads, cancel);
  py::gil_scoped_release no_gil;
  stack.pairs(cpu, in, to);
}

template <class Stack, class Frames>
void stack_place(Stack& stack, index_t first, const Frames& frames, const Array<double>& shifts, int threads,
                 const CancelToken* cancel) {
  const ImageStack in = frames_of(stack, frames);
  const auto at = read<double, 2>(shifts, "shifts");
  const Cpu cpu = cpu_from(threads, cancel);
  py::gil_scoped_release no_gil;
  stack.place(cpu, first, in, at);
}

template <class Stack>
void stack_refine(const Stack& stack, Array<double> out, int threads, const CancelToken* cancel) {
  const auto to = write<double, 2>(out, "out");
  const Cpu cpu = cpu_from(threads, cancel);
  py::gil_scoped_release no_gil;
  stack.refine(cpu, to);
}

// Frames: what holds them.
template <class Frames, class Stack>
void add_stack(py::class_<Stack>& stack) {
  stack
      .def("look", &stack_look<Stack, Frames>, "Take frames for `pairs`.", py::arg("first"),
           py::arg("frames").noconvert(), py::arg("threads"), py::arg("cancel") = nullptr)
      .def("pairs", &stack_pairs<Stack>, "Rough shift of the second frame of each pair against the first.",
           py::arg("pairs").noconvert(), py::arg("out").noconvert(), py::arg("threads"), py::arg("cancel") = nullptr)
      .def("place", &stack_place<Stack, Frames>, "Take frames for `refine`, windows on what all share at `shifts`.",
           py::arg("first"), py::arg("frames").noconvert(), py::arg("shifts").noconvert(), py::arg("threads"),
           py::arg("cancel") = nullptr)
      .def("refine", &stack_refine<Stack>, "Each frame against the sum of all others, until none moves.",
           py::arg("out").noconvert(), py::arg("threads"), py::arg("cancel") = nullptr);
}

template <class Sum>
void sum_add(Sum& sum, const Array<float>& frame, double row, double column, int threads, const CancelToken* cancel) {
  const auto in = read<float, 2>(frame, "frame");
  const Cpu cpu = cpu_from(threads, cancel);
  py::gil_scoped_release no_gil;
  sum.add(cpu, in, {row, column});
}

template <class Sum>
void sum_write(Sum& sum, Array<float> out, int threads, const CancelToken* cancel) {
  const auto to = write<float, 2>(out, "out");
  const Cpu cpu = cpu_from(threads, cancel);
  py::gil_scoped_release no_gil;
  sum.write(cpu, to);
}

template <class Sum>
void add_sum(py::class_<Sum>& sum) {
  sum.def("add", &sum_add<Sum>, "Add a frame.", py::arg("frame").noconvert(), py::arg("row"), py::arg("column"),
          py::arg("threads"), py::arg("cancel") = nullptr)
      .def("write", &sum_write<Sum>, "Write the sum.", py::arg("out").noconvert(), py::arg("threads"),
           py::arg("cancel") = nullptr);
}

void add_stacks(py::module_& m) {
  py::class_<FrameStack> stack(m, "FrameStack", "Small spectra of frames of one scene, and their shifts.");
  stack.def(py::init<index_t, index_t, index_t, double>(), py::arg("n"), py::arg("ny"), py::arg("nx"),
            py::arg("max_shift"));
  add_stack<Array<float>>(stack);
  py::class_<DeviceFrameStack> there(m, "DeviceFrameStack", "The same in the memory of a device.");
  there.def(py::init<const std::string&, index_t, index_t, index_t, double>(), py::arg("device"), py::arg("n"),
            py::arg("ny"), py::arg("nx"), py::arg("max_shift"));
  add_stack<py::object>(there);
  py::class_<FrameSum> sum(m, "FrameSum", "Sum of frames moved back by their shifts, in Fourier space.");
  sum.def(py::init<index_t, index_t>(), py::arg("ny"), py::arg("nx"));
  add_sum(sum);
  py::class_<DeviceFrameSum> on_device(m, "DeviceFrameSum", "The same in the memory of a device.");
  on_device.def(py::init(&make_device_frame_sum), py::arg("device"), py::arg("ny"), py::arg("nx"));
  add_sum(on_device);
}

}  // namespace

void add_align(py::module_& m) {
  add_stacks(m);
  m.def("despike", &bind_despike, "Replace hot pixels by the median of their neighbours, in place.",
        py::arg("images").noconvert(), py::arg("replaced").noconvert(), py::arg("threads"),
        py::arg("cancel") = nullptr);
  m.def("reduce_images", &bind_reduce, "Apply one sparse linear map along rows and one along columns.",
        py::arg("images").noconvert(), py::arg("row_weight").noconvert(), py::arg("row_source").noconvert(),
        py::arg("column_weight").noconvert(), py::arg("column_source").noconvert(), py::arg("out").noconvert(),
        py::arg("threads"), py::arg("cancel") = nullptr);
  m.def("resample_images", &bind_resample, "Resample each image through an affine map, bilinear.",
        py::arg("images").noconvert(), py::arg("map").noconvert(), py::arg("fill").noconvert(),
        py::arg("out").noconvert(), py::arg("threads"), py::arg("cancel") = nullptr);
  m.def("register_pairs", &bind_register, "Shift of each moving image against its reference.",
        py::arg("reference").noconvert(), py::arg("moving").noconvert(), py::arg("out").noconvert(),
        py::arg("max_shift"), py::arg("threads"), py::arg("cancel") = nullptr);
  m.def("register_pairs_there", &bind_register_there, "The same on a device, for images of the host or of the device.",
        py::arg("device"), py::arg("reference"), py::arg("moving"), py::arg("out").noconvert(), py::arg("max_shift"));
}

}  // namespace cryolith::bind
