// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// Connected components of a mask by union-find, in tiles first and then over their borders: Playne & Hawick, IEEE
// Trans. Parallel Distrib. Syst. 29 (2018) 1217; Allegretti, Bolelli & Grana, ibid. 31 (2020) 423. Here what is joined
// are runs of ones in words of 32 voxels along x, as on the CPU (run_labels.hpp): the bits of a word say where its runs
// begin, so only voxels that begin one have a parent, and few of them have anything to join.
//
// A parent is the raster index of a voxel of the same component, not behind its child's; that of a root is its own, and
// a root is the first voxel of its component whatever the order of the joins. After NumberRoots that of a root is minus
// its label.
#include "core/kernel.hpp"
#include "detect/components.kernel.hpp"

namespace cryolith::CRYOLITH_DEVICE {

inline constexpr int kTileDepth = 8, kTileRows = 8, kWordThreads = 256;

// Parents in the memory of the block or of the device, while others change them too.
struct SharedParents {
  Shared<int> data;
  CRYOLITH_DEVICE_CODE int at(int i) const { return load_shared_atomic(data + i); }
  CRYOLITH_DEVICE_CODE int lower(int i, int to) const { return min_shared_atomic(data + i, to); }
};
struct GlobalParents {
  int* data;
  CRYOLITH_DEVICE_CODE int at(int i) const { return load_atomic(data + i); }
  CRYOLITH_DEVICE_CODE int lower(int i, int to) const { return min_atomic(data + i, to); }
};

template <class Parents>
CRYOLITH_DEVICE_CODE int root_of(const Parents& parents, int i) {
  for (int up = parents.at(i); up != i; up = parents.at(i)) i = up;
  return i;
}

// Parents only fall. Where the larger root was given another parent meanwhile, that one is still to be joined.
template <class Parents>
CRYOLITH_DEVICE_CODE void unite(const Parents& parents, int a, int b) {
  while (true) {
    a = root_of(parents, a);
    b = root_of(parents, b);
    if (a == b) return;
    const int low = a < b ? a : b, high = a < b ? b : a;
    const int was = parents.lower(high, low);
    if (was == high) return;
    a = was;
    b = low;
  }
}

CRYOLITH_DEVICE_CODE unsigned starts_of(unsigned row) { return row & ~(row << 1); }
// Where the run begins that holds bit x.
CRYOLITH_DEVICE_CODE int start_of(unsigned row, int x) {
  return highest_bit(starts_of(row) & (0xffffffffu >> (31 - x)));
}

// Where runs of a word meet those of another row's word, once for each pair of runs or little more: at the same x, or
// only at the one before or behind.
struct Contacts {
  unsigned straight, before, behind;
};
CRYOLITH_DEVICE_CODE Contacts contacts_of(unsigned own, unsigned other, int reach) {
  const unsigned met = own & other;
  if (reach == 0) return {met & ~(met << 1), 0, 0};
  return {met & ~(met << 1), own & ~(own << 1) & (other << 1) & ~other, own & ~(own >> 1) & (other >> 1) & ~other};
}

struct MaskShape {
  int nz, ny, nx, words, connectivity;  // words of a row
  CRYOLITH_DEVICE_CODE int rows() const { return nz * ny; }
  CRYOLITH_DEVICE_CODE int voxel(int row, int w, int x) const { return row * nx + 32 * w + x; }
  CRYOLITH_DEVICE_CODE index_t word(int row, int w) const { return index_t{row} * words + w; }
};

// Packs a tile of 8 x 8 words, and joins its runs. grid: words of a row; tiles along y; tiles along z. A warp has the
// rows of one y.
struct LabelTiles {
  static constexpr int kThreads = kWarp * kTileRows, kBlocks = 4;
  static constexpr int kTileRuns = kTileDepth * kTileRows * kWarp;
  static constexpr index_t kSharedBytes = index_t{4} * (kTileRuns + kTileDepth * kTileRows);
  MaskShape shape;
  const unsigned char* mask;
  unsigned* bits;
  int* parents;

