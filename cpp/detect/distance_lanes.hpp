// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// Vectors of squared distances for distance_kernels.cpp, which is compiled once per instruction set: 64 bytes at a
// time, as one, two or four vectors of what the processor has. Everything is always inlined.
#include <cstdint>
#include <cstring>
#include <limits>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "projection/lanes.hpp"

namespace cryolith::CRYOLITH_VARIANT {
namespace {

#if defined(__AVX512BW__)
#define CRYOLITH_LANE_BYTES 64
#elif defined(__AVX2__)
#define CRYOLITH_LANE_BYTES 32
#else
#define CRYOLITH_LANE_BYTES 16
#endif
constexpr int kLaneParts = 64 / CRYOLITH_LANE_BYTES;

// Squares as 16-bit integers that stop at 65535, which means "too far for this type".
struct Squares16 {
  using T = std::uint16_t;
  typedef T V __attribute__((vector_size(CRYOLITH_LANE_BYTES)));
  static constexpr int lanes = 32;  // in 64 bytes
  static constexpr T far = 65535;

  CRYOLITH_INLINE V splat(T t) { return t - V{}; }
#if defined(__AVX512BW__)
  CRYOLITH_INLINE V min(V a, V b) { return (V)_mm512_min_epu16((__m512i)a, (__m512i)b); }
  CRYOLITH_INLINE V add(V a, V b) { return (V)_mm512_adds_epu16((__m512i)a, (__m512i)b); }
  CRYOLITH_INLINE bool any_above(const V* a, const V* b) {
    return _mm512_cmpgt_epu16_mask((__m512i)a[0], (__m512i)b[0]) != 0;
  }
  // a where left > r, else far
  CRYOLITH_INLINE V where_above(V a, V left, V r) {
    return (V)_mm512_mask_mov_epi16(_mm512_set1_epi16(-1), _mm512_cmpgt_epu16_mask((__m512i)left, (__m512i)r),
                                    (__m512i)a);
  }
#elif defined(__AVX2__)
  CRYOLITH_INLINE V min(V a, V b) { return (V)_mm256_min_epu16((__m256i)a, (__m256i)b); }
  CRYOLITH_INLINE V add(V a, V b) { return (V)_mm256_adds_epu16((__m256i)a, (__m256i)b); }
  CRYOLITH_INLINE bool any_above(const V* a, const V* b) {
    const __m256i over = _mm256_or_si256(_mm256_subs_epu16((__m256i)a[0], (__m256i)b[0]),
                                         _mm256_subs_epu16((__m256i)a[1], (__m256i)b[1]));
    return !_mm256_testz_si256(over, over);
  }
  CRYOLITH_INLINE V where_above(V a, V left, V r) { return a | (V)(min(left, r) == left); }
#elif defined(__SSE2__)
  CRYOLITH_INLINE V min(V a, V b) { return a - (V)_mm_subs_epu16((__m128i)a, (__m128i)b); }
  CRYOLITH_INLINE V add(V a, V b) { return (V)_mm_adds_epu16((__m128i)a, (__m128i)b); }
  CRYOLITH_INLINE bool any_above(const V* a, const V* b) {
    V over = {};
    for (int i = 0; i < kLaneParts; ++i) over |= (V)_mm_subs_epu16((__m128i)a[i], (__m128i)b[i]);
    return _mm_movemask_epi8((__m128i)(over == V{})) != 0xffff;
  }
  CRYOLITH_INLINE V where_above(V a, V left, V r) { return a | (V)(min(left, r) == left); }
#else
  CRYOLITH_INLINE V min(V a, V b) { return a < b ? a : b; }
  CRYOLITH_INLINE V add(V a, V b) { return a + min(b, ~a); }
  CRYOLITH_INLINE bool any_above(const V* a, const V* b) {
    for (int i = 0; i < kLaneParts; ++i)
      for (int l = 0; l < lanes / kLaneParts; ++l)
        if (a[i][l] > b[i][l]) return true;
    return false;
  }
  CRYOLITH_INLINE V where_above(V a, V left, V r) { return a | (V)(left <= r); }
#endif
};

// The same as float32: exact as long as they are whole numbers below 2^24.
struct SquaresFloat {
  using T = float;
  typedef T V __attribute__((vector_size(CRYOLITH_LANE_BYTES)));
  static constexpr int lanes = 16;
  static constexpr T far = std::numeric_limits<float>::infinity();

  CRYOLITH_INLINE V splat(T t) { return t - V{}; }
  CRYOLITH_INLINE V add(V a, V b) { return a + b; }
#if defined(__AVX512BW__)
  // The masked form: GCC 12 warns of what _mm512_min_ps leaves undefined on purpose.
  CRYOLITH_INLINE V min(V a, V b) { return _mm512_mask_min_ps(a, 0xffff, a, b); }
  CRYOLITH_INLINE bool any_above(const V* a, const V* b) { return _mm512_cmp_ps_mask(a[0], b[0], _CMP_GT_OQ) != 0; }
  CRYOLITH_INLINE V where_above(V a, V left, V r) {
    return _mm512_mask_mov_ps(splat(far), _mm512_cmp_ps_mask(left, r, _CMP_GT_OQ), a);
  }
#elif defined(__AVX2__)
  CRYOLITH_INLINE V min(V a, V b) { return _mm256_min_ps(a, b); }
  CRYOLITH_INLINE bool any_above(const V* a, const V* b) {
    const V over = _mm256_or_ps(_mm256_cmp_ps(a[0], b[0], _CMP_GT_OQ), _mm256_cmp_ps(a[1], b[1], _CMP_GT_OQ));
    return _mm256_movemask_ps(over) != 0;
  }
  CRYOLITH_INLINE V where_above(V a, V left, V r) {
    return _mm256_blendv_ps(splat(far), a, _mm256_cmp_ps(left, r, _CMP_GT_OQ));
  }
#else
  typedef std::int32_t Bits __attribute__((vector_size(CRYOLITH_LANE_BYTES)));
  CRYOLITH_INLINE V pick(Bits mask, V a, V b) { return (V)((mask & (Bits)a) | (~mask & (Bits)b)); }
  CRYOLITH_INLINE V min(V a, V b) { return pick(a < b, a, b); }
  CRYOLITH_INLINE bool any_above(const V* a, const V* b) {
    Bits over = {};
    for (int i = 0; i < kLaneParts; ++i) over |= a[i] > b[i];
    return (over[0] | over[1] | over[2] | over[3]) != 0;
  }
  CRYOLITH_INLINE V where_above(V a, V left, V r) { return pick(left > r, a, splat(far)); }
#endif
};

// 64 bytes of K::T.
template <class K>
struct Lanes {
  using T = typename K::T;
  using V = typename K::V;
  static constexpr int width = CRYOLITH_LANE_BYTES / static_cast<int>(sizeof(T));
  V part[kLaneParts];

  CRYOLITH_INLINE void load(Lanes& to, const T* p) {
    for (int i = 0; i < kLaneParts; ++i) std::memcpy(&to.part[i], p + i * width, sizeof(V));
  }
  CRYOLITH_INLINE void store(T* p, const Lanes& from) {
    for (int i = 0; i < kLaneParts; ++i) std::memcpy(p + i * width, &from.part[i], sizeof(V));
  }
};

}  // namespace
}  // namespace cryolith::CRYOLITH_VARIANT
