// SPDX-License-Identifier: BSD-3-Clause
#include "detect/bit_volume.hpp"

#include <algorithm>

#include "detect/row_kernels.hpp"

namespace cryolith::detect {
namespace {

constexpr index_t kSlices = 8;  // in a block of work

template <class Pack>
void each_row(const Cpu& cpu, const index_t* extent, Pack pack) {
  parallel_for(cpu, (extent[0] + kSlices - 1) / kSlices, [&](index_t block, int) {
    for (index_t z = block * kSlices; z < std::min(extent[0], (block + 1) * kSlices); ++z)
      for (index_t y = 0; y < extent[1]; ++y) pack(z, y);
  });
}

}  // namespace

BitVolume::BitVolume(index_t nz, index_t ny, index_t nx)
    : nz_(nz), ny_(ny), nx_(nx), words_((nx + 63) / 64), bits_((nz + 4) * (ny + 4) * (words_ + 2)) {}

void BitVolume::pack(const Cpu& cpu, index_t z0, View3<const std::uint8_t> mask) {
  const auto kernel = CRYOLITH_SELECT(pack_bytes);
  each_row(cpu, mask.extent,
           [&](index_t z, index_t y) { kernel(mask.data + (z * ny_ + y) * nx_, nx_, row(z0 + z, y)); });
}

void BitVolume::pack(const Cpu& cpu, index_t z0, View3<const float> values, float low, float high) {
  const auto kernel = CRYOLITH_SELECT(pack_between);
  each_row(cpu, values.extent,
           [&](index_t z, index_t y) { kernel(values.data + (z * ny_ + y) * nx_, nx_, low, high, row(z0 + z, y)); });
}

void BitVolume::pack_rest(index_t z0, index_t z1, const BitVolume& other) {
  const word_t last = bits_below(static_cast<int>(nx_ - 64 * (words_ - 1)));
  for (index_t z = z0; z < z1; ++z)
    for (index_t y = 0; y < ny_; ++y) {
      const word_t* from = other.row(z, y);
      word_t* to = row(z, y);
      for (index_t w = 0; w < words_; ++w) to[w] = ~from[w];
      to[words_ - 1] &= last;
    }
}

}  // namespace cryolith::detect
