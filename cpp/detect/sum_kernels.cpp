// SPDX-License-Identifier: BSD-3-Clause
#include "detect/sum_kernels.hpp"

#include "detect/piece.hpp"

namespace cryolith::detect::CRYOLITH_VARIANT {
namespace {

// Of one word of a row: for each direction the voxels whose neighbour there is background.
struct ExitWords {
  word_t own, of[kDirections];
};

CRYOLITH_HD void find_exits(const BitRows& rows, index_t z, index_t y, index_t w, ExitWords& out) {
  const word_t* row = rows.row(z, y) + w;
  const word_t own = out.own = row[0];
  out.of[0] = own & ~(row[0] >> 1 | row[1] << 63);
  for (int s = 0; s < 4; ++s) {
    const word_t* other = row + kRowSteps[s][0] * rows.slice_stride + kRowSteps[s][1] * rows.row_stride;
    out.of[3 * s + 1] = own & ~(other[0] << 1 | other[-1] >> 63);
    out.of[3 * s + 2] = own & ~other[0];
    out.of[3 * s + 3] = own & ~(other[0] >> 1 | other[1] << 63);
  }
}

// Euler characteristic of closed cubes that meet (26): vertices - edges + faces - cubes. Each vertex, edge and face
// counts with the last voxel, in raster order, that it belongs to.
CRYOLITH_HD int euler_of_closed(const ExitWords& words, word_t mask) {
  int sum = -count_ones(words.own & mask);
#pragma GCC unroll 27
  for (int i = 0; i < 27; ++i) {
    const int side[3] = {i / 9 - 1, i / 3 % 3 - 1, i % 3 - 1};
    const int order = (side[0] != 0) + (side[1] != 0) + (side[2] != 0);
    if (order == 0) continue;
    word_t owned = words.own & mask;
#pragma GCC unroll 13
    for (int d = 0; d < kDirections; ++d) {
      bool shares = true;
      for (int k = 0; k < 3; ++k) shares = shares && (kDirection[d][k] == 0 || kDirection[d][k] == side[k]);
      if (shares) owned &= words.of[d];
    }
    sum += order == 2 ? -count_ones(owned) : count_ones(owned);
  }
  return sum;
}

// The same of open cubes that meet by faces (6): cubes - pairs + squares of four - blocks of eight.
CRYOLITH_HD int euler_of_open(const ExitWords& words, word_t mask) {
  const word_t own = words.own & mask;
  const word_t x = own & ~words.of[0], y = own & ~words.of[2], z = own & ~words.of[8];
  const word_t yx = x & y & ~words.of[3], zx = x & z & ~words.of[9], zy = y & z & ~words.of[11];
  const word_t block = yx & zx & zy & ~words.of[12];
  return count_ones(own) - count_ones(x) - count_ones(y) - count_ones(z) + count_ones(yx) + count_ones(zx) +
         count_ones(zy) - count_ones(block);
}

// Faces of the voxels `own` of row (z, y), word w, that lie on the border of the volume.
CRYOLITH_HD void add_border(const index_t* extent, index_t z, index_t y, index_t w, word_t own, Exits& exits) {
  const int n = count_ones(own);
  exits.border[0] += static_cast<std::uint32_t>(n * ((z == 0) + (z == extent[0] - 1)));
  exits.border[1] += static_cast<std::uint32_t>(n * ((y == 0) + (y == extent[1] - 1)));
  const index_t last = extent[2] - 1;
  if (w == 0) exits.border[2] += static_cast<std::uint32_t>(own & 1);
  if (w == last / 64) exits.border[2] += static_cast<std::uint32_t>(own >> (last % 64) & 1);
}

template <int BlockY, int BlockZ>
CRYOLITH_HD void find_first(const PlanePieces& plane, index_t z, index_t y, index_t w, const word_t* bits, word_t mask,
                            index_t& first) {
  for (int q = 0; q < BlockY * BlockZ; ++q)
    if (const word_t found = bits[q] & mask) {
      const index_t row = (z + q / BlockY) * plane.extent[1] + y + q % BlockY;
      const index_t at = row * plane.extent[2] + 64 * w + first_one(found);
      first = at < first ? at : first;
      return;  // later rows lie behind
    }
}

template <int BlockY, int BlockZ>
CRYOLITH_HD void add_intensity(const PlanePieces& plane, index_t y, index_t w, const word_t* bits, word_t mask,
                               bool fresh, Intensity& into) {
  const float* rows[BlockY * BlockZ];
  word_t own[BlockY * BlockZ];
  for (int q = 0; q < BlockY * BlockZ; ++q) {
    rows[q] = plane.intensity + ((q / BlockY) * plane.extent[1] + y + q % BlockY) * plane.extent[2] + 64 * w;
    own[q] = bits[q] & mask;
  }
  for (int q = BlockY * BlockZ - 1; fresh && q >= 0; --q)
    if (own[q]) into.centre = static_cast<double>(rows[q][first_one(own[q])]);
  add_values<BlockY * BlockZ>(rows, own, into);
}

// Asks for the values of the next super-row under word w: four short stretches of far rows are not what the processor
// fetches on its own. Lines without a voxel are left alone.
template <int BlockY, int BlockZ>
CRYOLITH_HD void fetch_ahead(const PlanePieces& plane, index_t z, index_t y, index_t w) {
  for (int q = 0; q < BlockY * BlockZ; ++q) {
    const index_t ahead = y + BlockY + q % BlockY;
    const word_t bits = plane.grid->bits.row(z + q / BlockY, ahead)[w];
    const float* values = plane.intensity + ((q / BlockY) * plane.extent[1] + ahead) * plane.extent[2] + 64 * w;
    for (int line = 0; line < 4; ++line)
      if (bits >> (16 * line) & 0xFFFF) __builtin_prefetch(values + 16 * line);
  }
}

// The voxels of one component in one word of a super-row.
template <int BlockY, int BlockZ>
void add_voxels(const PlanePieces& plane, index_t y, index_t w, const word_t* bits, const ExitWords* words, word_t mask,
                id_t at) {
  const RegionSums& sums = plane.sums;
  const index_t z = plane.super_z * BlockZ;
  if (plane.first) find_first<BlockY, BlockZ>(plane, z, y, w, bits, mask, plane.first[at]);
  if (sums.extent) {
    const bool fresh = sums.extent[at].voxels == 0;
    add_piece<BlockY, BlockZ>(z, y, w, bits, mask, sums.extent[at], sums.moments ? sums.moments + at : nullptr);
    if (sums.intensity) add_intensity<BlockY, BlockZ>(plane, y, w, bits, mask, fresh, sums.intensity[at]);
  }
  if (sums.exits) {
    Exits& into = sums.exits[at];
    for (int d = 0; d < kDirections; ++d) {
      int n = 0;
      for (int q = 0; q < BlockY * BlockZ; ++q) n += count_ones(words[q].of[d] & mask);
      into.count[d] += static_cast<std::uint32_t>(n);
    }
    const bool edge = z == 0 || z + BlockZ >= plane.extent[0] || y == 0 || y + BlockY >= plane.extent[1];
    if (edge || w == 0 || w == plane.grid->words - 1)
      for (int q = 0; q < BlockY * BlockZ; ++q)
        add_border(plane.extent, z + q / BlockY, y + q % BlockY, w, bits[q] & mask, into);
  }
  if (sums.euler)
    for (int q = 0; q < BlockY * BlockZ; ++q)
      sums.euler[at] +=
          plane.grid->connectivity == 26 ? euler_of_closed(words[q], mask) : euler_of_open(words[q], mask);
}

template <int BlockY, int BlockZ>
void add(const PlanePieces& plane) {
  const RunGrid& grid = *plane.grid;
  const index_t z = plane.super_z * BlockZ;
  const bool exits = plane.sums.exits || plane.sums.euler;
  ExitWords words[BlockY * BlockZ] = {};
  for (index_t super_y = 0; super_y < grid.super_ny; ++super_y) {
    const index_t y = super_y * BlockY;
    // Neighbouring runs are often of one component: they are added together, which makes noise half as dear.
    word_t held = 0;
    id_t of = 0;
    each_piece<BlockY, BlockZ>(
        grid, z, y, plane.row_ids[super_y],
        [&](index_t w, const word_t*) __attribute__((always_inline)) {
          if (exits)
            for (int q = 0; q < BlockY * BlockZ; ++q)
              find_exits(grid.bits, z + q / BlockY, y + q % BlockY, w, words[q]);
          if (plane.sums.intensity && super_y + 1 < grid.super_ny) fetch_ahead<BlockY, BlockZ>(plane, z, y, w);
        },
        [&](index_t w, const word_t* bits, word_t mask, id_t run) __attribute__((always_inline)) {
          const id_t at = plane.component[run];
          if (held && at != of) {
            add_voxels<BlockY, BlockZ>(plane, y, w, bits, words, held, of);
            held = 0;
          }
          held |= mask;
          of = at;
        },
        [&](index_t w, const word_t* bits) __attribute__((always_inline)) {
          add_voxels<BlockY, BlockZ>(plane, y, w, bits, words, held, of);
          held = 0;
        });
  }
}

}  // namespace

void add_pieces(const PlanePieces& plane) {
  if (plane.grid->block_z == 2) return add<2, 2>(plane);
  if (plane.grid->block_y == 2) return add<2, 1>(plane);
  add<1, 1>(plane);
}

}  // namespace cryolith::detect::CRYOLITH_VARIANT