  struct Place {
    int lane, y, w, y0, z0;
    Shared<int> parents;
    Shared<unsigned> rows;
  };

  CRYOLITH_DEVICE_CODE void pack(const Place& at) const {
    const int y = at.y0 + at.y, x = kWarp * at.w + at.lane;
    for (int z = 0; z < kTileDepth; ++z) {
      const bool inside = at.z0 + z < shape.nz && y < shape.ny;
      const int row = (at.z0 + z) * shape.ny + y;
      const bool set = inside && x < shape.nx && load<unsigned char>(mask + shape.voxel(row, at.w, at.lane)) != 0;
      const unsigned word = ballot(set);
      const int r = z * kTileRows + at.y;
      if (at.lane == 0) store_shared<unsigned>(at.rows + r, word);
      if (at.lane == 0 && inside) store<unsigned>(bits + shape.word(row, at.w), word);
      if (starts_of(word) >> at.lane & 1) store_shared<int>(at.parents + (r * kWarp + at.lane), r * kWarp + at.lane);
    }
  }

  CRYOLITH_DEVICE_CODE void join(const Place& at) const {
    const SharedParents all{at.parents};
    for (int z = 0; z < kTileDepth; ++z) {
      const int r = z * kTileRows + at.y;
      const auto own = load_shared<unsigned>(at.rows + r);
      for (int s = 0; s < detect::kRowsBefore; ++s) {
        const auto [dz, dy] = detect::row_before(s);
        const int reach = detect::row_reach(shape.connectivity, (dz != 0) + (dy != 0));
        if (reach < 0 || z + dz < 0 || static_cast<unsigned>(at.y + dy) >= kTileRows) continue;
        const int q = r + dz * kTileRows + dy;
        const auto other = load_shared<unsigned>(at.rows + q);
        const Contacts meet = contacts_of(own, other, reach);
        const int start = own >> at.lane & 1 ? r * kWarp + start_of(own, at.lane) : 0;
        if (meet.straight >> at.lane & 1) unite(all, start, q * kWarp + start_of(other, at.lane));
        if (meet.before >> at.lane & 1) unite(all, start, q * kWarp + start_of(other, at.lane - 1));
        if (meet.behind >> at.lane & 1) unite(all, start, q * kWarp + at.lane + 1);
      }
    }
  }

  CRYOLITH_DEVICE_CODE void write(const Place& at) const {
    for (int z = 0; z < kTileDepth; ++z) {
      const int r = z * kTileRows + at.y;
      if ((starts_of(load_shared<unsigned>(at.rows + r)) >> at.lane & 1) == 0) continue;
      int root = r * kWarp + at.lane;
      for (int up = load_shared<int>(at.parents + root); up != root; up = load_shared<int>(at.parents + root))
        root = up;
      const int tile_row = root / kWarp, row = (at.z0 + tile_row / kTileRows) * shape.ny + at.y0 + tile_row % kTileRows;
      store<int>(parents + shape.voxel((at.z0 + z) * shape.ny + at.y0 + at.y, at.w, at.lane),
                 shape.voxel(row, at.w, root % kWarp));
    }
  }

  CRYOLITH_DEVICE_CODE void operator()() const {
    const int thread = static_cast<int>(thread_index().x);
    const auto runs = shared_memory<int>();
    const Place at{thread % kWarp,
                   thread / kWarp,
                   static_cast<int>(block_index().x),
                   static_cast<int>(block_index().y) * kTileRows,
                   static_cast<int>(block_index().z) * kTileDepth,
                   runs,
                   shared_cast<unsigned>(runs + kTileRuns)};
    pack(at);
    sync_block();
    join(at);
    sync_block();
    write(at);
  }
};

// One word for each thread, and the voxels in it that begin a run.
struct WordOf {
  int row, w;
  unsigned own, starts;
};
CRYOLITH_DEVICE_CODE WordOf word_of(const MaskShape& shape, const unsigned* bits, index_t word) {
  if (word >= shape.word(shape.rows(), 0)) return {0, 0, 0, 0};
  const auto own = load<unsigned>(bits + word);
  return {static_cast<int>(word / shape.words), static_cast<int>(word % shape.words), own, starts_of(own)};
}
CRYOLITH_DEVICE_CODE index_t word_index() {
  return index_t{block_index().x} * kWordThreads + static_cast<index_t>(thread_index().x);
}

// Joins over the borders of tiles. grid: words.
struct JoinTiles {
  static constexpr int kThreads = kWordThreads, kBlocks = 4;
  MaskShape shape;
  const unsigned* bits;
  int* parents;

