// SPDX-License-Identifier: BSD-3-Clause
#include "detect/components.hpp"

#include <algorithm>
#include <array>

namespace cryolith::detect {
namespace {

constexpr index_t kChunk = RunLabels::kChunkSlices;

}  // namespace

Components::Components(index_t nz, index_t ny, index_t nx, const Options& options) : options_(options) {
  const int c = options.connectivity;
  require(c == 6 || c == 18 || c == 26, "connectivity: found ", c, ", expected 6, 18 or 26");
  require(nz > 0 && ny > 0 && nx > 0, "shape: found ", nz, " x ", ny, " x ", nx, ", expected at least one voxel");
  require(!options.wanted.euler || (c != 18 && !options.valued),
          "euler: found connectivity 18 or values, expected connectivity 6 or 26 and a mask");
  require(!options.nested || !options.valued, "nested: found values, expected a mask");
  bits_ = BitVolume(nz, ny, nx);
  if (options.valued) {
    starts_ = BitVolume(nz, ny, nx);
    runs_ = std::make_unique<RunLabels>(bits_, starts_, c, options.element, options.delta);
  } else {
    runs_ = std::make_unique<RunLabels>(bits_, c);
  }
  if (options.nested) {
    rest_ = BitVolume(nz, ny, nx);
    holes_ = std::make_unique<RunLabels>(rest_, c == 6 ? 26 : 6);
  }
  tables_.resize(static_cast<std::size_t>(runs_->chunks()));
}

template <class Extents>
void Components::check_slab(const Extents& extent, View3<const float> intensity) const {
  require(extent[1] == bits_.ny() && extent[2] == bits_.nx(), "slab: found slices of ", extent[1], " x ", extent[2],
          ", expected ", bits_.ny(), " x ", bits_.nx());
  const index_t end = done_ + extent[0];
  require(extent[0] > 0 && end <= bits_.nz(), "slab: found ", extent[0], " slices after ", done_, ", expected 1 to ",
          bits_.nz() - done_);
  require(end % kChunk == 0 || end == bits_.nz(), "slab: found an end at slice ", end, ", expected a multiple of ",
          kChunk, " or the last slice, ", bits_.nz());
  if (!options_.wanted.intensity) return;
  for (int i = 0; i < 3; ++i)
    require(intensity.data && intensity.extent[i] == extent[i], "intensity: found ", intensity.extent[i],
            " elements along axis ", i, ", expected ", extent[i]);
}

void Components::add_mask(const Cpu& cpu, View3<const std::uint8_t> mask, View3<const float> intensity) {
  require(!options_.valued, "slab: found a mask, expected values");
  check_slab(mask.extent, intensity);
  bits_.pack(cpu, done_, mask);
  add(cpu, mask.extent[0], {}, intensity);
}

void Components::add_between(const Cpu& cpu, View3<const float> numbers, float low, float high,
                             View3<const float> intensity) {
  require(!options_.valued, "slab: found bounds, expected values");
  check_slab(numbers.extent, intensity);
  bits_.pack(cpu, done_, numbers, low, high);
  add(cpu, numbers.extent[0], {}, intensity);
}

void Components::add_values(const Cpu& cpu, Element element, View3<const char> values, View3<const float> intensity) {
  require(options_.valued && element == options_.element, "slab: found values of another kind than asked for");
  check_slab(values.extent, intensity);
  add(cpu, values.extent[0], {values.data, done_}, intensity);
}

void Components::add(const Cpu& cpu, index_t slices, const ValueSlices& values, View3<const float> intensity) {
  const index_t first = done_ / kChunk, end = done_ + slices;
  const index_t last = (end + kChunk - 1) / kChunk;
  if (holes_) rest_.pack_rest(done_, end, bits_);
  parallel_for(cpu, last - first, [&](index_t block, int) {
    const index_t from = block * kChunk * bits_.ny() * bits_.nx();
    const bool complete = (first + block + 1) * kChunk < end || end == bits_.nz();
    add_chunk(first + block, complete, values, options_.wanted.intensity ? intensity.data + from : nullptr);
  });
  if (first > 0) add_seam_sums(first - 1);
  for (index_t k = first; k < last; ++k) {
    runs_->join_chunk(k, values);
    if (holes_) holes_->join_chunk(k, {});
  }
  done_ = end;
  runs_->keep_slice(done_ - 1, values);
}

void Components::add_chunk(index_t chunk, bool complete, const ValueSlices& values, const float* intensity) {
  runs_->label_chunk(chunk, values);
  if (holes_) holes_->label_chunk(chunk, {});
  if (!tabled()) return;
  RegionTable& table = tables_[static_cast<std::size_t>(chunk)];
  Wanted wanted = options_.wanted;
  wanted.exits = wanted.exits && apart();
  table = RegionTable(wanted, runs_->parts(chunk));
  RegionSums sums = table.sums();
  if (!complete) sums.exits = nullptr;
  if (!complete) sums.euler = nullptr;
  runs_->add_sums(chunk, sums, intensity);
}

bool Components::tabled() const {
  const Wanted& w = options_.wanted;
  return w.extent || w.moments || w.exits || w.euler || w.intensity;
}

// What add_chunk left out of a chunk for want of the slice behind it.
void Components::add_seam_sums(index_t chunk) {
  if (!tabled()) return;
  RegionSums late = tables_[static_cast<std::size_t>(chunk)].sums();
  late.extent = nullptr;
  if (late.exits || late.euler) runs_->add_sums(chunk, late, nullptr);
}

index_t Components::finish() {
  require(done_ == bits_.nz(), "slabs: found ", done_, " slices, expected ", bits_.nz());
  if (count_ >= 0) return count_;
  count_ = runs_->finish();
  if (holes_) holes_->finish();
  return count_;
}

void Components::sums(const Cpu& cpu, RegionColumns& columns) {
  require(count_ >= 0 && tabled() && !summed_,
          "sums: found none, expected all slabs, finish, and to be asked once for what was wanted from the start");
  columns.start(count_, options_.wanted);
  for (index_t k = 0; k < runs_->chunks(); ++k) {  // in order: sums of intensity depend on it
    RegionTable& table = tables_[static_cast<std::size_t>(k)];
    for (index_t i = 0; i < table.size(); ++i) columns.add(table, i, runs_->labels(k)[i] - 1);
    table = RegionTable();
  }
  summed_ = true;
  if (apart() || !options_.wanted.exits) return;
  Wanted exits;
  exits.exits = true;
  region_sums(cpu, slices(), {}, exits, columns, nullptr);
}

LabelSlices Components::slices() const {
  require(count_ >= 0, "labels: found no numbers yet, expected all slabs and finish first");
  const Element element = count_ < 1 << 8 ? Element::u8 : count_ < 1 << 16 ? Element::u16 : Element::i32;
  return {
      {bits_.nz(), bits_.ny(), bits_.nx()}, element, count_, [this, element](index_t z, void* rows, index_t stride) {
        runs_->write(z, z + 1, element, rows, stride, 0);
      }};
}

void Components::write(const Cpu& cpu, index_t z0, index_t slices, Element element, void* out) const {
  require(count_ >= 0, "labels: found no numbers yet, expected all slabs and finish first");
  require(z0 >= 0 && slices >= 0 && z0 + slices <= bits_.nz(), "labels: found slices ", z0, " to ", z0 + slices,
          ", expected 0 to ", bits_.nz());
  const index_t row = bits_.nx(), slice = row * bits_.ny(), end = z0 + slices;
  const index_t size = element == Element::u8 ? 1 : element == Element::u16 ? 2 : 4;
  require(element == Element::i32 || (element != Element::f32 && count_ < index_t{1} << (8 * size)), "labels: found ",
          count_, " components, expected a type that holds them");
  const index_t first = z0 / kChunk, last = (end + kChunk - 1) / kChunk;
  parallel_for(cpu, last - first, [&](index_t block, int) {
    const index_t from = std::max(z0, (first + block) * kChunk), to = std::min(end, (first + block + 1) * kChunk);
    runs_->write(from, to, element, static_cast<char*>(out) + (from - z0) * slice * size, row, slice);
  });
}

void Components::nesting(View1<std::int32_t> enclosing, View2<std::int64_t> holes) const {
  require(count_ >= 0 && holes_, "nesting: found none, expected a finished volume that was asked for it");
  require(enclosing.extent[0] == count_ && holes.extent[0] == count_ && holes.extent[1] == 2, "nesting: found ",
          enclosing.extent[0], " and ", holes.extent[0], " rows, expected ", count_);
  std::fill_n(enclosing.data, enclosing.size(), 0);
  std::fill_n(holes.data, holes.size(), 0);
  const std::vector<Cavity> cavities = find_cavities();
  const auto step_back = [&](index_t voxel) {  // (z, y, x - 1)
    return std::array<index_t, 3>{voxel / (bits_.ny() * bits_.nx()), voxel / bits_.nx() % bits_.ny(),
                                  voxel % bits_.nx() - 1};
  };
  // The voxel before the first one of a component lies in what surrounds it, as no voxel of it lies before.
  std::vector<std::int32_t> around(cavities.size());
  const std::vector<index_t> first_rest = holes_->first_voxels();
  for (std::size_t i = 0; i < cavities.size(); ++i) {
    if (cavities[i].open) continue;
    const auto [z, y, x] = step_back(first_rest[i]);
    around[i] = runs_->label_at(z, y, x);
    holes.data[2 * (around[i] - 1)] += 1;
    holes.data[2 * (around[i] - 1) + 1] += cavities[i].voxels;
  }
  const std::vector<index_t> first = runs_->first_voxels();
  for (std::size_t i = 0; i < first.size(); ++i) {
    const auto [z, y, x] = step_back(first[i]);
    if (x >= 0) enclosing.data[i] = around[static_cast<std::size_t>(holes_->label_at(z, y, x) - 1)];
  }
}

// Of each component of the background: how many voxels, and whether it reaches the border.
std::vector<Components::Cavity> Components::find_cavities() const {
  const index_t count = holes_->count();
  std::vector<Cavity> out(static_cast<std::size_t>(count));
  for (index_t k = 0; k < holes_->chunks(); ++k) {
    Wanted wanted;
    wanted.extent = true;
    RegionTable table(wanted, holes_->parts(k));
    const RegionSums sums = table.sums();
    holes_->add_sums(k, sums, nullptr);
    for (index_t i = 0; i < table.size(); ++i) {
      const Extent& part = sums.extent[i];
      Cavity& own = out[static_cast<std::size_t>(holes_->labels(k)[i] - 1)];
      own.voxels += part.voxels;
      const index_t size[3] = {bits_.nz(), bits_.ny(), bits_.nx()};
      for (int a = 0; a < 3; ++a) own.open = own.open || part.low[a] == 0 || part.high[a] == size[a] - 1;
    }
  }
  return out;
}

}  // namespace cryolith::detect
