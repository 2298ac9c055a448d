// SPDX-License-Identifier: BSD-3-Clause
#include "detect/run_labels.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

namespace cryolith::detect {
namespace {

constexpr index_t kChunkSlices = 32;  // even, so that a 2 x 2 super-row never straddles two chunks
constexpr index_t kNowhere = std::numeric_limits<index_t>::max();

std::uint32_t find_root(std::uint32_t* parent, std::uint32_t i) {
  while (parent[i] != i) i = parent[i] = parent[parent[i]];
  return i;
}

// The smaller root wins: a root is the first run of its set.
void join_sets(std::uint32_t* parent, std::uint32_t a, std::uint32_t b) {
  a = find_root(parent, a);
  b = find_root(parent, b);
  if (a < b)
    parent[b] = a;
  else
    parent[a] = b;
}

// Runs that begin in `word` at or before position x.
std::uint32_t starts_upto(word_t starts, int x) {
  return static_cast<std::uint32_t>(std::popcount(starts & bits_upto(x)));
}

}  // namespace

RunLabels::RunLabels(const BitVolume& bits, int connectivity)
    : bits_(bits),
      connectivity_(connectivity),
      block_y_(connectivity == 6 ? 1 : 2),
      block_z_(connectivity == 26 ? 2 : 1),
      super_ny_((bits.ny() + block_y_ - 1) / block_y_),
      stride_(bits.words() + 2),
      chunks_(static_cast<std::size_t>((bits.nz() + kChunkSlices - 1) / kChunkSlices)) {
  // Every second voxel of every row may start a run.
  require(kChunkSlices * bits.ny() * (bits.nx() / 2 + 1) < std::numeric_limits<id_t>::max(), "mask: found slices of ",
          bits.ny(), " x ", bits.nx(), ", expected fewer than 2^27 voxels in a slice; label parts of the volume");
}

index_t RunLabels::planes_of(index_t chunk) const {
  return (std::min(kChunkSlices, bits_.nz() - chunk * kChunkSlices) + block_z_ - 1) / block_z_;
}

RunLabels::Plane RunLabels::make_plane() const {
  const auto size = static_cast<std::size_t>(super_ny_ * stride_);
  return {std::vector<word_t>(size), std::vector<id_t>(size)};
}

// Fills the super-rows of super-plane `super_z` and numbers their runs from `next` on; returns the next free number.
RunLabels::id_t RunLabels::fill_plane(index_t super_z, id_t next, Plane& plane, id_t* row_ids) const {
  const index_t words = bits_.words();
  for (index_t super_y = 0; super_y < super_ny_; ++super_y) {
    word_t* super = plane.bits.data() + super_y * stride_ + 1;
    id_t* ids = plane.ids.data() + super_y * stride_ + 1;
    const index_t z = super_z * block_z_, y = super_y * block_y_;
    const word_t* row00 = bits_.row(z, y);
    const word_t* row01 = block_y_ == 2 ? bits_.row(z, y + 1) : row00;
    const word_t* row10 = block_z_ == 2 ? bits_.row(z + 1, y) : row00;
    const word_t* row11 = block_z_ == 2 ? bits_.row(z + 1, y + 1) : row01;
    if (row_ids) row_ids[super_y] = next;
    for (index_t w = 0; w < words; ++w) {
      super[w] = row00[w] | row01[w] | row10[w] | row11[w];
      ids[w] = next;
      next += static_cast<id_t>(std::popcount(run_starts(super[w], super[w - 1])));
    }
    ids[words] = next;
  }
  return next;
}

RunLabels::Side RunLabels::side(const Plane& plane, index_t super_y, const word_t* row, const word_t* row2) const {
  const index_t at = super_y * stride_ + 1;
  return {plane.bits.data() + at, plane.ids.data() + at, row, row2};
}

// Joins the runs of `a` with the runs of `b` wherever a voxel of a's rows meets one of b's rows, |dx| <= Reach.
template <int Reach, class Join>
void RunLabels::touch(const Side& a, const Side& b, Join& join) const {
  for (index_t w = 0; w < bits_.words(); ++w) {
    const word_t own = a.at(w);
    if (!own) continue;
    const word_t other = b.at(w);
    word_t left = 0, right = 0;
    if constexpr (Reach > 0) {
      left = other << 1 | b.at(w - 1) >> 63;
      right = other >> 1 | b.at(w + 1) << 63;
    }
    word_t contact = own & (other | left | right);
    const word_t starts_a = run_starts(a.super[w], a.super[w - 1]), starts_b = run_starts(b.super[w], b.super[w - 1]);
    const word_t gap = ~(a.super[w] & b.super[w]);
    while (contact) {
      const int x = std::countr_zero(contact);
      const word_t bit = word_t{1} << x;
      const id_t run = a.ids[w] + starts_upto(starts_a, x) - 1;
      if (b.super[w] & bit) {
        join(run, b.ids[w] + starts_upto(starts_b, x) - 1);
        const word_t end = gap & ~(bit - 1);  // the same pair of runs up to where either of them ends
        if (!end) break;
        contact &= ~word_t{0} << std::countr_zero(end);
      } else {  // b has a hole here: its runs to the left and to the right may differ
        const id_t before = b.ids[w] + static_cast<id_t>(std::popcount(starts_b & (bit - 1)));
        if (left & bit) join(run, before - 1);
        if (right & bit) join(run, x < 63 ? before : b.ids[w + 1]);
        contact &= contact - 1;
      }
    }
  }
}

// Contacts of a super-row with the one before it in its plane.
template <class Join>
void RunLabels::touch_rows(index_t super_z, index_t super_y, const Plane& plane, Join& join) const {
  const index_t z = super_z * block_z_, y = super_y * block_y_;
  const word_t *here = bits_.row(z, y), *above = bits_.row(z, y - 1);
  if (connectivity_ == 26)
    touch<1>(side(plane, super_y, here, bits_.row(z + 1, y)),
             side(plane, super_y - 1, above, bits_.row(z + 1, y - 1)), join);
  else if (connectivity_ == 18)
    touch<1>(side(plane, super_y, here, here), side(plane, super_y - 1, above, above), join);
  else
    touch<0>(side(plane, super_y, here, here), side(plane, super_y - 1, above, above), join);
}

// Contacts of a super-row with the super-plane before its own.
template <class Join>
void RunLabels::touch_planes(index_t super_z, index_t super_y, const Plane& plane, const Plane& before,
                             Join& join) const {
  const index_t z = super_z * block_z_, y = super_y * block_y_;
  const word_t *here = bits_.row(z, y), *next = bits_.row(z, y + 1);
  const word_t *below = bits_.row(z - 1, y), *below_next = bits_.row(z - 1, y + 1);
  const word_t *below_last = bits_.row(z - 1, y - 1), *below_after = bits_.row(z - 1, y + 2);
  auto meet = [&](index_t super_y_before, auto reach, const word_t* own, const word_t* own2, const word_t* other,
                  const word_t* other2) {
    touch<decltype(reach)::value>(side(plane, super_y, own, own2), side(before, super_y_before, other, other2), join);
  };
  constexpr std::integral_constant<int, 0> straight;
  constexpr std::integral_constant<int, 1> diagonal;
  const bool has_last = super_y > 0, has_after = super_y + 1 < super_ny_;
  if (connectivity_ == 26) {
    meet(super_y, diagonal, here, next, below, below_next);
    if (has_last) meet(super_y - 1, diagonal, here, here, below_last, below_last);
    if (has_after) meet(super_y + 1, diagonal, next, next, below_after, below_after);
  } else if (connectivity_ == 18) {
    meet(super_y, diagonal, here, here, below, below);
    meet(super_y, diagonal, next, next, below_next, below_next);
    meet(super_y, straight, here, here, below_next, below_next);
    meet(super_y, straight, next, next, below, below);
    if (has_last) meet(super_y - 1, straight, here, here, below_last, below_last);
    if (has_after) meet(super_y + 1, straight, next, next, below_after, below_after);
  } else {
    meet(super_y, straight, here, here, below, below);
  }
}

// Calls visit(z, y, word, piece, component) for each part of a run that lies in one word: `piece` are its bits in the
// super-row whose first row is (z, y).
template <class Visit>
void RunLabels::visit_pieces(index_t chunk, Visit visit) const {
  const Chunk& own = chunks_[static_cast<std::size_t>(chunk)];
  const index_t planes = planes_of(chunk), super_z0 = chunk * kChunkSlices / block_z_;
  Plane plane = make_plane();
  for (index_t i = 0; i < planes; ++i) {
    fill_plane(super_z0 + i, own.row_ids[static_cast<std::size_t>(i * super_ny_)], plane, nullptr);
    for (index_t super_y = 0; super_y < super_ny_; ++super_y) {
      const index_t at = super_y * stride_ + 1;
      for (index_t w = 0; w < bits_.words(); ++w) {
        const word_t super = plane.bits[static_cast<std::size_t>(at + w)];
        const word_t before = plane.bits[static_cast<std::size_t>(at + w - 1)];
        id_t run = plane.ids[static_cast<std::size_t>(at + w)];
        if (super & 1 & (before >> 63)) --run;  // goes on from the word before
        for (word_t rest = super; rest; ++run) {
          const int x = std::countr_zero(rest), end = run_end(super, x);
          const word_t piece = bits_below(end) & ~bits_below(x);
          rest &= ~piece;
          visit((super_z0 + i) * block_z_, super_y * block_y_, w, piece, own.component[run]);
        }
      }
    }
  }
}

void RunLabels::label_chunk(index_t chunk) {
  Chunk& own = chunks_[static_cast<std::size_t>(chunk)];
  const index_t planes = planes_of(chunk), super_z0 = chunk * kChunkSlices / block_z_;
  own.row_ids.resize(static_cast<std::size_t>(planes * super_ny_));
  std::vector<id_t>& parent = own.component;
  Plane plane = make_plane(), before = make_plane();
  id_t runs = 0;
  for (index_t i = 0; i < planes; ++i) {
    std::swap(plane, before);
    const id_t next = fill_plane(super_z0 + i, runs, plane, own.row_ids.data() + i * super_ny_);
    parent.resize(next);
    std::iota(parent.begin() + static_cast<std::ptrdiff_t>(runs), parent.end(), runs);
    runs = next;
    auto join = [p = parent.data()](id_t a, id_t b) { join_sets(p, a, b); };
    for (index_t super_y = 0; super_y < super_ny_; ++super_y) {
      if (super_y > 0) touch_rows(super_z0 + i, super_y, plane, join);
      if (i > 0) touch_planes(super_z0 + i, super_y, plane, before, join);
    }
  }
  parent.shrink_to_fit();
  id_t components = 0;
  for (id_t r = 0; r < runs; ++r) parent[r] = parent[r] == r ? components++ : parent[parent[r]];  // roots come first
  own.first.assign(components, kNowhere);
  visit_pieces(chunk, [&](index_t z, index_t y, index_t w, word_t piece, id_t component) {
    index_t& first = own.first[component];
    for (index_t dz = 0; dz < block_z_; ++dz)
      for (index_t dy = 0; dy < block_y_; ++dy)
        if (const word_t found = bits_.row(z + dz, y + dy)[w] & piece)
          first = std::min(first, ((z + dz) * bits_.ny() + y + dy) * bits_.nx() + 64 * w + std::countr_zero(found));
  });
}

index_t RunLabels::join_chunks() {
  index_t total = 0;
  for (Chunk& chunk : chunks_) {
    chunk.offset = total;
    total += static_cast<index_t>(chunk.first.size());
  }
  require(total < std::numeric_limits<id_t>::max(), "mask: found ", total,
          " pieces, expected fewer than 2^32; label parts of the volume");
  std::vector<id_t> parent(static_cast<std::size_t>(total));
  std::iota(parent.begin(), parent.end(), id_t{0});
  Plane plane = make_plane(), before = make_plane();
  for (std::size_t k = 1; k < chunks_.size(); ++k) {
    const Chunk &a = chunks_[k], &b = chunks_[k - 1];
    const index_t super_z = static_cast<index_t>(k) * kChunkSlices / block_z_;
    fill_plane(super_z, 0, plane, nullptr);
    fill_plane(super_z - 1, b.row_ids[b.row_ids.size() - static_cast<std::size_t>(super_ny_)], before, nullptr);
    auto join = [&](id_t x, id_t y) {
      join_sets(parent.data(), static_cast<id_t>(a.offset) + a.component[x],
                static_cast<id_t>(b.offset) + b.component[y]);
    };
    for (index_t super_y = 0; super_y < super_ny_; ++super_y) touch_planes(super_z, super_y, plane, before, join);
  }
  std::vector<index_t> first;
  first.reserve(parent.size());
  for (Chunk& chunk : chunks_) {
    first.insert(first.end(), chunk.first.begin(), chunk.first.end());
    std::vector<index_t>().swap(chunk.first);
  }
  return number_components(parent, first);
}

// Numbers the sets by their first voxel and gives each piece its label.
index_t RunLabels::number_components(std::vector<id_t>& parent, std::vector<index_t>& first) {
  std::vector<std::pair<index_t, id_t>> order;
  for (id_t q = 0; q < parent.size(); ++q) {
    const id_t root = find_root(parent.data(), q);
    first[root] = std::min(first[root], first[q]);
  }
  for (id_t q = 0; q < parent.size(); ++q)
    if (parent[q] == q) order.emplace_back(first[q], q);
  std::sort(order.begin(), order.end());
  labels_.assign(parent.size(), 0);
  for (std::size_t i = 0; i < order.size(); ++i) labels_[order[i].second] = static_cast<std::int32_t>(i + 1);
  for (id_t q = 0; q < parent.size(); ++q) labels_[q] = labels_[find_root(parent.data(), q)];
  return static_cast<index_t>(order.size());
}

void RunLabels::write_chunk(index_t chunk, View3<std::int32_t> labels) const {
  const index_t z0 = chunk * kChunkSlices, z1 = std::min(z0 + kChunkSlices, bits_.nz());
  const index_t slice = bits_.ny() * bits_.nx();
  std::fill(labels.data + z0 * slice, labels.data + z1 * slice, 0);
  const auto offset = static_cast<std::size_t>(chunks_[static_cast<std::size_t>(chunk)].offset);
  visit_pieces(chunk, [&](index_t z, index_t y, index_t w, word_t piece, id_t component) {
    const std::int32_t value = labels_[offset + component];
    for (index_t dz = 0; dz < block_z_; ++dz)
      for (index_t dy = 0; dy < block_y_; ++dy) {
        word_t own = bits_.row(z + dz, y + dy)[w] & piece;
        std::int32_t* out = labels.data + ((z + dz) * bits_.ny() + y + dy) * bits_.nx() + 64 * w;
        while (own) {
          const int x = std::countr_zero(own), end = run_end(own, x);
          std::fill(out + x, out + end, value);
          own &= ~bits_below(end);
        }
      }
  });
}

}  // namespace cryolith::detect
