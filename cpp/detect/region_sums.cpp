// SPDX-License-Identifier: BSD-3-Clause
#include "detect/region_sums.hpp"

#include <algorithm>
#include <cstring>

namespace cryolith::detect {
namespace {

constexpr index_t kChunkSlices = 32;  // part of the definition: chunks are summed first, then added in order

index_t bytes_of(Element element) { return element == Element::u8 ? 1 : element == Element::u16 ? 2 : 4; }

// The regions met in one chunk, in the order they were met.
struct ChunkTable {
  std::vector<std::int32_t> label;
  RegionTable table;
  Contacts contacts;
};

// What a thread works with: two slices of padded rows with an empty row before and behind, and what a row holds.
struct Scratch {
  std::vector<std::int32_t> slot;  // of each label in the table of the chunk, or -1
  std::vector<std::uint64_t> slices[2];
  std::vector<LabelRun> runs;
  std::vector<Contact> contacts;
};

class ChunkPass {
 public:
  ChunkPass(const LabelSlices& labels, View3<const float> intensity, const Wanted& wanted, bool contacts)
      : labels_(labels),
        intensity_(intensity),
        wanted_(wanted),
        contacts_(contacts),
        stride_((labels.extent[2] + 63) / 64 * 64 + 2 * kRowPad) {}

  void run(index_t chunk, Scratch& scratch, ChunkTable& table) const {
    if (scratch.slot.empty()) prepare(scratch);
    table.table = RegionTable(wanted_, 0);
    const index_t z0 = chunk * kChunkSlices, z1 = std::min(z0 + kChunkSlices, labels_.extent[0]);
    load(z0, scratch.slices[0]);
    for (index_t z = z0; z < z1; ++z) {
      if (reaches()) load(z + 1, scratch.slices[1]);
      for (index_t y = 0; y < labels_.extent[1]; ++y) add(z, y, scratch, table);
      std::swap(scratch.slices[0], scratch.slices[1]);
      if (!reaches() && z + 1 < z1) load(z + 1, scratch.slices[0]);
    }
    for (std::int32_t label : table.label) scratch.slot[static_cast<std::size_t>(label)] = -1;
  }

 private:
  bool reaches() const { return wanted_.exits || contacts_; }

  void prepare(Scratch& scratch) const {
    scratch.slot.assign(static_cast<std::size_t>(labels_.regions + 1), -1);
    const index_t bytes = (labels_.extent[1] + 2) * stride_ * bytes_of(labels_.element);
    for (auto& slice : scratch.slices) slice.assign(static_cast<std::size_t>(bytes / 8), 0);
    scratch.runs.resize(static_cast<std::size_t>(labels_.extent[2]));
    if (contacts_) scratch.contacts.resize(static_cast<std::size_t>(kDirections * labels_.extent[2]));
  }

  char* row(std::vector<std::uint64_t>& slice, index_t y) const {
    return reinterpret_cast<char*>(slice.data()) + ((y + 1) * stride_ + kRowPad) * bytes_of(labels_.element);
  }

  void load(index_t z, std::vector<std::uint64_t>& slice) const {
    if (z < labels_.extent[0])
      labels_.load(z, row(slice, 0), stride_);
    else
      std::fill(slice.begin(), slice.end(), 0);
  }

  void add(index_t z, index_t y, Scratch& scratch, ChunkTable& table) const {
    const void* own = row(scratch.slices[0], y);
    const index_t count = CRYOLITH_SELECT(list_runs)(labels_.element, own, labels_.extent[2], scratch.runs.data());
    for (index_t i = 0; i < count; ++i) {
      LabelRun& run = scratch.runs[static_cast<std::size_t>(i)];
      run.region = find(run.label, scratch, table);
    }
    LabelRow all{labels_.element,
                 own,
                 {},
                 {labels_.extent[0], labels_.extent[1], labels_.extent[2]},
                 z,
                 y,
                 scratch.runs.data(),
                 count,
                 wanted_.intensity ? intensity_.data + (z * labels_.extent[1] + y) * labels_.extent[2] : nullptr,
                 table.table.sums(),
                 contacts_ ? scratch.contacts.data() : nullptr};
    for (int s = 0; s < 4; ++s) all.other[s] = row(scratch.slices[kRowSteps[s][0]], y + kRowSteps[s][1]);
    const index_t met = CRYOLITH_SELECT(add_row)(all);
    for (index_t i = 0; i < met; ++i) table.contacts.add(scratch.contacts[static_cast<std::size_t>(i)]);
  }

  id_t find(std::int32_t label, Scratch& scratch, ChunkTable& table) const {
    require(label > 0 && label <= labels_.regions, "labels: found ", label, ", expected 0 to ", labels_.regions);
    std::int32_t& at = scratch.slot[static_cast<std::size_t>(label)];
    if (at < 0) {
      at = static_cast<std::int32_t>(table.label.size());
      table.label.push_back(label);
      table.table.add_region();
    }
    return static_cast<id_t>(at);
  }

  const LabelSlices& labels_;
  View3<const float> intensity_;
  Wanted wanted_;
  bool contacts_;
  index_t stride_;  // elements from row to row
};

}  // namespace

LabelSlices slices_of(Element element, index_t regions, View3<const char> labels) {
  const index_t ny = labels.extent[1], nx = labels.extent[2], bytes = bytes_of(element);
  return {{labels.extent[0], ny, nx}, element, regions, [=](index_t z, void* rows, index_t stride) {
            const char* from = labels.data + z * ny * nx * bytes;
            char* to = static_cast<char*>(rows);
            for (index_t y = 0; y < ny; ++y)
              std::memcpy(to + y * stride * bytes, from + y * nx * bytes, static_cast<std::size_t>(nx * bytes));
          }};
}

void region_sums(const Cpu& cpu, const LabelSlices& labels, View3<const float> intensity, const Wanted& wanted,
                 RegionColumns& columns, Contacts* contacts) {
  if (wanted.intensity)
    for (int i = 0; i < 3; ++i)
      require(intensity.extent[i] == labels.extent[i], "intensity: found ", intensity.extent[i],
              " elements along axis ", i, ", expected ", labels.extent[i], " as in labels");
  columns.start(labels.regions, wanted);
  const index_t chunks = (labels.extent[0] + kChunkSlices - 1) / kChunkSlices;
  std::vector<ChunkTable> tables(static_cast<std::size_t>(chunks));
  std::vector<Scratch> scratch(static_cast<std::size_t>(resolve_threads(cpu)));
  const ChunkPass pass(labels, intensity, wanted, contacts != nullptr);
  parallel_for(cpu, chunks, [&](index_t chunk, int worker) {
    pass.run(chunk, scratch[static_cast<std::size_t>(worker)], tables[static_cast<std::size_t>(chunk)]);
  });
  for (ChunkTable& chunk : tables) {
    for (std::size_t i = 0; i < chunk.label.size(); ++i)
      columns.add(chunk.table, static_cast<index_t>(i), chunk.label[i] - 1);
    if (contacts)
      for (const Pair& pair : chunk.contacts.sorted()) contacts->add(pair);
    chunk = ChunkTable();
  }
}

}  // namespace cryolith::detect
