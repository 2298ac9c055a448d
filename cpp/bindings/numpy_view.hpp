// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>

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

// How to run, seen from Python. The poll takes the GIL to let signal handlers run: Ctrl-C ends the work
// with KeyboardInterrupt within a block. Make it while holding the GIL, use it after releasing the GIL.
inline Cpu cpu_from(int threads, const CancelToken* cancel) {
  return Cpu{threads, cancel, [] {
               py::gil_scoped_acquire gil;
               if (PyErr_CheckSignals() != 0) throw py::error_already_set();
             }};
}

}  // namespace cryolith::bind
