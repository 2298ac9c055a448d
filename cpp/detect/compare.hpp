// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// 64 elements compared at once, for files compiled once per instruction set: everything is always inlined.
#include <cstdint>

#include "detect/bits.hpp"
#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace cryolith::detect {

// Bit x: a[x] is of one kind with b[x]: equal, or for float within delta. No element may be read beyond a[63], b[63].
CRYOLITH_HD word_t same64(const std::uint8_t* a, const std::uint8_t* b, float) {
#if defined(__AVX512BW__)
  return _mm512_cmpeq_epi8_mask(_mm512_loadu_si512(a), _mm512_loadu_si512(b));
#elif defined(__AVX2__)
  word_t out = 0;
  for (int h = 0; h < 2; ++h) {
    const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(a + 32 * h));
    const __m256i y = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b + 32 * h));
    out |= word_t{static_cast<std::uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(x, y)))} << (32 * h);
  }
  return out;
#else
  word_t out = 0;
  for (int x = 0; x < 64; ++x) out |= word_t{a[x] == b[x]} << x;
  return out;
#endif
}

CRYOLITH_HD word_t same64(const std::uint16_t* a, const std::uint16_t* b, float) {
  word_t out = 0;
#if defined(__AVX512BW__)
  for (int h = 0; h < 2; ++h)
    out |= word_t{_mm512_cmpeq_epi16_mask(_mm512_loadu_si512(a + 32 * h), _mm512_loadu_si512(b + 32 * h))} << (32 * h);
#elif defined(__AVX2__)
  const auto equal = [&](int at) __attribute__((always_inline)) {
    return _mm256_cmpeq_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(a + at)),
                              _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b + at)));
  };
  for (int h = 0; h < 2; ++h) {
    const __m256i packed = _mm256_permute4x64_epi64(_mm256_packs_epi16(equal(32 * h), equal(32 * h + 16)), 0xD8);
    out |= word_t{static_cast<std::uint32_t>(_mm256_movemask_epi8(packed))} << (32 * h);
  }
#else
  for (int x = 0; x < 64; ++x) out |= word_t{a[x] == b[x]} << x;
#endif
  return out;
}

CRYOLITH_HD word_t same64(const std::int32_t* a, const std::int32_t* b, float) {
  word_t out = 0;
#if defined(__AVX512BW__)
  for (int h = 0; h < 4; ++h)
    out |= word_t{_mm512_cmpeq_epi32_mask(_mm512_loadu_si512(a + 16 * h), _mm512_loadu_si512(b + 16 * h))} << (16 * h);
#elif defined(__AVX2__)
  for (int h = 0; h < 8; ++h) {
    const __m256i equal = _mm256_cmpeq_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(a + 8 * h)),
                                             _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b + 8 * h)));
    out |= word_t{static_cast<std::uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(equal)))} << (8 * h);
  }
#else
  for (int x = 0; x < 64; ++x) out |= word_t{a[x] == b[x]} << x;
#endif
  return out;
}

CRYOLITH_HD word_t same64(const float* a, const float* b, float delta) {
  word_t out = 0;
#if defined(__AVX2__)
  const __m256 reach = _mm256_set1_ps(delta), sign = _mm256_set1_ps(-0.0f);
  for (int h = 0; h < 8; ++h) {
    const __m256 apart = _mm256_sub_ps(_mm256_loadu_ps(a + 8 * h), _mm256_loadu_ps(b + 8 * h));
    const __m256 near = _mm256_cmp_ps(_mm256_andnot_ps(sign, apart), reach, _CMP_LE_OQ);
    out |= word_t{static_cast<std::uint32_t>(_mm256_movemask_ps(near))} << (8 * h);
  }
#else
  for (int x = 0; x < 64; ++x) out |= word_t{__builtin_fabsf(a[x] - b[x]) <= delta} << x;
#endif
  return out;
}

// Bit x: low <= values[x] <= high; never for NaN.
CRYOLITH_HD word_t between64(const float* values, float low, float high) {
  word_t out = 0;
#if defined(__AVX512BW__)
  const __m512 least = _mm512_set1_ps(low), most = _mm512_set1_ps(high);
  for (int h = 0; h < 4; ++h) {
    const __m512 v = _mm512_loadu_ps(values + 16 * h);
    out |= word_t{_mm512_mask_cmp_ps_mask(_mm512_cmp_ps_mask(v, least, _CMP_GE_OQ), v, most, _CMP_LE_OQ)} << (16 * h);
  }
#elif defined(__AVX2__)
  const __m256 least = _mm256_set1_ps(low), most = _mm256_set1_ps(high);
  for (int h = 0; h < 8; ++h) {
    const __m256 v = _mm256_loadu_ps(values + 8 * h);
    const __m256 in = _mm256_and_ps(_mm256_cmp_ps(v, least, _CMP_GE_OQ), _mm256_cmp_ps(v, most, _CMP_LE_OQ));
    out |= word_t{static_cast<std::uint32_t>(_mm256_movemask_ps(in))} << (8 * h);
  }
#else
  for (int x = 0; x < 64; ++x) out |= word_t{values[x] >= low && values[x] <= high} << x;
#endif
  return out;
}

}  // namespace cryolith::detect
