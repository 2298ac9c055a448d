// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// The only header that knows which compiler is running.
#if defined(__CUDACC__)
#define CRYOLITH_HD __host__ __device__ __forceinline__
#else
#define CRYOLITH_HD inline __attribute__((always_inline))
#endif

namespace cryolith {

// std::max and std::min, which device code has not; NaN comes out as from those.
template <class T>
CRYOLITH_HD T larger(T a, T b) {
  return a < b ? b : a;
}
template <class T>
CRYOLITH_HD T lesser(T a, T b) {
  return b < a ? b : a;
}

// How a loop body that CPU and devices share reads and writes its arrays: as they lie. The emulation's own
// (core/kernel.hpp) checks each access.
struct PlainMemory {
  template <class T>
  static CRYOLITH_HD T read(const T* p) {
    return *p;
  }
  template <class T>
  static CRYOLITH_HD void write(T* p, T v) {
    *p = v;
  }
};

}  // namespace cryolith
