// SPDX-License-Identifier: BSD-3-Clause
#include "projection/project.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

#include "core/error.hpp"

namespace cryolith {
namespace {

// kLanes volume rows in the layouts of both banks, with zeros around every line.
struct Scratch {
  Buffer<float> shallow, steep, line;
};

void load_block(const ProjectionPlan& plan, View3<const float> volume, index_t block, Scratch& s) {
  const VolumeShape shape = plan.volume();
  const index_t lanes = plan.lanes(block);
  const Bank &shallow = plan.shallow(), &steep = plan.steep();
  for (index_t z = 0; z < shape.nz; ++z) {
    const float* from = volume.data + (z * shape.ny + block * kLanes) * shape.nx;
    float* line =
        shallow.tilts.empty() ? s.line.data() : s.shallow.data() + (z * shallow.stride + shallow.pad) * kLanes;
    CRYOLITH_SELECT(to_lanes)(from, shape.nx, shape.nx, lanes, line);
    if (steep.tilts.empty()) continue;
    for (index_t x = 0; x < shape.nx; ++x)
      std::memcpy(s.steep.data() + (x * steep.stride + steep.pad + z) * kLanes, line + x * kLanes,
                  kLanes * sizeof(float));
  }
}

// rows += the bank's sums over its copy of the volume. Runs that only see padding are skipped.
void sum_bank(const ProjectionPlan& plan, const Bank& bank, const float* volume, float* rows) {
  constexpr index_t chunk = ProjectionPlan::kChunk;
  const index_t chunks = (bank.across + chunk - 1) / chunk;
  const auto run = CRYOLITH_SELECT(shear_sum);
  for (index_t c = 0; c < chunks; ++c) {
    const index_t line = c * chunk, lines = std::min(bank.across, line + chunk) - line;
    for (std::size_t t = 0; t < bank.tilts.size(); ++t) {
      const std::size_t entry = t * static_cast<std::size_t>(chunks) + static_cast<std::size_t>(c);
      const index_t span = bank.span[entry], middle = bank.middle[entry];
      const index_t first = -((span + kRun - 1) / kRun), last = (bank.along + span + 1 + kRun - 1) / kRun;
      const Tap* taps = bank.forward.data() + static_cast<index_t>(t) * bank.across + line;
      float* out = rows + plan.first_row(bank.tilts[t]) * kLanes;
      for (index_t b = first; b < last; ++b) {
        const index_t r = b * kRun + middle;
        run(volume + r * kLanes, taps, lines, out + r * kLanes, true);
      }
    }
  }
}

// Image rows are owned in bands, so that even one tilt keeps several threads busy.
constexpr index_t kBand = 64;

void scatter_band(const ProjectionPlan& plan, const float* rows, Range blocks, index_t tilt, Range band,
                  View3<float> images) {
  const index_t height = images.extent[1], width = images.extent[2];
  View2<float> image;
  image.data = images.data + tilt * height * width;
  image.extent[0] = height;
  image.extent[1] = width;
  for (index_t block = blocks.begin; block < blocks.end; ++block) {
    const SampleGrid grid = plan.grid(tilt, block);
    const Range range = touching(grid, plan.row_count(tilt), plan.lanes(block), band, {0, width});
    const float* from = rows + ((block - blocks.begin) * plan.rows() + plan.first_row(tilt)) * kLanes;
    CRYOLITH_SELECT(scatter_rows)(plan.table(), image, band, grid, range, plan.lanes(block), from);
  }
}

}  // namespace

void project(const Cpu& cpu, const ProjectionPlan& plan, View3<const float> volume, View3<float> images, bool add) {
  if (!add) std::memset(images.data, 0, static_cast<std::size_t>(images.size()) * sizeof(float));
  const index_t threads = resolve_threads(cpu), block_bytes = plan.rows() * kLanes * index_t{sizeof(float)};
  const index_t slab = std::min(plan.blocks(), std::max(threads, kSlabBytes / block_bytes));
  const index_t height = images.extent[1], bands = (height + kBand - 1) / kBand;
  Buffer<float> rows(slab * plan.rows() * kLanes);
  std::vector<Scratch> scratch(static_cast<std::size_t>(threads));
  for (index_t first = 0; first < plan.blocks(); first += slab) {
    const Range blocks{first, std::min(plan.blocks(), first + slab)};
    parallel_for(cpu, blocks.end - blocks.begin, [&](index_t i, int worker) {
      Scratch& s = scratch[static_cast<std::size_t>(worker)];
      const Bank &shallow = plan.shallow(), &steep = plan.steep();
      if (s.line.size() == 0) {
        s.line = Buffer<float>(plan.volume().nx * kLanes);
        if (!shallow.tilts.empty()) s.shallow = Buffer<float>(shallow.across * shallow.stride * kLanes);
        if (!steep.tilts.empty()) s.steep = Buffer<float>(steep.across * steep.stride * kLanes);
      }
      load_block(plan, volume, first + i, s);
      float* out = rows.data() + i * plan.rows() * kLanes;
      std::memset(out, 0, static_cast<std::size_t>(plan.rows() * kLanes) * sizeof(float));
      sum_bank(plan, shallow, s.shallow.data(), out);
      sum_bank(plan, steep, s.steep.data(), out);
    });
    parallel_for(cpu, plan.tilts() * bands, [&](index_t job, int) {
      const index_t band = job % bands * kBand;
      scatter_band(plan, rows.data(), blocks, job / bands, {band, std::min(height, band + kBand)}, images);
    });
  }
}

}  // namespace cryolith
