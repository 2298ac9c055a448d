// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <cstdint>

namespace cryolith {

using index_t = std::int64_t;  // every extent and offset: a tomogram passes 2^31 voxels

// Non-owning C-ordered view; extents slowest axis first, as in numpy.
template <class T, int N>
struct View {
  T* data = nullptr;
  index_t extent[N] = {};

  index_t size() const {
    index_t n = 1;
    for (index_t e : extent) n *= e;
    return n;
  }
  operator View<const T, N>() const {
    View<const T, N> v;
    v.data = data;
    for (int i = 0; i < N; ++i) v.extent[i] = extent[i];
    return v;
  }
};
template <class T>
using View1 = View<T, 1>;
template <class T>
using View2 = View<T, 2>;
template <class T>
using View3 = View<T, 3>;

}  // namespace cryolith