  CRYOLITH_DEVICE_CODE unsigned bits_of(int row, int w) const {
    return w < 0 || w >= shape.words ? 0u : load<unsigned>(bits + shape.word(row, w));
  }
  CRYOLITH_DEVICE_CODE void meet(const WordOf& at, int x, int row, int w, unsigned other, int other_x) const {
    unite(GlobalParents{parents}, shape.voxel(at.row, at.w, start_of(at.own, x)),
          shape.voxel(row, w, start_of(other, other_x)));
  }

  // All contacts with the word beside it in another row.
  CRYOLITH_DEVICE_CODE void meet_word(const WordOf& at, int row, unsigned other, int reach) const {
    const Contacts all = contacts_of(at.own, other, reach);
    for (int dx = -1; dx <= 1; ++dx)
      for (unsigned rest = dx == 0 ? all.straight : dx < 0 ? all.before : all.behind; rest != 0; rest &= rest - 1) {
        const int x = lowest_bit(rest);
        meet(at, x, row, at.w, other, x + dx);
      }
  }

  // Of the words before and behind that one: left out where the word beside it or the own row joins the same runs.
  CRYOLITH_DEVICE_CODE void meet_corners(const WordOf& at, int row, unsigned other) const {
    const unsigned before = bits_of(row, at.w - 1), behind = bits_of(row, at.w + 1);
    if ((at.own & 1) != 0 && (other & 1) == 0 && before >> 31 != 0) meet(at, 0, row, at.w - 1, before, 31);
    if (at.own >> 31 != 0 && other >> 31 == 0 && (behind & 1) != 0) meet(at, 31, row, at.w + 1, behind, 0);
  }

  CRYOLITH_DEVICE_CODE void operator()() const {
    const WordOf at = word_of(shape, bits, word_index());
    if (at.own == 0) return;
    const int z = at.row / shape.ny, y = at.row % shape.ny;
    const unsigned before = bits_of(at.row, at.w - 1);
    if ((at.own & 1) != 0 && before >> 31 != 0) meet(at, 0, at.row, at.w - 1, before, 31);
    for (int s = 0; s < detect::kRowsBefore; ++s) {
      const detect::RowStep step = detect::row_before(s);
      const int z2 = z + step.dz, y2 = y + step.dy;
      const int reach = detect::row_reach(shape.connectivity, (z2 != z) + (y2 != y));
      if (reach < 0 || z2 < 0 || y2 < 0 || y2 >= shape.ny) continue;
      const int row = z2 * shape.ny + y2;
      const unsigned other = bits_of(row, at.w);
      const bool apart = z2 / kTileDepth != z / kTileDepth || y2 / kTileRows != y / kTileRows;
      if (apart) meet_word(at, row, other, reach);
      if (reach > 0) meet_corners(at, row, other);
    }
  }
};

// Sum over the threads of a block before this one; after it the block's shared memory is in use. `total`: of all.
CRYOLITH_DEVICE_CODE int sum_before(int value, Shared<int> warps, int& total) {
  const int thread = static_cast<int>(thread_index().x), lane = thread % kWarp;
  int sum = value;
  for (int d = 1; d < kWarp; d *= 2) {
    const int below = shuffle(sum, lane - d);
    if (lane >= d) sum += below;
  }
  if (lane == kWarp - 1) store_shared<int>(warps + thread / kWarp, sum);
  sync_block();
  int before = 0;
  total = 0;
  for (int w = 0; w < kWordThreads / kWarp; ++w) {
    const auto of_warp = load_shared<int>(warps + w);
    if (w < thread / kWarp) before += of_warp;
    total += of_warp;
  }
  return before + sum - value;
}
inline constexpr index_t kSumBytes = index_t{4} * kWordThreads / kWarp;

CRYOLITH_DEVICE_CODE bool is_root(const int* parents, int voxel) { return load<int>(parents + voxel) == voxel; }

CRYOLITH_DEVICE_CODE int count_roots(const MaskShape& shape, const WordOf& at, const int* parents) {
  int roots = 0;
  for (unsigned rest = at.starts; rest != 0; rest &= rest - 1)
    if (is_root(parents, shape.voxel(at.row, at.w, lowest_bit(rest)))) ++roots;
  return roots;
}

// How many roots the words of each block hold. grid: words.
struct CountRoots {
  static constexpr int kThreads = kWordThreads, kBlocks = 4;
  MaskShape shape;
  const unsigned* bits;
  const int* parents;
  int* counts;

