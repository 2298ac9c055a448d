// SPDX-License-Identifier: BSD-3-Clause
#include "detect/run_labels.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <numeric>
#include <utility>

#include "detect/write_kernels.hpp"

namespace cryolith::detect {
namespace {

constexpr index_t kNowhere = std::numeric_limits<index_t>::max();

id_t find_root(std::vector<id_t>& parent, id_t i) {
  while (parent[i] != i) i = parent[i] = parent[parent[i]];
  return i;
}

std::size_t bytes_of(Element element) {
  switch (element) {
    case Element::u8:
      return 1;
    case Element::u16:
      return 2;
    default:
      return 4;
  }
}

}  // namespace

RunLabels::RunLabels(const BitVolume& bits, int connectivity)
    : bits_(bits), chunks_(static_cast<std::size_t>((bits.nz() + kChunkSlices - 1) / kChunkSlices)) {
  grid_.bits = bits.rows();
  grid_.connectivity = connectivity;
  grid_.block_y = connectivity == 6 ? 1 : 2;
  grid_.block_z = connectivity == 26 ? 2 : 1;
  grid_.super_ny = (bits.ny() + grid_.block_y - 1) / grid_.block_y;
  grid_.words = bits.words();
  check_size();
}

RunLabels::RunLabels(BitVolume& bits, BitVolume& starts, int connectivity, Element element, float delta)
    : bits_(bits),
      split_bits_(&bits),
      split_starts_(&starts),
      chunks_(static_cast<std::size_t>((bits.nz() + kChunkSlices - 1) / kChunkSlices)) {
  grid_.bits = bits.rows();
  grid_.starts = starts.rows();
  grid_.valued = true;
  grid_.element = element;
  grid_.delta = delta;
  grid_.connectivity = connectivity;
  grid_.block_y = grid_.block_z = 1;
  grid_.super_ny = bits.ny();
  grid_.words = bits.words();
  check_size();
}

// The runs of a chunk are numbered by 32 bits: every voxel may start one.
void RunLabels::check_size() const {
  require(kChunkSlices * bits_.ny() * bits_.nx() < std::numeric_limits<id_t>::max(), "shape: found slices of ",
          bits_.ny(), " x ", bits_.nx(), ", expected fewer than 2^27 voxels in a slice; label parts of the volume");
}

index_t RunLabels::planes_of(index_t chunk) const {
  return (std::min(kChunkSlices, bits_.nz() - chunk * kChunkSlices) + grid_.block_z - 1) / grid_.block_z;
}

RunLabels::Plane RunLabels::make_plane() const {
  const auto size = static_cast<std::size_t>(grid_.super_ny * (grid_.words + 2));
  Plane plane{std::vector<word_t>(size), std::vector<word_t>(size), std::vector<id_t>(size), {}};
  if (grid_.valued) {
    const auto row = static_cast<std::size_t>(64 * grid_.words + 2 * kRowPad) * bytes_of(grid_.element);
    plane.values.resize(static_cast<std::size_t>(grid_.super_ny) * row / sizeof(std::uint64_t));
  }
  return plane;
}

void RunLabels::load_values(index_t z, const ValueSlices& values, Plane& plane) const {
  if (!grid_.valued) return;
  if (z == kept_z_ && z < values.z0) {
    plane.values = kept_.values;
    return;
  }
  const std::size_t bytes = bytes_of(grid_.element), row = static_cast<std::size_t>(bits_.nx()) * bytes;
  const std::size_t stride = static_cast<std::size_t>(64 * grid_.words + 2 * kRowPad) * bytes;
  const char* from =
      static_cast<const char*>(values.data) + static_cast<std::size_t>((z - values.z0) * bits_.ny()) * row;
  char* to = reinterpret_cast<char*>(plane.values.data()) + kRowPad * bytes;
  for (index_t y = 0; y < bits_.ny(); ++y, from += row, to += stride) std::memcpy(to, from, row);
}

void RunLabels::split_slice(index_t z, const Plane& plane) {
  const std::size_t bytes = bytes_of(grid_.element);
  const std::size_t stride = static_cast<std::size_t>(64 * grid_.words + 2 * kRowPad) * bytes;
  const char* row = reinterpret_cast<const char*>(plane.values.data()) + kRowPad * bytes;
  for (index_t y = 0; y < bits_.ny(); ++y, row += stride) CRYOLITH_SELECT(split_row)
  (grid_.element, row, grid_.words, grid_.delta, split_bits_->row(z, y), split_starts_->row(z, y));
}

void RunLabels::label_chunk(index_t chunk, const ValueSlices& values) {
  Chunk& own = at(chunk);
  const index_t planes = planes_of(chunk), super_z0 = chunk * kChunkSlices / grid_.block_z;
  own.row_ids.resize(static_cast<std::size_t>(planes * grid_.super_ny));
  std::vector<id_t>& parent = own.component;
  Plane plane = make_plane(), before = make_plane();
  id_t runs = 0;
  for (index_t i = 0; i < planes; ++i) {
    std::swap(plane, before);
    if (grid_.valued) {
      load_values(super_z0 + i, values, plane);
      split_slice(super_z0 + i, plane);
    }
    const id_t next =
        CRYOLITH_SELECT(fill_plane)(grid_, super_z0 + i, runs, plane.view(), own.row_ids.data() + i * grid_.super_ny);
    parent.resize(next);
    std::iota(parent.begin() + static_cast<std::ptrdiff_t>(runs), parent.end(), runs);
    runs = next;
    const RunJoin join{parent.data(), nullptr, 0, nullptr, 0};
    CRYOLITH_SELECT(touch_rows)(grid_, super_z0 + i, plane.view(), join);
    if (i > 0) CRYOLITH_SELECT(touch_planes)(grid_, super_z0 + i, plane.view(), before.view(), join);
  }
  parent.shrink_to_fit();
  id_t components = 0;
  for (id_t r = 0; r < runs; ++r) parent[r] = parent[r] == r ? components++ : parent[parent[r]];  // roots come first
  own.components = components;
  if (in_raster_order()) return;
  own.first.assign(components, kNowhere);
  visit(chunk, {}, own.first.data(), nullptr);
}

void RunLabels::visit(index_t chunk, const RegionSums& sums, index_t* first, const float* intensity) const {
  const Chunk& own = at(chunk);
  PlanePieces pieces{&grid_,
                     {bits_.nz(), bits_.ny(), bits_.nx()},
                     chunk * kChunkSlices / grid_.block_z,
                     nullptr,
                     own.component.data(),
                     sums,
                     first,
                     intensity};
  for (index_t i = 0; i < planes_of(chunk); ++i, ++pieces.super_z) {
    pieces.row_ids = own.row_ids.data() + i * grid_.super_ny;
    CRYOLITH_SELECT(add_pieces)(pieces);
    if (pieces.intensity) pieces.intensity += grid_.block_z * bits_.ny() * bits_.nx();
  }
}

void RunLabels::add_sums(index_t chunk, const RegionSums& sums, const float* intensity) const {
  visit(chunk, sums, nullptr, intensity);
}

void RunLabels::join_chunk(index_t chunk, const ValueSlices& values) {
  Chunk& a = at(chunk);
  a.offset = static_cast<index_t>(parent_.size());
  const index_t total = a.offset + a.components;
  require(total < std::numeric_limits<std::int32_t>::max(), "volume: found ", total,
          " parts, expected fewer than 2^31; label parts of the volume");
  parent_.resize(static_cast<std::size_t>(total));
  std::iota(parent_.begin() + static_cast<std::ptrdiff_t>(a.offset), parent_.end(), static_cast<id_t>(a.offset));
  if (chunk == 0) return;
  const Chunk& b = at(chunk - 1);
  Plane plane = make_plane(), before = make_plane();
  const index_t super_z = chunk * kChunkSlices / grid_.block_z;
  load_values(super_z, values, plane);
  load_values(super_z - 1, values, before);
  CRYOLITH_SELECT(fill_plane)(grid_, super_z, 0, plane.view(), nullptr);
  CRYOLITH_SELECT(fill_plane)
  (grid_, super_z - 1, b.row_ids[b.row_ids.size() - static_cast<std::size_t>(grid_.super_ny)], before.view(), nullptr);
  CRYOLITH_SELECT(touch_planes)
  (grid_, super_z, plane.view(), before.view(),
   {parent_.data(), a.component.data(), static_cast<id_t>(a.offset), b.component.data(), static_cast<id_t>(b.offset)});
}

void RunLabels::keep_slice(index_t z, const ValueSlices& values) {
  if (!grid_.valued) return;
  if (kept_.values.empty()) kept_ = make_plane();
  load_values(z, values, kept_);
  kept_z_ = z;
}

index_t RunLabels::finish() {
  const std::size_t total = parent_.size();
  labels_.assign(total, 0);
  std::vector<std::pair<index_t, id_t>> order;
  for (id_t q = 0; q < total; ++q)
    if (parent_[q] == q) order.emplace_back(q, q);
  if (!in_raster_order()) {
    std::vector<index_t> first;
    first.reserve(total);
    for (Chunk& chunk : chunks_) {
      first.insert(first.end(), chunk.first.begin(), chunk.first.end());
      std::vector<index_t>().swap(chunk.first);
    }
    for (id_t q = 0; q < total; ++q) {
      const id_t root = find_root(parent_, q);
      first[root] = std::min(first[root], first[q]);
    }
    for (auto& [voxel, root] : order) voxel = first[root];
    std::sort(order.begin(), order.end());
  }
  for (std::size_t i = 0; i < order.size(); ++i) labels_[order[i].second] = static_cast<std::int32_t>(i + 1);
  for (id_t q = 0; q < total; ++q) labels_[q] = labels_[find_root(parent_, q)];
  std::vector<id_t>().swap(parent_);
  count_ = static_cast<index_t>(order.size());
  return count_;
}

std::vector<index_t> RunLabels::first_voxels() const {
  std::vector<index_t> out(static_cast<std::size_t>(count_), kNowhere), first;
  for (index_t k = 0; k < chunks(); ++k) {
    first.assign(static_cast<std::size_t>(parts(k)), kNowhere);
    visit(k, {}, first.data(), nullptr);
    for (std::size_t i = 0; i < first.size(); ++i) {
      index_t& known = out[static_cast<std::size_t>(labels(k)[i] - 1)];
      known = std::min(known, first[i]);
    }
  }
  return out;
}

std::int32_t RunLabels::label_at(index_t z, index_t y, index_t x) const {
  if (!(bits_.row(z, y)[x / 64] >> (x % 64) & 1)) return 0;
  const index_t chunk = z / kChunkSlices, super_y = y / grid_.block_y;
  const Chunk& own = at(chunk);
  const index_t plane = z / grid_.block_z - chunk * kChunkSlices / grid_.block_z;
  id_t run = own.row_ids[static_cast<std::size_t>(plane * grid_.super_ny + super_y)];
  word_t before = 0;
  for (index_t w = 0; w <= x / 64; ++w) {
    word_t all = 0;
    for (int q = 0; q < grid_.block_y * grid_.block_z; ++q)
      all |= bits_.row(z - z % grid_.block_z + q / grid_.block_y, super_y * grid_.block_y + q % grid_.block_y)[w];
    const word_t starts = grid_.valued ? split_starts_->row(z, y)[w] : run_starts(all, before);
    run += static_cast<id_t>(count_ones(w == x / 64 ? starts & bits_upto(static_cast<int>(x % 64)) : starts));
    before = all;
  }
  return labels(chunk)[own.component[run - 1]];
}

void RunLabels::write(index_t z0, index_t z1, Element element, void* out, index_t stride, index_t slice_stride) const {
  const index_t chunk = z0 / kChunkSlices, super_z0 = chunk * kChunkSlices / grid_.block_z;
  const Chunk& own = at(chunk);
  const auto slice_of = [&](index_t z) -> void* {
    if (z < z0 || z >= z1) return nullptr;
    return static_cast<char*>(out) + static_cast<std::size_t>((z - z0) * slice_stride) * bytes_of(element);
  };
  for (index_t super_z = z0 / grid_.block_z; super_z * grid_.block_z < z1; ++super_z) {
    const index_t z = super_z * grid_.block_z;
    CRYOLITH_SELECT(write_labels)
    ({&grid_,
      bits_.ny(),
      bits_.nx(),
      super_z,
      own.row_ids.data() + (super_z - super_z0) * grid_.super_ny,
      own.component.data(),
      labels(chunk),
      element,
      {slice_of(z), slice_of(z + 1)},
      stride});
  }
}

}  // namespace cryolith::detect
