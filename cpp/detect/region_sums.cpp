// SPDX-License-Identifier: BSD-3-Clause
#include "detect/region_sums.hpp"

#include <algorithm>
#include <limits>
#include <vector>

namespace cryolith::detect {
namespace {

constexpr index_t kChunkSlices = 16;  // part of the definition: chunks are summed first, then added in order
constexpr index_t kFar = std::numeric_limits<index_t>::max();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Sums {
  index_t of[kSumColumns] = {};
  double value[kIntensityColumns] = {0, 0, kInfinity, -kInfinity};
  Sums() { std::fill(of + kLow, of + kLow + 3, kFar); }
};

void merge(const Sums& from, index_t* sums, double* values) {
  for (int c = 0; c < kSumColumns; ++c) {
    if (c >= kLow && c < kHigh)
      sums[c] = std::min(sums[c], from.of[c]);
    else if (c >= kHigh && c < kExits)
      sums[c] = std::max(sums[c], from.of[c]);
    else
      sums[c] += from.of[c];
  }
  if (!values) return;
  values[kIntensitySum] += from.value[kIntensitySum];
  values[kIntensitySquares] += from.value[kIntensitySquares];
  values[kMinimum] = std::min(values[kMinimum], from.value[kMinimum]);
  values[kMaximum] = std::max(values[kMaximum], from.value[kMaximum]);
}

// A run of one label: voxels x0 <= x < x1 of row (z, y).
struct Run {
  index_t z, y, x0, x1;
  std::int32_t label;
};

void add_moments(const Run& run, index_t* s) {
  const index_t n = run.x1 - run.x0, z = run.z, y = run.y;
  // Sums of x and x^2 over consecutive x, closed forms.
  const index_t sx = n * run.x0 + n * (n - 1) / 2;
  const index_t sxx = n * run.x0 * run.x0 + run.x0 * n * (n - 1) + (n - 1) * n * (2 * n - 1) / 6;
  s[kVoxels] += n;
  s[kSum] += n * z;
  s[kSum + 1] += n * y;
  s[kSum + 2] += sx;
  s[kSquares] += n * z * z;
  s[kSquares + 1] += n * y * y;
  s[kSquares + 2] += sxx;
  s[kSquares + 3] += n * z * y;
  s[kSquares + 4] += z * sx;
  s[kSquares + 5] += y * sx;
  const index_t low[3] = {z, y, run.x0}, high[3] = {z, y, run.x1 - 1};
  for (int i = 0; i < 3; ++i) {
    s[kLow + i] = std::min(s[kLow + i], low[i]);
    s[kHigh + i] = std::max(s[kHigh + i], high[i]);
  }
}

// Voxels of the run whose neighbour at (dz, dy, dx) has another label; outside of the volume is another label.
index_t count_exits(View3<const std::int32_t> labels, const Run& run, const int (&direction)[3]) {
  const index_t z = run.z + direction[0], y = run.y + direction[1], n = run.x1 - run.x0;
  if (z >= labels.extent[0] || y < 0 || y >= labels.extent[1]) return n;
  const std::int32_t* row = labels.data + (z * labels.extent[1] + y) * labels.extent[2];
  const index_t from = std::max<index_t>(run.x0 + direction[2], 0);
  const index_t to = std::min(run.x1 + direction[2], labels.extent[2]);
  std::int32_t inside = 0;  // a row is shorter than 2^31
  for (index_t x = from; x < to; ++x) inside += row[x] == run.label;
  return n - inside;
}

void add_exits(View3<const std::int32_t> labels, const Run& run, index_t* s) {
  const bool last = run.x1 == labels.extent[2] || labels.data[(run.z * labels.extent[1] + run.y) * labels.extent[2] +
                                                              run.x1] != run.label;
  s[kExits] += last;  // along x only the last voxel of a run leaves the region
  for (int d = 1; d < kDirections; ++d) s[kExits + d] += count_exits(labels, run, kDirection[d]);
}

void add_intensity(const float* values, index_t n, double centre, double* v) {
  double sum = 0, squares = 0;
  float low = values[0], high = values[0];
  for (index_t i = 0; i < n; ++i) {
    const double value = static_cast<double>(values[i]) - centre;
    sum += value;
    squares += value * value;
    low = std::min(low, values[i]);
    high = std::max(high, values[i]);
  }
  v[kIntensitySum] += sum;
  v[kIntensitySquares] += squares;
  v[kMinimum] = std::min(v[kMinimum], static_cast<double>(low));
  v[kMaximum] = std::max(v[kMaximum], static_cast<double>(high));
}

// The regions met in one chunk, in the order they were met.
struct ChunkTable {
  std::vector<std::int32_t> label;
  std::vector<Sums> sums;
};

class ChunkPass {
 public:
  ChunkPass(View3<const std::int32_t> labels, View3<const float> intensity, double centre, index_t regions)
      : labels_(labels), intensity_(intensity), centre_(centre), regions_(regions) {}

