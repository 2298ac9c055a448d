// SPDX-License-Identifier: BSD-3-Clause
#include <pybind11/stl.h>

#include <atomic>
#include <optional>

#include "bindings/numpy_view.hpp"
#include "bindings/stages.hpp"
#include "detect/components.hpp"
#include "detect/device_components.hpp"
#include "detect/region_sums.hpp"

namespace cryolith::bind {
namespace {

using detect::Element;

template <class T>
constexpr Element kElement = sizeof(T) == 1                    ? Element::u8
                             : sizeof(T) == 2                  ? Element::u16
                             : std::is_same_v<T, std::int32_t> ? Element::i32
                                                               : Element::f32;

View3<const char> as_bytes(const void* data, const index_t* extent) {
  return {static_cast<const char*>(data), {extent[0], extent[1], extent[2]}};
}

using Intensity = std::optional<Array<float>>;
View3<const float> intensity_view(const Intensity& intensity) {
  return intensity ? read<float, 3>(*intensity, "intensity") : View3<const float>{};
}

// Columns of sums, each an array or None.
struct Columns {
  std::optional<Array<std::int64_t>> extent, moments, exits, euler;
  std::optional<Array<double>> intensity;

  detect::RegionColumns views() {
    detect::RegionColumns out;
    if (extent) out.extent = write<std::int64_t, 2>(*extent, "extent");
    if (moments) out.moments = write<std::int64_t, 2>(*moments, "moments");
    if (exits) out.exits = write<std::int64_t, 2>(*exits, "exits");
    if (euler) out.euler = write<std::int64_t, 1>(*euler, "euler");
    if (intensity) out.intensity = write<double, 2>(*intensity, "intensity");
    return out;
  }
  detect::Wanted wanted() const {
    return {extent.has_value(), moments.has_value(), exits.has_value(), euler.has_value(), intensity.has_value()};
  }
};

// Labels (n, 2) and counts (n, 13).
using PairArrays = std::pair<Array<std::int32_t>, Array<std::int64_t>>;
PairArrays as_arrays(const detect::Contacts& contacts) {
  const std::vector<detect::Pair> pairs = contacts.sorted();
  const auto n = static_cast<py::ssize_t>(pairs.size());
  Array<std::int32_t> labels({n, py::ssize_t{2}});
  Array<std::int64_t> counts({n, py::ssize_t{detect::kDirections}});
  std::int32_t* label = labels.mutable_data();
  std::int64_t* count = counts.mutable_data();
  for (const detect::Pair& pair : pairs) {
    *label++ = pair.low;
    *label++ = pair.high;
    count = std::copy(pair.count.begin(), pair.count.end(), count);
  }
  return {labels, counts};
}

std::unique_ptr<DeviceComponents> label_on_device(const Array<std::uint8_t>& mask, int connectivity,
                                                  const std::string& device) {
  const auto in = read<std::uint8_t, 3>(mask, "mask");
  py::gil_scoped_release no_gil;
  return make_device_components(device, in, connectivity);
}

void write_device_labels(const DeviceComponents& self, Array<std::int32_t>& labels) {
  const auto out = write<std::int32_t, 3>(labels, "labels");
  py::gil_scoped_release no_gil;
  self.write(out);
}

// A Components that Python may not use from two threads at once: the GIL is free while it works.
class BoundComponents {
 public:
  BoundComponents(const std::array<index_t, 3>& shape, int connectivity, const std::array<bool, 5>& wanted, bool nested,
                  const std::optional<std::string>& kind, float delta)
      : components_(shape[0], shape[1], shape[2], options(connectivity, wanted, nested, kind, delta)) {}

  template <class Work>
  auto run(Work work) {
    require(!busy_.test_and_set(), "components: in use by another thread; make one for each");
    const struct Release {
      std::atomic_flag& flag;
      ~Release() { flag.clear(); }
    } release{busy_};
    py::gil_scoped_release no_gil;
    return work(components_);
  }

