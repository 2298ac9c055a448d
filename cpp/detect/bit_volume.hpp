// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <cstdint>
#include <limits>

#include "core/buffer.hpp"
#include "core/parallel.hpp"
#include "detect/bits.hpp"

namespace cryolith::detect {

// A volume (nz, ny, nx) with one bit per voxel, zero at first. Zero rows and words lie all around it, so neighbours
// need no edge cases: rows may be read for z in [-1, nz + 2] and y in [-1, ny + 2], words from -1 to words().
class BitVolume {
 public:
  BitVolume() = default;
  BitVolume(index_t nz, index_t ny, index_t nx);

  index_t nz() const { return nz_; }
  index_t ny() const { return ny_; }
  index_t nx() const { return nx_; }
  index_t words() const { return words_; }
  BitRows rows() const { return {bits_.data() + offset(0, 0), words_ + 2, (ny_ + 4) * (words_ + 2)}; }
  const word_t* row(index_t z, index_t y) const { return bits_.data() + offset(z, y); }
  word_t* row(index_t z, index_t y) { return bits_.data() + offset(z, y); }

  // Slices from z0 on: non-zero is one.
  void pack(const Cpu& cpu, index_t z0, View3<const std::uint8_t> mask);
  // Slices from z0 on: one where low <= value <= high. NaN is zero.
  void pack(const Cpu& cpu, index_t z0, View3<const float> values, float low, float high);
  // Slices [z0, z1) become what those of `other` are not.
  void pack_rest(index_t z0, index_t z1, const BitVolume& other);

 private:
  index_t offset(index_t z, index_t y) const { return ((z + 1) * (ny_ + 4) + (y + 1)) * (words_ + 2) + 1; }

  index_t nz_ = 0, ny_ = 0, nx_ = 0, words_ = 0;
  Buffer<word_t> bits_;
};

}  // namespace cryolith::detect
