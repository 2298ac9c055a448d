// SPDX-License-Identifier: BSD-3-Clause
#include "detect/row_kernels.hpp"

#include <type_traits>

#include "detect/compare.hpp"

namespace cryolith::detect::CRYOLITH_VARIANT {
namespace {

alignas(64) constexpr std::uint8_t kZeros[64 * sizeof(float)] = {};

template <class T>
void split(const T* row, index_t words, float delta, word_t* bits, word_t* starts) {
  [[maybe_unused]] const T* zeros = reinterpret_cast<const T*>(kZeros);
  word_t before = 0;
  for (index_t w = 0; w < words; ++w) {
    const T* at = row + 64 * w;
    word_t own;
    if constexpr (std::is_same_v<T, float>)
      own = between64(at, -__FLT_MAX__, -__FLT_DENORM_MIN__) | between64(at, __FLT_DENORM_MIN__, __FLT_MAX__);
    else
      own = ~same64(at, zeros, 0);
    const word_t joined = own & (own << 1 | before >> 63) & same64(at, at - 1, delta);
    bits[w] = own;
    starts[w] = own & ~joined;
    before = own;
  }
}

}  // namespace

void pack_bytes(const std::uint8_t* values, index_t n, word_t* row) {
  index_t x = 0;
  for (; x + 64 <= n; x += 64) row[x / 64] = ~same64(values + x, kZeros, 0);
  word_t rest = 0;
  for (index_t i = x; i < n; ++i) rest |= word_t{values[i] != 0} << (i - x);
  if (x < n) row[x / 64] = rest;
}

void pack_between(const float* values, index_t n, float low, float high, word_t* row) {
  index_t x = 0;
  for (; x + 64 <= n; x += 64) row[x / 64] = between64(values + x, low, high);
  word_t rest = 0;
  for (index_t i = x; i < n; ++i) rest |= word_t{values[i] >= low && values[i] <= high} << (i - x);
  if (x < n) row[x / 64] = rest;
}

void split_row(Element element, const void* row, index_t words, float delta, word_t* bits, word_t* starts) {
  switch (element) {
    case Element::u8:
      return split(static_cast<const std::uint8_t*>(row), words, delta, bits, starts);
    case Element::u16:
      return split(static_cast<const std::uint16_t*>(row), words, delta, bits, starts);
    case Element::i32:
      return split(static_cast<const std::int32_t*>(row), words, delta, bits, starts);
    case Element::f32:
      return split(static_cast<const float*>(row), words, delta, bits, starts);
  }
}

}  // namespace cryolith::detect::CRYOLITH_VARIANT
