// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// The 27 voxels about one, as bits: z * 9 + y * 3 + x, each from 0 to 2.
#include <bit>
#include <cstdint>
#include <cstring>

#include "core/buffer.hpp"
#include "core/view.hpp"

namespace cryolith::detect {

using Cube = std::uint32_t;
inline constexpr Cube kAll = (1u << 27) - 1;
inline constexpr Cube kCentre = 1u << 13;
inline constexpr Cube kFaces = (1u << 4) | (1u << 10) | (1u << 12) | (1u << 14) | (1u << 16) | (1u << 22);
inline constexpr Cube kCorners =
    (1u << 0) | (1u << 2) | (1u << 6) | (1u << 8) | (1u << 18) | (1u << 20) | (1u << 24) | (1u << 26);
// Bits that have a neighbour one lower and one higher along x and y.
inline constexpr Cube kNotFirstX = kAll & ~0x1249249u, kNotLastX = kAll & ~(0x1249249u << 2);
inline constexpr Cube kNotFirstY = kAll & ~((7u << 0) | (7u << 9) | (7u << 18));
inline constexpr Cube kNotLastY = kAll & ~((7u << 6) | (7u << 15) | (7u << 24));

inline Cube along_x(Cube c) { return ((c << 1) & kNotFirstX) | ((c >> 1) & kNotLastX); }
inline Cube along_y(Cube c) { return ((c << 3) & kNotFirstY) | ((c >> 3) & kNotLastY); }
inline Cube along_z(Cube c) { return ((c << 9) & kAll) | (c >> 9); }

// All of `room` that is joined to `seed` through it, by 26 neighbours or by 6.
inline Cube joined26(Cube seed, Cube room) {
  for (;;) {
    Cube wide = seed | along_x(seed);
    wide |= along_y(wide);
    wide |= along_z(wide);
    wide &= room;
    if (wide == seed) return seed;
    seed = wide;
  }
}
inline Cube joined6(Cube seed, Cube room) {
  for (;;) {
    const Cube wide = (seed | along_x(seed) | along_y(seed) | along_z(seed)) & room;
    if (wide == seed) return seed;
    seed = wide;
  }
}

// Whether taking the centre away changes no component, tunnel or cavity: what is inside about it is one piece, and what
// is outside and shares a face with it is one piece within the 18 neighbours (Bertrand & Malandain, theorem 1).
inline bool is_simple(Cube inside) {
  inside &= ~kCentre;
  const Cube outside = ~inside & kAll & ~kCentre & ~kCorners;
  const Cube beside = outside & kFaces;
  if (inside == 0 || beside == 0) return false;
  if (joined26(inside & (0u - inside), inside) != inside) return false;
  return (beside & ~joined6(beside & (0u - beside), outside)) == 0;
}

inline bool is_end(Cube inside) {
  inside &= ~kCentre;
  return inside != 0 && (inside & (inside - 1)) == 0;
}

// One bit a voxel, and a layer of zeros all around.
class BitCube {
 public:
  explicit BitCube(const index_t* extent)
      : row_((extent[2] + 2 + 31) / 8), plane_((extent[1] + 2) * row_), bits_((extent[0] + 2) * plane_ + 8) {}

  void set(index_t z, index_t y, index_t x) { at(z, y, x) |= bit(x); }
  void clear(index_t z, index_t y, index_t x) { at(z, y, x) &= static_cast<std::uint8_t>(~bit(x)); }
  bool test(index_t z, index_t y, index_t x) const {
    return ((bits_[place(z, y) + ((x + 1) >> 3)] >> ((x + 1) & 7)) & 1) != 0;
  }
  // The 27 bits about a voxel of the volume.
  Cube around(index_t z, index_t y, index_t x) const {
    Cube out = 0;
    const std::uint8_t* first = bits_.data() + place(z - 1, y - 1) + (x >> 3);
    for (int i = 0; i < 3; ++i)
      for (int j = 0; j < 3; ++j) {
        std::uint16_t two;
        std::memcpy(&two, first + i * plane_ + j * row_, 2);
        out |= ((static_cast<Cube>(two) >> (x & 7)) & 7u) << (9 * i + 3 * j);
      }
    return out;
  }

 private:
  index_t place(index_t z, index_t y) const { return (z + 1) * plane_ + (y + 1) * row_; }
  static std::uint8_t bit(index_t x) { return static_cast<std::uint8_t>(1u << ((x + 1) & 7)); }
  std::uint8_t& at(index_t z, index_t y, index_t x) { return bits_[place(z, y) + ((x + 1) >> 3)]; }

  index_t row_, plane_;
  Buffer<std::uint8_t> bits_;
};

}  // namespace cryolith::detect
