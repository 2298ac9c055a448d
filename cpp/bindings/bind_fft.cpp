// SPDX-License-Identifier: BSD-3-Clause
#include <pybind11/complex.h>
#include <pybind11/stl.h>

#include <complex>
#include <memory>
#include <sstream>
#include <variant>
#include <vector>

#include "bindings/numpy_view.hpp"
#include "bindings/stages.hpp"
#include "core/fft.hpp"

namespace cryolith::bind {
namespace {

// A plan and the scratch of its last calls: fresh pages for each inverse took a fifth of its time. The pool is touched
// under the GIL only, so that it needs no lock that a fork could leave locked.
class PlanObject {
 public:
  using Space = std::unique_ptr<fft::Workspace>;

  PlanObject(const std::vector<index_t>& shape, int axes, bool real, bool wide)
      : plan_(wide ? Either(fft::DoublePlan(shape, axes, kind(real))) : Either(fft::Plan(shape, axes, kind(real)))) {}

  template <class T>
  const fft::PlanOf<T>& of() const {
    const auto* plan = std::get_if<fft::PlanOf<T>>(&plan_);
    constexpr bool wide = sizeof(T) == 8;
    require(plan != nullptr, "array: found ", wide ? "float64" : "float32", " or its complex type, this plan is for ",
            wide ? "float32" : "float64");
    return *plan;
  }
  template <class F>
  auto any(const F& f) const {
    return std::visit(f, plan_);
  }
  // Scratch until the end of the caller's scope, where the GIL has to be held again.
  class Lease {
   public:
    explicit Lease(PlanObject& owner) : owner_(owner) {
      if (owner.pool_.empty()) {
        space_ = std::make_unique<fft::Workspace>();
      } else {
        space_ = std::move(owner.pool_.back());
        owner.pool_.pop_back();
      }
    }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    ~Lease() { owner_.pool_.push_back(std::move(space_)); }
    fft::Workspace& space() { return *space_; }

   private:
    PlanObject& owner_;
    Space space_;
  };

 private:
  using Either = std::variant<fft::Plan, fft::DoublePlan>;
  static fft::Kind kind(bool real) { return real ? fft::Kind::real : fft::Kind::complex; }