 private:
  static detect::Components::Options options(int connectivity, const std::array<bool, 5>& wanted, bool nested,
                                             const std::optional<std::string>& kind, float delta) {
    detect::Components::Options out;
    out.connectivity = connectivity;
    out.wanted = {wanted[0], wanted[1], wanted[2], wanted[3], wanted[4]};
    out.nested = nested;
    out.valued = kind.has_value();
    out.element = kind == "uint8"    ? Element::u8
                  : kind == "uint16" ? Element::u16
                  : kind == "int32"  ? Element::i32
                                     : Element::f32;
    out.delta = delta;
    return out;
  }

  detect::Components components_;
  std::atomic_flag busy_;
};

void add_mask(BoundComponents& self, const Array<std::uint8_t>& mask, const Intensity& intensity, int threads,
              const CancelToken* cancel) {
  const auto in = read<std::uint8_t, 3>(mask, "mask");
  const auto values = intensity_view(intensity);
  const Cpu cpu = cpu_from(threads, cancel);
  self.run([&](detect::Components& c) { c.add_mask(cpu, in, values); });
}

void add_between(BoundComponents& self, const Array<float>& numbers, float low, float high, const Intensity& intensity,
                 int threads, const CancelToken* cancel) {
  const auto in = read<float, 3>(numbers, "volume");
  const auto values = intensity_view(intensity);
  const Cpu cpu = cpu_from(threads, cancel);
  self.run([&](detect::Components& c) { c.add_between(cpu, in, low, high, values); });
}

template <class T>
void add_values(BoundComponents& self, const Array<T>& labels, const Intensity& intensity, int threads,
                const CancelToken* cancel) {
  const auto in = read<T, 3>(labels, "values");
  const auto values = intensity_view(intensity);
  const Cpu cpu = cpu_from(threads, cancel);
  self.run([&](detect::Components& c) { c.add_values(cpu, kElement<T>, as_bytes(in.data, in.extent), values); });
}

template <class T>
void write_labels(BoundComponents& self, Array<T>& labels, index_t z0, int threads, const CancelToken* cancel) {
  const auto out = write<T, 3>(labels, "labels");
  const Cpu cpu = cpu_from(threads, cancel);
  self.run([&](detect::Components& c) {
    require(out.extent[1] == c.bits().ny() && out.extent[2] == c.bits().nx(), "labels: found slices of ", out.extent[1],
            " x ", out.extent[2], ", expected ", c.bits().ny(), " x ", c.bits().nx());
    c.write(cpu, z0, out.extent[0], kElement<T>, out.data);
  });
}

void sums(BoundComponents& self, Columns columns, int threads, const CancelToken* cancel) {
  auto views = columns.views();
  const Cpu cpu = cpu_from(threads, cancel);
  self.run([&](detect::Components& c) { c.sums(cpu, views); });
}

PairArrays contacts(BoundComponents& self, int threads, const CancelToken* cancel) {
  detect::Contacts out;
  const Cpu cpu = cpu_from(threads, cancel);
  self.run([&](detect::Components& c) {
    detect::RegionColumns none;
    detect::region_sums(cpu, c.slices(), {}, {}, none, &out);
  });
  return as_arrays(out);
}

void nesting(BoundComponents& self, Array<std::int32_t>& enclosing, Array<std::int64_t>& holes) {
  const auto around = write<std::int32_t, 1>(enclosing, "enclosing");
  const auto out = write<std::int64_t, 2>(holes, "holes");
  self.run([&](detect::Components& c) { c.nesting(around, out); });
}

template <class T>
std::optional<PairArrays> region_sums(const Array<T>& labels, index_t regions, const Intensity& intensity,
                                      Columns columns, bool contacts, int threads, const CancelToken* cancel) {
  const auto in = read<T, 3>(labels, "labels");
  const auto values = intensity_view(intensity);
  auto views = columns.views();
  detect::Contacts pairs;
  const Cpu cpu = cpu_from(threads, cancel);
  {
    py::gil_scoped_release no_gil;
    detect::region_sums(cpu, detect::slices_of(kElement<T>, regions, as_bytes(in.data, in.extent)), values,
                        columns.wanted(), views, contacts ? &pairs : nullptr);
  }
  if (!contacts) return std::nullopt;
  return as_arrays(pairs);
}

using py::arg;

template <class T, class Class>
void add_integer(py::module_& m, Class& components) {
  components.def("add_values", &add_values<T>, arg("values").noconvert(), arg("intensity").noconvert(),
                 arg("threads") = 0, arg("cancel") = nullptr);
  components.def("write", &write_labels<T>, arg("labels").noconvert(), arg("z0"), arg("threads") = 0,
                 arg("cancel") = nullptr, "Write the labels from slice z0 on.");
  m.def("region_sums", &region_sums<T>, arg("labels").noconvert(), arg("regions"), arg("intensity").noconvert(),
        arg("columns"), arg("contacts"), arg("threads") = 0, arg("cancel") = nullptr,
        "Sum over the voxels of each label; return the pairs that meet (n, 2) and how often (n, 13) if asked.");
}

}  // namespace

void add_components(py::module_& m) {
  py::class_<Columns>(m, "RegionColumns", "Where sums over regions go; None where they are not wanted.")
      .def(py::init([](std::optional<Array<std::int64_t>> extent, std::optional<Array<std::int64_t>> moments,
                       std::optional<Array<std::int64_t>> exits, std::optional<Array<std::int64_t>> euler,
                       std::optional<Array<double>> intensity) {
             return Columns{extent, moments, exits, euler, intensity};
           }),
           arg("extent").noconvert(), arg("moments").noconvert(), arg("exits").noconvert(), arg("euler").noconvert(),
           arg("intensity").noconvert());
  py::class_<BoundComponents> components(m, "Components", "Connected components of slabs of slices, and their sums.");
  components
      .def(py::init<const std::array<index_t, 3>&, int, const std::array<bool, 5>&, bool,
                    const std::optional<std::string>&, float>(),
           arg("shape"), arg("connectivity"), arg("wanted"), arg("nested"), arg("kind"), arg("delta"))
      .def("add_mask", &add_mask, arg("mask").noconvert(), arg("intensity").noconvert(), arg("threads") = 0,
           arg("cancel") = nullptr)
      .def("add_between", &add_between, arg("volume").noconvert(), arg("low"), arg("high"),
           arg("intensity").noconvert(), arg("threads") = 0, arg("cancel") = nullptr)
      .def("add_values", &add_values<float>, arg("values").noconvert(), arg("intensity").noconvert(),
           arg("threads") = 0, arg("cancel") = nullptr)
      .def(
          "finish", [](BoundComponents& self) { return self.run([](detect::Components& c) { return c.finish(); }); },
          "After the last slab: number the components and return how many.")
      .def("sums", &sums, arg("columns"), arg("threads") = 0, arg("cancel") = nullptr)
      .def("contacts", &contacts, arg("threads") = 0, arg("cancel") = nullptr,
           "Return the pairs of components that meet (n, 2) and how often in each of 13 directions (n, 13).")
      .def("nesting", &nesting, arg("enclosing").noconvert(), arg("holes").noconvert());
  py::class_<DeviceComponents>(m, "DeviceComponents", "Connected components of a mask on a device.")
      .def(py::init(&label_on_device), arg("mask").noconvert(), arg("connectivity"), arg("device"),
           "device: emulated, cuda, cuda:1 ...")
      .def("count", &DeviceComponents::count)
      .def("write", &write_device_labels, arg("labels").noconvert());
  add_integer<std::uint8_t>(m, components);
  add_integer<std::uint16_t>(m, components);
  add_integer<std::int32_t>(m, components);
}

}  // namespace cryolith::bind