  // `slot` holds -1 for each label and is left so.
  void run(index_t chunk, std::vector<std::int32_t>& slot, ChunkTable& table) const {
    const index_t z1 = std::min((chunk + 1) * kChunkSlices, labels_.extent[0]);
    for (index_t z = chunk * kChunkSlices; z < z1; ++z)
      for (index_t y = 0; y < labels_.extent[1]; ++y) add_row(z, y, slot, table);
    for (std::int32_t label : table.label) slot[static_cast<std::size_t>(label)] = -1;
  }

 private:
  void add_row(index_t z, index_t y, std::vector<std::int32_t>& slot, ChunkTable& table) const {
    const index_t nx = labels_.extent[2], at = (z * labels_.extent[1] + y) * nx;
    const std::int32_t* row = labels_.data + at;
    for (index_t x = 0; x < nx;) {
      const std::int32_t label = row[x];
      index_t end = x + 1;
      while (end < nx && row[end] == label) ++end;
      if (label != 0) {
        Sums& own = find(label, slot, table);
        const Run run{z, y, x, end, label};
        add_moments(run, own.of);
        add_exits(labels_, run, own.of);
        if (intensity_.data) add_intensity(intensity_.data + at + x, end - x, centre_, own.value);
      }
      x = end;
    }
  }

  Sums& find(std::int32_t label, std::vector<std::int32_t>& slot, ChunkTable& table) const {
    require(label > 0 && label <= regions_, "labels: found ", label, ", expected 0 to ", regions_);
    std::int32_t& at = slot[static_cast<std::size_t>(label)];
    if (at < 0) {
      at = static_cast<std::int32_t>(table.sums.size());
      table.label.push_back(label);
      table.sums.emplace_back();
    }
    return table.sums[static_cast<std::size_t>(at)];
  }

  View3<const std::int32_t> labels_;
  View3<const float> intensity_;
  double centre_;
  index_t regions_;
};

}  // namespace

void region_sums(const Cpu& cpu, View3<const std::int32_t> labels, View3<const float> intensity, double centre,
                 View2<std::int64_t> sums, View2<double> intensities) {
  const index_t regions = sums.extent[0];
  require(sums.extent[1] == kSumColumns, "sums: found ", sums.extent[1], " columns, expected ", int{kSumColumns});
  if (intensity.data) {
    for (int i = 0; i < 3; ++i)
      require(intensity.extent[i] == labels.extent[i], "intensity: found ", intensity.extent[i],
              " elements along axis ", i, ", expected ", labels.extent[i], " as in labels");
    require(intensities.extent[0] == regions && intensities.extent[1] == kIntensityColumns, "intensities: found ",
            intensities.extent[0], " x ", intensities.extent[1], ", expected ", regions, " x ",
            int{kIntensityColumns});
  }
  const index_t chunks = (labels.extent[0] + kChunkSlices - 1) / kChunkSlices;
  std::vector<ChunkTable> tables(static_cast<std::size_t>(chunks));
  std::vector<std::vector<std::int32_t>> slots(static_cast<std::size_t>(resolve_threads(cpu)));
  const ChunkPass pass(labels, intensity, centre, regions);
  parallel_for(cpu, chunks, [&](index_t chunk, int worker) {
    auto& slot = slots[static_cast<std::size_t>(worker)];
    if (slot.empty()) slot.assign(static_cast<std::size_t>(regions + 1), -1);
    pass.run(chunk, slot, tables[static_cast<std::size_t>(chunk)]);
  });
  for (index_t i = 0; i < regions; ++i) {
    const Sums empty;
    std::copy(empty.of, empty.of + kSumColumns, sums.data + i * kSumColumns);
    if (intensity.data)
      std::copy(empty.value, empty.value + kIntensityColumns, intensities.data + i * kIntensityColumns);
  }
  for (const ChunkTable& table : tables)
    for (std::size_t i = 0; i < table.sums.size(); ++i) {
      const index_t row = table.label[i] - 1;
      merge(table.sums[i], sums.data + row * kSumColumns,
            intensity.data ? intensities.data + row * kIntensityColumns : nullptr);
    }
}

}  // namespace cryolith::detect