  Either plan_;
  std::vector<Space> pool_;
};

void require_shape(const std::vector<index_t>& found, const std::vector<index_t>& expected, const char* name) {
  if (found == expected) return;
  const auto words = [](const std::vector<index_t>& shape) {
    std::ostringstream out;
    for (const index_t extent : shape) out << (out.tellp() == 0 ? "" : ", ") << extent;
    return out.str();
  };
  fail(name, ": found shape (", words(found), "), expected (", words(expected), ")");
}

// Both arrays checked; in place if they begin at the same address (the plan checks the rest).
template <class In, class Out>
struct Sides {
  AnyView<const In> in;
  AnyView<Out> out;
  Sides(const AnyArray<In>& from, const std::vector<index_t>& in_shape, AnyArray<Out>& to,
        const std::vector<index_t>& out_shape)
      : in(read_any(from, "array")), out(write_any(to, "out")) {
    require_shape(in.extents, in_shape, "array");
    require_shape(out.extents, out_shape, "out");
    if (static_cast<const void*>(in.data) != static_cast<const void*>(out.data))
      require_disjoint(in, "array", out, "out");
  }
  fft::Strided<const In> source() const { return {in.data, in.strides}; }
  fft::Strided<Out> target() const { return {out.data, out.strides}; }
};

template <class T>
void rfft(PlanObject& object, const AnyArray<T>& array, AnyArray<std::complex<T>>& out, int threads,
          const CancelToken* cancel) {
  const fft::PlanOf<T>& plan = object.of<T>();
  const Sides<T, std::complex<T>> sides(array, plan.shape(), out, plan.spectrum());
  const Cpu cpu = cpu_from(threads, cancel);
  PlanObject::Lease lease(object);
  py::gil_scoped_release no_gil;
  plan.forward(cpu, sides.source(), sides.target(), lease.space());
}

template <class T>
void irfft(PlanObject& object, const AnyArray<std::complex<T>>& array, AnyArray<T>& out, T scale, int threads,
           const CancelToken* cancel) {
  const fft::PlanOf<T>& plan = object.of<T>();
  const Sides<std::complex<T>, T> sides(array, plan.spectrum(), out, plan.shape());
  const Cpu cpu = cpu_from(threads, cancel);
  PlanObject::Lease lease(object);
  py::gil_scoped_release no_gil;
  plan.inverse(cpu, sides.source(), sides.target(), scale, lease.space());
}

template <class T>
void complex_fft(PlanObject& object, const AnyArray<std::complex<T>>& array, AnyArray<std::complex<T>>& out,
                 int threads, const CancelToken* cancel) {
  const fft::PlanOf<T>& plan = object.of<T>();
  const Sides<std::complex<T>, std::complex<T>> sides(array, plan.shape(), out, plan.shape());
  const Cpu cpu = cpu_from(threads, cancel);
  PlanObject::Lease lease(object);
  py::gil_scoped_release no_gil;
  plan.forward(cpu, sides.source(), sides.target(), lease.space());
}

template <class T>
void complex_ifft(PlanObject& object, const AnyArray<std::complex<T>>& array, AnyArray<std::complex<T>>& out, T scale,
                  int threads, const CancelToken* cancel) {
  const fft::PlanOf<T>& plan = object.of<T>();
  const Sides<std::complex<T>, std::complex<T>> sides(array, plan.shape(), out, plan.shape());
  const Cpu cpu = cpu_from(threads, cancel);
  PlanObject::Lease lease(object);
  py::gil_scoped_release no_gil;
  plan.inverse(cpu, sides.source(), sides.target(), scale, lease.space());
}

template <class T>
void add_transforms_of(py::class_<PlanObject>& plan) {
  const auto array = py::arg("array").noconvert(), out = py::arg("out").noconvert();
  const auto threads = py::arg("threads") = 0;
  const auto cancel = py::arg("cancel") = py::none();
  plan.def("rfft", &rfft<T>, "Real forward transform of `array` into `out`.", array, out, threads, cancel)
      .def("irfft", &irfft<T>, "Real inverse transform times `scale` of `array` into `out`.", array, out,
           py::arg("scale"), threads, cancel)
      .def("fft", &complex_fft<T>, "Complex forward transform of `array` into `out`.", array, out, threads, cancel)
      .def("ifft", &complex_ifft<T>, "Complex inverse transform times `scale` of `array` into `out`.", array, out,
           py::arg("scale"), threads, cancel);
}

}  // namespace

void add_fft(py::module_& m) {
  py::class_<PlanObject> plan(
      m, "FftPlan",
      "Transform of the last `axes` dimensions of an array of this shape, float32, or float64 if `wide`: to a half\n"
      "spectrum (real), or complex. Conventions of numpy.fft; inverses are times `scale`. Arrays may have any "
      "strides:\n"
      "other axes are a matter of numpy.moveaxis. `array` is kept, unless `out` begins where it does: in place, a "
      "complex\n"
      "array as itself, a real one in rows that have room for their half spectrum. Scratch is kept for the next call.");
  plan.def(py::init<const std::vector<index_t>&, int, bool, bool>(), py::arg("shape"), py::arg("axes"),
           py::arg("real") = true, py::arg("wide") = false)
      .def_property_readonly(
          "shape", [](const PlanObject& p) { return p.any([](const auto& plan) { return plan.shape(); }); },
          "Of the array.")
      .def_property_readonly(
          "spectrum", [](const PlanObject& p) { return p.any([](const auto& plan) { return plan.spectrum(); }); },
          "Of its transform: real: the last axis is n // 2 + 1.")
      .def_property_readonly(
          "count", [](const PlanObject& p) { return p.any([](const auto& plan) { return plan.count(); }); },
          "Product of the transformed extents.");
  add_transforms_of<float>(plan);
  add_transforms_of<double>(plan);
  m.def("fft_good_size", &fft::good_size, "Smallest length >= n that the transforms are fast for.", py::arg("n"));
}

}  // namespace cryolith::bind
