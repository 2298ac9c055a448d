// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <utility>
#include <vector>

#include "core/error.hpp"
#include "core/parallel.hpp"
#include "core/view.hpp"

namespace cryolith::bind {
namespace py = pybind11;

// The one gate for arrays. No forcecast: with .noconvert() on every argument, a wrong dtype, order or byte
// order is a TypeError here, never a silent copy of a 60 GB stack; Python converts once, visibly.
template <class T>
using Array = py::array_t<T, py::array::c_style>;

// numpy calls an array of packed records' fields C-ordered too: an address that is no multiple of the element's size is
// undefined behaviour for the core.
template <class T>
void require_aligned(const Array<T>& a, const char* name) {
  const auto address = reinterpret_cast<std::uintptr_t>(a.data());
  require(address % alignof(T) == 0, name, ": the data lie unaligned in memory; pass a copy");
}

template <class T, int N>
View<const T, N> read(const Array<T>& a, const char* name) {
  require(a.ndim() == N, name, ": found ", a.ndim(), " axes, expected ", N);
  require_aligned(a, name);
  View<const T, N> v;
  v.data = a.data();
  for (int i = 0; i < N; ++i) v.extent[i] = a.shape(i);
  return v;
}

template <class T, int N>
View<T, N> write(Array<T>& a, const char* name) {
  require(a.ndim() == N, name, ": found ", a.ndim(), " axes, expected ", N);
  require(a.writeable(), name, ": the array is read-only; pass one that can be written to");
  require_aligned(a, name);
  View<T, N> v;
  v.data = a.mutable_data();
  for (int i = 0; i < N; ++i) v.extent[i] = a.shape(i);
  return v;
}

// The same for arrays of any number of axes, seen as one line of a.size() elements.
template <class T>
View<const T, 1> read_flat(const Array<T>& a, const char* name) {
  require_aligned(a, name);
  return {a.data(), {a.size()}};
}
template <class T>
View<T, 1> write_flat(Array<T>& a, const char* name) {
  require(a.writeable(), name, ": the array is read-only; pass one that can be written to");
  require_aligned(a, name);
  return {a.mutable_data(), {a.size()}};
}

// An output must not share memory with an input: kernels read and write in any order.
template <class T, class U, int N, int M>
void require_disjoint(const View<T, N>& in, const char* in_name, const View<U, M>& out, const char* out_name) {
  const char* a = reinterpret_cast<const char*>(in.data);
  const char* b = reinterpret_cast<const char*>(out.data);
  const bool apart =
      a + in.size() * static_cast<index_t>(sizeof(T)) <= b || b + out.size() * static_cast<index_t>(sizeof(U)) <= a;
  require(apart, out_name, ": shares memory with ", in_name, "; pass a separate array");
}

// Arrays of any strides, for what can take them as they lie. No forcecast here either.
template <class T>
using AnyArray = py::array_t<T, 0>;

template <class T>
struct AnyView {
  T* data;
  std::vector<index_t> extents, strides;  // strides in elements, of any sign

  // The bytes from the first to past the last element.
  std::pair<const char*, const char*> range() const {
    index_t low = 0, high = 1;
    for (std::size_t d = 0; d < extents.size(); ++d) {
      if (extents[d] == 0) return {reinterpret_cast<const char*>(data), reinterpret_cast<const char*>(data)};
      (strides[d] < 0 ? low : high) += (extents[d] - 1) * strides[d];
    }
    return {reinterpret_cast<const char*>(data + low), reinterpret_cast<const char*>(data + high)};
  }
};

template <class T, class U>
AnyView<T> any_view(const AnyArray<U>& a, T* data, const char* name) {
  const auto address = reinterpret_cast<std::uintptr_t>(data);
  require(address % alignof(T) == 0, name, ": the data lie unaligned in memory; pass a copy");
  AnyView<T> view{data, {}, {}};
  for (index_t d = 0; d < a.ndim(); ++d) {
    constexpr auto size = static_cast<index_t>(sizeof(T));
    require(a.strides(d) % size == 0, name, ": stride ", a.strides(d), " is no multiple of the ", size,
            " bytes of an element; pass a copy");
    view.extents.push_back(a.shape(d));
    view.strides.push_back(a.strides(d) / size);
  }
  return view;
}
template <class T>
AnyView<const T> read_any(const AnyArray<T>& a, const char* name) {
  return any_view<const T>(a, a.data(), name);
}
template <class T>
AnyView<T> write_any(AnyArray<T>& a, const char* name) {
  require(a.writeable(), name, ": the array is read-only; pass one that can be written to");
  AnyView<T> view = any_view<T>(a, a.mutable_data(), name);
  // Every dimension has to step over all that smaller strides reach: a broadcast array would be written twice.
  std::vector<std::pair<index_t, index_t>> steps;
  for (std::size_t d = 0; d < view.extents.size(); ++d)
    if (view.extents[d] > 1) steps.emplace_back(std::abs(view.strides[d]), view.extents[d]);
  std::sort(steps.begin(), steps.end());
  index_t reach = 1;
  for (const auto& [stride, extent] : steps) {
    require(stride >= reach, name, ": elements share memory with each other; pass an array that is no broadcast view");
    reach += (extent - 1) * stride;
  }
  return view;
}
template <class T, class U>
void require_disjoint(const AnyView<T>& in, const char* in_name, const AnyView<U>& out, const char* out_name) {
  const auto [a, a_end] = in.range();
  const auto [b, b_end] = out.range();
  require(a_end <= b || b_end <= a, out_name, ": shares memory with ", in_name,
          ", or lies between its elements; pass a separate array");
}

// How to run, seen from Python. The poll takes the GIL to let signal handlers run: Ctrl-C ends the work
// with KeyboardInterrupt within a block. Make it while holding the GIL, use it after releasing the GIL.
inline Cpu cpu_from(int threads, const CancelToken* cancel) {
  return Cpu{threads, cancel, [] {
               py::gil_scoped_acquire gil;
               if (PyErr_CheckSignals() != 0) throw py::error_already_set();
             }};
}

}  // namespace cryolith::bind
