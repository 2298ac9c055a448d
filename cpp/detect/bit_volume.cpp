// SPDX-License-Identifier: BSD-3-Clause
#include "detect/bit_volume.hpp"

#include <cstring>

namespace cryolith::detect {
namespace {

static_assert(std::endian::native == std::endian::little, "pack_eight reads the first voxel from the lowest byte");

// Eight bytes to eight bits, non-zero to one.
word_t pack_eight(const std::uint8_t* values) {
  constexpr word_t low7 = 0x7f7f7f7f7f7f7f7f;
  word_t v;
  std::memcpy(&v, values, sizeof v);
  const word_t ones = ((((v & low7) + low7) | v) >> 7) & 0x0101010101010101;
  return (ones * 0x0102040810204080) >> 56;  // gathers bit 0 of byte k into bit k of the top byte
}

}  // namespace

BitVolume::BitVolume(const Cpu& cpu, View3<const std::uint8_t> mask)
    : nz_(mask.extent[0]),
      ny_(mask.extent[1]),
      nx_(mask.extent[2]),
      words_((nx_ + 63) / 64),
      bits_((nz_ + 4) * (ny_ + 4) * (words_ + 2)) {
  constexpr index_t slices = 8;
  parallel_for(cpu, (nz_ + slices - 1) / slices, [&](index_t block, int) {
    for (index_t z = block * slices; z < std::min(nz_, (block + 1) * slices); ++z)
      for (index_t y = 0; y < ny_; ++y) pack_row(mask.data + (z * ny_ + y) * nx_, bits_.data() + offset(z, y));
  });
}

void BitVolume::pack_row(const std::uint8_t* values, word_t* row) const {
  index_t x = 0;
  for (; x + 8 <= nx_; x += 8) row[x / 64] |= pack_eight(values + x) << (x % 64);
  for (; x < nx_; ++x) row[x / 64] |= word_t{values[x] != 0} << (x % 64);
}

}  // namespace cryolith::detect
