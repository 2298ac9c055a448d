// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// One vector of kLanes float32, for files compiled once per instruction set. Everything is always inlined: a shared
// copy of a function could be one that the processor cannot run. Compilers lower the vector to what they have.
#include <cstdint>
#include <cstring>

namespace cryolith {

typedef float V8 __attribute__((vector_size(32)));

#define CRYOLITH_INLINE static inline __attribute__((always_inline))

typedef std::int32_t V8i __attribute__((vector_size(32)));

CRYOLITH_INLINE void load8(V8& v, const float* p) { std::memcpy(&v, p, sizeof v); }
CRYOLITH_INLINE void store8(float* p, const V8& v) { std::memcpy(p, &v, sizeof v); }
// Past the caches, for memory that nobody reads soon: no line is fetched to be overwritten. p: aligned to 32 bytes.
CRYOLITH_INLINE void stream8(float* p, const V8& v) {
#if defined(__clang__)
  __builtin_nontemporal_store(v, reinterpret_cast<V8*>(p));
#elif defined(__AVX__)
  __builtin_ia32_movntps256(p, v);
#else
  store8(p, v);
#endif
}
CRYOLITH_INLINE void splat8(V8& v, float s) { v = V8{s, s, s, s, s, s, s, s}; }

// out[i] = low half of a[i] times low half of b[i] plus the same of the high halves, halves being int16.
CRYOLITH_INLINE void sum_pairs8(V8i& out, const V8i& a, const V8i& b) {
#if defined(__AVX2__)
  typedef std::int16_t V16s __attribute__((vector_size(32)));
  out = (V8i)__builtin_ia32_pmaddwd256((V16s)a, (V16s)b);
#else
  out = ((a << 16) >> 16) * ((b << 16) >> 16) + (a >> 16) * (b >> 16);
#endif
}

// In place, v[i][j] <-> v[j][i].
CRYOLITH_INLINE void transpose8(V8 v[8]) {
  V8 t[8], u[8];
  for (int i = 0; i < 8; i += 2) {
    t[i] = __builtin_shufflevector(v[i], v[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
    t[i + 1] = __builtin_shufflevector(v[i], v[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
  }
  for (int i = 0; i < 8; i += 4) {
    u[i] = __builtin_shufflevector(t[i], t[i + 2], 0, 1, 8, 9, 4, 5, 12, 13);
    u[i + 1] = __builtin_shufflevector(t[i], t[i + 2], 2, 3, 10, 11, 6, 7, 14, 15);
    u[i + 2] = __builtin_shufflevector(t[i + 1], t[i + 3], 0, 1, 8, 9, 4, 5, 12, 13);
    u[i + 3] = __builtin_shufflevector(t[i + 1], t[i + 3], 2, 3, 10, 11, 6, 7, 14, 15);
  }
  for (int i = 0; i < 4; ++i) {
    v[i] = __builtin_shufflevector(u[i], u[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    v[i + 4] = __builtin_shufflevector(u[i], u[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
  }
}

CRYOLITH_INLINE void reverse8(V8& v) { v = __builtin_shufflevector(v, v, 7, 6, 5, 4, 3, 2, 1, 0); }

// out[i] = sum of v[i], pairwise in a fixed order.
CRYOLITH_INLINE void sums8(V8& out, const V8 v[8]) {
  V8 a[4], b[2];
  for (int i = 0; i < 4; ++i)
    a[i] = __builtin_shufflevector(v[2 * i], v[2 * i + 1], 0, 8, 2, 10, 4, 12, 6, 14) +
           __builtin_shufflevector(v[2 * i], v[2 * i + 1], 1, 9, 3, 11, 5, 13, 7, 15);
  for (int i = 0; i < 2; ++i)
    b[i] = __builtin_shufflevector(a[2 * i], a[2 * i + 1], 0, 1, 8, 9, 4, 5, 12, 13) +
           __builtin_shufflevector(a[2 * i], a[2 * i + 1], 2, 3, 10, 11, 6, 7, 14, 15);
  out = __builtin_shufflevector(b[0], b[1], 0, 1, 2, 3, 8, 9, 10, 11) +
        __builtin_shufflevector(b[0], b[1], 4, 5, 6, 7, 12, 13, 14, 15);
}

}  // namespace cryolith
