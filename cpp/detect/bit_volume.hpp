// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <cstdint>

#include "core/buffer.hpp"
#include "core/parallel.hpp"
#include "detect/bits.hpp"

namespace cryolith::detect {

// A mask (nz, ny, nx) as one bit per voxel. Zero rows and words lie all around it, so neighbours need no edge cases.
class BitVolume {
 public:
  // Packs `mask`, non-zero is foreground.
  BitVolume(const Cpu& cpu, View3<const std::uint8_t> mask);

  index_t nz() const { return nz_; }
  index_t ny() const { return ny_; }
  index_t nx() const { return nx_; }
  index_t words() const { return words_; }
  // Words of row (z, y), z in [-1, nz + 2], y in [-1, ny + 2]; words -1 and words() may be read and are zero.
  const word_t* row(index_t z, index_t y) const { return bits_.data() + offset(z, y); }

 private:
  index_t offset(index_t z, index_t y) const { return ((z + 1) * (ny_ + 4) + (y + 1)) * (words_ + 2) + 1; }
  void pack_row(const std::uint8_t* values, word_t* row) const;

  index_t nz_, ny_, nx_, words_;
  Buffer<word_t> bits_;
};

}  // namespace cryolith::detect