  CRYOLITH_DEVICE_CODE void operator()() const {
    int total = 0;
    sum_before(count_roots(shape, word_of(shape, bits, word_index()), parents), shared_memory<int>(), total);
    if (thread_index().x == 0) store<int>(counts + block_index().x, total);
  }
};

// counts[i] becomes the sum of those before it, counts[n] that of all. One block.
struct SumCounts {
  static constexpr int kThreads = kWordThreads, kBlocks = 1;
  int* counts;
  int n;

  CRYOLITH_DEVICE_CODE void operator()() const {
    const int part = (n + kThreads - 1) / kThreads, first = static_cast<int>(thread_index().x) * part;
    const int end = first + part < n ? first + part : n;
    int own = 0, total = 0;
    for (int i = first; i < end; ++i) own += load<int>(counts + i);
    int sum = sum_before(own, shared_memory<int>(), total);
    for (int i = first; i < end; ++i) {
      const auto count = load<int>(counts + i);
      store<int>(counts + i, sum);
      sum += count;
    }
    if (thread_index().x == 0) store<int>(counts + n, total);
  }
};

// Roots become minus their labels, 1.. in raster order. grid: words.
struct NumberRoots {
  static constexpr int kThreads = kWordThreads, kBlocks = 4;
  MaskShape shape;
  const unsigned* bits;
  const int* counts;
  int* parents;

  CRYOLITH_DEVICE_CODE void operator()() const {
    const WordOf at = word_of(shape, bits, word_index());
    int total = 0;
    int label = sum_before(count_roots(shape, at, parents), shared_memory<int>(), total);
    label += load<int>(counts + block_index().x);
    for (unsigned rest = at.starts; rest != 0; rest &= rest - 1) {
      const int voxel = shape.voxel(at.row, at.w, lowest_bit(rest));
      if (is_root(parents, voxel)) store<int>(parents + voxel, -++label);
    }
  }
};

// grid: words, a warp for each.
struct WriteLabels {
  static constexpr int kThreads = 256, kBlocks = 4, kWords = kThreads / kWarp;
  MaskShape shape;
  const unsigned* bits;
  const int* parents;
  int* labels;

  CRYOLITH_DEVICE_CODE void operator()() const {
    const int thread = static_cast<int>(thread_index().x), lane = thread % kWarp;
    const index_t word = index_t{block_index().x} * kWords + thread / kWarp;
    if (word >= shape.word(shape.rows(), 0)) return;  // the whole warp
    const WordOf at = word_of(shape, bits, word);
    int label = 0;
    if (at.starts >> lane & 1) {
      label = load<int>(parents + shape.voxel(at.row, at.w, lane));
      while (label >= 0) label = load<int>(parents + label);
    }
    const bool set = at.own >> lane & 1;
    label = shuffle(label, set ? start_of(at.own, lane) : lane);
    if (kWarp * at.w + lane < shape.nx) store<int>(labels + shape.voxel(at.row, at.w, lane), set ? -label : 0);
  }
};

}  // namespace cryolith::CRYOLITH_DEVICE
