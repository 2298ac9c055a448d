// SPDX-License-Identifier: BSD-3-Clause
#include "detect/write_kernels.hpp"

#include "detect/piece.hpp"

namespace cryolith::detect::CRYOLITH_VARIANT {
namespace {

// out[x] = line[x] under the ones of `bits`, else 0, x < 64.
CRYOLITH_HD void spread(const std::uint8_t* line, word_t bits, std::uint8_t* out) {
#if defined(__AVX512BW__)
  _mm512_storeu_si512(out, _mm512_maskz_loadu_epi8(bits, line));
#elif defined(__AVX2__)
  const __m256i select = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201));
  const __m256i source = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
  for (int h = 0; h < 2; ++h) {  // byte x gets the byte that its bit is in
    const __m256i part = _mm256_shuffle_epi8(_mm256_set1_epi32(static_cast<int>(bits >> (32 * h))), source);
    const __m256i keep = _mm256_cmpeq_epi8(_mm256_and_si256(part, select), select);
    const __m256i values = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(line + 32 * h));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + 32 * h), _mm256_and_si256(keep, values));
  }
#else
  for (int x = 0; x < 64; ++x) out[x] = static_cast<std::uint8_t>(line[x] & -static_cast<int>(bits >> x & 1));
#endif
}
CRYOLITH_HD void spread(const std::uint16_t* line, word_t bits, std::uint16_t* out) {
#if defined(__AVX512BW__)
  for (int h = 0; h < 2; ++h)
    _mm512_storeu_si512(out + 32 * h,
                        _mm512_maskz_loadu_epi16(static_cast<__mmask32>(bits >> (32 * h)), line + 32 * h));
#elif defined(__AVX2__)
  const __m256i select =
      _mm256_setr_epi16(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, -32768);
  for (int h = 0; h < 4; ++h) {
    const __m256i part = _mm256_set1_epi16(static_cast<short>(bits >> (16 * h)));
    const __m256i keep = _mm256_cmpeq_epi16(_mm256_and_si256(part, select), select);
    const __m256i values = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(line + 16 * h));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + 16 * h), _mm256_and_si256(keep, values));
  }
#else
  for (int x = 0; x < 64; ++x) out[x] = static_cast<std::uint16_t>(line[x] & -static_cast<int>(bits >> x & 1));
#endif
}
CRYOLITH_HD void spread(const std::int32_t* line, word_t bits, std::int32_t* out) {
#if defined(__AVX512BW__)
  for (int h = 0; h < 4; ++h)
    _mm512_storeu_si512(out + 16 * h,
                        _mm512_maskz_loadu_epi32(static_cast<__mmask16>(bits >> (16 * h)), line + 16 * h));
#elif defined(__AVX2__)
  const __m256i select = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  for (int h = 0; h < 8; ++h) {
    const __m256i part = _mm256_set1_epi32(static_cast<int>(bits >> (8 * h)));
    const __m256i keep = _mm256_cmpeq_epi32(_mm256_and_si256(part, select), select);
    const __m256i values = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(line + 8 * h));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + 8 * h), _mm256_and_si256(keep, values));
  }
#else
  for (int x = 0; x < 64; ++x) out[x] = line[x] & -static_cast<std::int32_t>(bits >> x & 1);
#endif
}

// Labels of the runs of one word from position x on: later runs overwrite.
template <class T>
CRYOLITH_HD void lay(T* line, int x, int end, T label) {
  constexpr int kStep = 32 / sizeof(T);
  typedef T Lanes __attribute__((vector_size(32)));
  const Lanes lanes = Lanes{} + label;
  for (; x < end; x += kStep) __builtin_memcpy(line + x, &lanes, sizeof lanes);
}

template <class T, int BlockY, int BlockZ>
void write(const PlaneLabels& plane) {
  const RunGrid& grid = *plane.grid;
  const index_t z = plane.super_z * BlockZ;
  alignas(64) T line[64 + 32 / sizeof(T)] = {};
  alignas(64) T tail[64];
  for (index_t super_y = 0; super_y < grid.super_ny; ++super_y) {
    const index_t y = super_y * BlockY;
    T* out[BlockY * BlockZ];
    for (int q = 0; q < BlockY * BlockZ; ++q) {
      T* slice = static_cast<T*>(plane.slices[q / BlockY]);
      out[q] = slice && y + q % BlockY < plane.ny ? slice + (y + q % BlockY) * plane.stride : nullptr;
    }
    index_t next = 0;  // words before it are written
    const auto blank = [&](index_t end) __attribute__((always_inline)) {
      const index_t from = 64 * next, to = 64 * end < plane.nx ? 64 * end : plane.nx;
      for (int q = 0; q < BlockY * BlockZ; ++q)
        if (out[q] && to > from) __builtin_memset(out[q] + from, 0, static_cast<std::size_t>(to - from) * sizeof(T));
    };
    each_piece<BlockY, BlockZ>(
        grid, z, y, plane.row_ids[super_y],
        [&](index_t w, const word_t*) __attribute__((always_inline)) {
          blank(w);
          next = w + 1;
        },
        [&](index_t, const word_t*, word_t mask, id_t run) __attribute__((always_inline)) {
          lay(line, first_one(mask), last_one(mask) + 1, static_cast<T>(plane.labels[plane.component[run]]));
        },
        [&](index_t w, const word_t* bits) __attribute__((always_inline)) {
          const index_t width = plane.nx - 64 * w;
          for (int q = 0; q < BlockY * BlockZ; ++q) {
            if (!out[q]) continue;
            spread(line, bits[q], width < 64 ? tail : out[q] + 64 * w);
            if (width < 64) __builtin_memcpy(out[q] + 64 * w, tail, static_cast<std::size_t>(width) * sizeof(T));
          }
        });
    blank(grid.words);
  }
}

template <class T>
void write_as(const PlaneLabels& plane) {
  if (plane.grid->block_z == 2) return write<T, 2, 2>(plane);
  if (plane.grid->block_y == 2) return write<T, 2, 1>(plane);
  write<T, 1, 1>(plane);
}

}  // namespace

void write_labels(const PlaneLabels& plane) {
  if (plane.element == Element::u8) return write_as<std::uint8_t>(plane);
  if (plane.element == Element::u16) return write_as<std::uint16_t>(plane);
  write_as<std::int32_t>(plane);
}

}  // namespace cryolith::detect::CRYOLITH_VARIANT
