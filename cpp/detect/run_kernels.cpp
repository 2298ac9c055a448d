// SPDX-License-Identifier: BSD-3-Clause
#include "detect/run_kernels.hpp"

#include "detect/compare.hpp"
#include "detect/components.kernel.hpp"

namespace cryolith::detect::CRYOLITH_VARIANT {
namespace {

id_t find_root(id_t* parent, id_t i) {
  while (parent[i] != i) i = parent[i] = parent[parent[i]];
  return i;
}

// The smaller root wins: a root is the first run of its set.
CRYOLITH_HD void unite(const RunJoin& join, id_t own, id_t before) {
  id_t a = join.own_map ? join.own_map[own] + join.own_offset : own;
  id_t b = join.before_map ? join.before_map[before] + join.before_offset : before;
  a = find_root(join.parent, a);
  b = find_root(join.parent, b);
  if (a < b)
    join.parent[b] = a;
  else
    join.parent[a] = b;
}

// The runs of one super-row.
struct Runs {
  const word_t* bits;
  const word_t* starts;
  const id_t* ids;
  // The run that holds bit x of word w, which is set.
  CRYOLITH_HD id_t at(index_t w, int x) const {
    return ids[w] + static_cast<id_t>(count_ones(starts[w] & bits_upto(x))) - 1;
  }
};

CRYOLITH_HD Runs runs_of(const RunGrid& grid, const RunPlane& plane, index_t super_y) {
  const index_t at = super_y * (grid.words + 2) + 1;
  return {plane.bits + at, plane.starts + at, plane.ids + at};
}

// Joins the runs of `a` with the runs of `b` wherever a voxel of one of a's rows meets one of b's rows, |dx| <= Reach.
template <int Reach>
void touch(index_t words, const Runs& a, const word_t* own1, const word_t* own2, const Runs& b, const word_t* other1,
           const word_t* other2, const RunJoin& join) {
  word_t other = other1[0] | other2[0], other_before = 0;
  for (index_t w = 0; w < words; ++w) {
    const word_t other_after = other1[w + 1] | other2[w + 1];
    word_t left = 0, right = 0;
    if constexpr (Reach > 0) {
      left = other << 1 | other_before >> 63;
      right = other >> 1 | other_after << 63;
    }
    word_t contact = (own1[w] | own2[w]) & (other | left | right);
    other_before = other;
    other = other_after;
    const word_t gap = ~(a.bits[w] & b.bits[w]);
    while (contact) {
      const int x = first_one(contact);
      const word_t bit = word_t{1} << x;
      const id_t run = a.at(w, x);
      if (b.bits[w] & bit) {
        unite(join, run, b.at(w, x));
        const word_t end = gap & ~(bit - 1);  // the same pair of runs up to where either of them ends
        if (!end) break;
        contact &= ~word_t{0} << first_one(end);
      } else {  // b has a hole here: its runs to the left and to the right may differ
        const id_t next = b.ids[w] + static_cast<id_t>(count_ones(b.starts[w] & (bit - 1)));
        if (left & bit) unite(join, run, next - 1);
        if (right & bit) unite(join, run, x < 63 ? next : b.ids[w + 1]);
        contact &= contact - 1;
      }
    }
  }
}

void touch_rows_of_bits(const RunGrid& grid, index_t super_z, const RunPlane& plane, const RunJoin& join) {
  const BitRows& rows = grid.bits;
  const index_t z = super_z * grid.block_z;
  for (index_t super_y = 1; super_y < grid.super_ny; ++super_y) {
    const index_t y = super_y * grid.block_y;
    const word_t *here = rows.row(z, y), *above = rows.row(z, y - 1);
    const Runs a = runs_of(grid, plane, super_y), b = runs_of(grid, plane, super_y - 1);
    if (grid.connectivity == 26)
      touch<1>(grid.words, a, here, rows.row(z + 1, y), b, above, rows.row(z + 1, y - 1), join);
    else if (grid.connectivity == 18)
      touch<1>(grid.words, a, here, here, b, above, above, join);
    else
      touch<0>(grid.words, a, here, here, b, above, above, join);
  }
}

void touch_planes_of_bits(const RunGrid& grid, index_t super_z, const RunPlane& plane, const RunPlane& before,
                          const RunJoin& join) {
  const BitRows& rows = grid.bits;
  const index_t z = super_z * grid.block_z, words = grid.words;
  for (index_t super_y = 0; super_y < grid.super_ny; ++super_y) {
    const index_t y = super_y * grid.block_y;
    const word_t *here = rows.row(z, y), *next = rows.row(z, y + 1);
    const word_t *below = rows.row(z - 1, y), *below_next = rows.row(z - 1, y + 1);
    const word_t *below_last = rows.row(z - 1, y - 1), *below_after = rows.row(z - 1, y + 2);
    const Runs a = runs_of(grid, plane, super_y), b = runs_of(grid, before, super_y);
    const bool has_last = super_y > 0, has_after = super_y + 1 < grid.super_ny;
    const Runs last = runs_of(grid, before, has_last ? super_y - 1 : super_y);
    const Runs after = runs_of(grid, before, has_after ? super_y + 1 : super_y);
    if (grid.connectivity == 26) {
      touch<1>(words, a, here, next, b, below, below_next, join);
      if (has_last) touch<1>(words, a, here, here, last, below_last, below_last, join);
      if (has_after) touch<1>(words, a, next, next, after, below_after, below_after, join);
    } else if (grid.connectivity == 18) {
      touch<1>(words, a, here, here, b, below, below, join);
      touch<1>(words, a, next, next, b, below_next, below_next, join);
      touch<0>(words, a, here, here, b, below_next, below_next, join);
      touch<0>(words, a, next, next, b, below, below, join);
      if (has_last) touch<0>(words, a, here, here, last, below_last, below_last, join);
      if (has_after) touch<0>(words, a, next, next, after, below_after, below_after, join);
    } else {
      touch<0>(words, a, here, here, b, below, below, join);
    }
  }
}

// Joins runs of row `a` (values va) with runs of row `b` (values vb) where voxels of one kind meet, |dx| <= reach.
template <class T>
void touch_values(const RunGrid& grid, const Runs& a, const T* va, const Runs& b, const T* vb, int reach,
                  const RunJoin& join) {
  word_t met_before = 0;
  for (index_t w = 0; w < grid.words; ++w) {
    const word_t own = a.bits[w];
    if (!own) {
      met_before = 0;
      continue;
    }
    const T *pa = va + 64 * w, *pb = vb + 64 * w;
    const word_t met = own & b.bits[w] & same64(pa, pb, grid.delta);
    // Further along a contact the runs are the same ones unless one of them began anew.
    const word_t fresh = a.starts[w] | b.starts[w] | ~(met << 1 | met_before >> 63) | 1;
    for (word_t rest = met & fresh; rest; rest &= rest - 1) {
      const int x = first_one(rest);
      unite(join, a.at(w, x), b.at(w, x));
    }
    met_before = met;
    if (reach == 0) continue;
    const word_t after_starts = b.starts[w] >> 1 | b.starts[w + 1] << 63;
    const word_t left = own & (b.bits[w] << 1 | b.bits[w - 1] >> 63) & same64(pa, pb - 1, grid.delta);
    const word_t right = own & (b.bits[w] >> 1 | b.bits[w + 1] << 63) & same64(pa, pb + 1, grid.delta);
    for (word_t rest = left & ~(met & ~b.starts[w]); rest; rest &= rest - 1) {
      const int x = first_one(rest);
      unite(join, a.at(w, x), x > 0 ? b.at(w, x - 1) : b.ids[w] - 1);
    }
    for (word_t rest = right & ~(met & ~after_starts); rest; rest &= rest - 1) {
      const int x = first_one(rest);
      unite(join, a.at(w, x), x < 63 ? b.at(w, x + 1) : b.at(w + 1, 0));
    }
  }
}

template <class T>
const T* values_of(const RunGrid& grid, const RunPlane& plane, index_t y) {
  return static_cast<const T*>(plane.values) + y * (64 * grid.words + 2 * kRowPad) + kRowPad;
}

template <class T>
void touch_rows_of(const RunGrid& grid, const RunPlane& plane, const RunJoin& join) {
  for (index_t y = 1; y < grid.super_ny; ++y)
    touch_values(grid, runs_of(grid, plane, y), values_of<T>(grid, plane, y), runs_of(grid, plane, y - 1),
                 values_of<T>(grid, plane, y - 1), row_reach(grid.connectivity, 1), join);
}

template <class T>
void touch_planes_of(const RunGrid& grid, const RunPlane& plane, const RunPlane& before, const RunJoin& join) {
  for (index_t y = 0; y < grid.super_ny; ++y) {
    const auto meet = [&](index_t other, int reach) {
      touch_values(grid, runs_of(grid, plane, y), values_of<T>(grid, plane, y), runs_of(grid, before, other),
                   values_of<T>(grid, before, other), reach, join);
    };
    const int aside = row_reach(grid.connectivity, 2);
    meet(y, row_reach(grid.connectivity, 1));
    if (aside >= 0 && y > 0) meet(y - 1, aside);
    if (aside >= 0 && y + 1 < grid.super_ny) meet(y + 1, aside);
  }
}

}  // namespace

id_t fill_plane(const RunGrid& grid, index_t super_z, id_t next, const RunPlane& plane, id_t* row_ids) {
  const index_t z = super_z * grid.block_z, words = grid.words;
  for (index_t super_y = 0; super_y < grid.super_ny; ++super_y) {
    const index_t y = super_y * grid.block_y, at = super_y * (words + 2) + 1;
    word_t *bits = plane.bits + at, *starts = plane.starts + at;
    id_t* ids = plane.ids + at;
    const word_t* row00 = grid.bits.row(z, y);
    const word_t* row01 = grid.block_y == 2 ? grid.bits.row(z, y + 1) : row00;
    const word_t* row10 = grid.block_z == 2 ? grid.bits.row(z + 1, y) : row00;
    const word_t* row11 = grid.block_z == 2 ? grid.bits.row(z + 1, y + 1) : row01;
    const word_t* known = grid.valued ? grid.starts.row(z, y) : nullptr;
    if (row_ids) row_ids[super_y] = next;
    for (index_t w = 0; w < words; ++w) bits[w] = row00[w] | row01[w] | row10[w] | row11[w];
    for (index_t w = 0; w < words; ++w) {
      starts[w] = known ? known[w] : run_starts(bits[w], bits[w - 1]);
      ids[w] = next;
      next += static_cast<id_t>(count_ones(starts[w]));
    }
    ids[words] = next;
  }
  return next;
}

void touch_rows(const RunGrid& grid, index_t super_z, const RunPlane& plane, const RunJoin& join) {
  if (!grid.valued) return touch_rows_of_bits(grid, super_z, plane, join);
  switch (grid.element) {
    case Element::u8:
      return touch_rows_of<std::uint8_t>(grid, plane, join);
    case Element::u16:
      return touch_rows_of<std::uint16_t>(grid, plane, join);
    case Element::i32:
      return touch_rows_of<std::int32_t>(grid, plane, join);
    case Element::f32:
      return touch_rows_of<float>(grid, plane, join);
  }
}

void touch_planes(const RunGrid& grid, index_t super_z, const RunPlane& plane, const RunPlane& before,
                  const RunJoin& join) {
  if (!grid.valued) return touch_planes_of_bits(grid, super_z, plane, before, join);
  switch (grid.element) {
    case Element::u8:
      return touch_planes_of<std::uint8_t>(grid, plane, before, join);
    case Element::u16:
      return touch_planes_of<std::uint16_t>(grid, plane, before, join);
    case Element::i32:
      return touch_planes_of<std::int32_t>(grid, plane, before, join);
    case Element::f32:
      return touch_planes_of<float>(grid, plane, before, join);
  }
}

}  // namespace cryolith::detect::CRYOLITH_VARIANT
