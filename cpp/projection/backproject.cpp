// SPDX-License-Identifier: BSD-3-Clause
#include "projection/backproject.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

#include "core/error.hpp"

namespace cryolith {
namespace {

// Output tile that stays in L2 while all tilts are added: whole runs along either axis.
constexpr index_t kTileZ = 5 * kRun, kTileX = 8 * kRun;

struct Scratch {
  Buffer<float> rows[2];
  Buffer<float> shallow, steep;  // tile of partial sums: [run along the row][line across][kRun][kLanes]
};

void sample_block(const ProjectionPlan& plan, View3<const float> images, index_t tilt, index_t block, Range& range,
                  float* rows) {
  const index_t count = plan.row_count(tilt);
  range = plan.samples(tilt, block);
  View2<const float> image;
  image.data = images.data + tilt * images.extent[1] * images.extent[2];
  image.extent[0] = images.extent[1];
  image.extent[1] = images.extent[2];
  std::memset(rows, 0, static_cast<std::size_t>(count * kLanes) * sizeof(float));
  CRYOLITH_SELECT(gather_rows)(plan.table(), image, plan.grid(tilt, block), range, plan.lanes(block), rows);
}

// Fills `tile` with the bank's sums for the voxels [along0, along1) x [across0, across1).
void sum_tile(const Bank& bank, const float* rows, Range along, Range across, float* tile) {
  const index_t n = static_cast<index_t>(bank.tilts.size()), lines = across.end - across.begin;
  // Equal parts of at most kChunk: a short last part would cost as much as a full one.
  const index_t parts = (n + ProjectionPlan::kChunk - 1) / ProjectionPlan::kChunk;
  const auto run = CRYOLITH_SELECT(shear_sum);
  for (index_t x = along.begin; x < along.end; x += kRun)
    for (index_t part = 0; part < parts; ++part) {
      const index_t t0 = n * part / parts, t1 = n * (part + 1) / parts;
      for (index_t line = across.begin; line < across.end; ++line) {
        float* acc = tile + ((x - along.begin) * lines + (line - across.begin) * kRun) * kLanes;
        run(rows + x * kLanes, bank.back.data() + line * n + t0, t1 - t0, acc, part > 0);
      }
    }
}

// Adds the steep tile, whose rows run along z, to the shallow one, whose rows run along x.
void add_exchanged(const float* steep, Range z, Range x, float* shallow) {
  const index_t nz = z.end - z.begin, nx = x.end - x.begin;
  for (index_t ix = 0; ix < nx; ++ix)
    for (index_t iz = 0; iz < nz; ++iz) {
      const float* from = steep + ((iz / kRun * nx + ix) * kRun + iz % kRun) * kLanes;
      float* to = shallow + ((ix / kRun * nz + iz) * kRun + ix % kRun) * kLanes;
      for (int lane = 0; lane < kLanes; ++lane) to[lane] += from[lane];
    }
}

void write_tile(const float* tile, Range z, Range x, index_t y, index_t lanes, View3<float> volume) {
  const index_t ny = volume.extent[1], nx = volume.extent[2], lines = z.end - z.begin;
  for (index_t iz = z.begin; iz < z.end; ++iz)
    for (index_t ix = x.begin; ix < x.end; ix += kRun) {
      const float* acc = tile + ((ix - x.begin) * lines + (iz - z.begin) * kRun) * kLanes;
      float* out = volume.data + (iz * ny + y) * nx + ix;
      CRYOLITH_SELECT(from_lanes)(acc, std::min<index_t>(kRun, x.end - ix), lanes, out, nx);
    }
}

void sum_block(const ProjectionPlan& plan, Scratch& scratch, const float* rows, index_t block, View3<float> volume) {
  const VolumeShape shape = plan.volume();
  for (index_t z0 = 0; z0 < shape.nz; z0 += kTileZ)
    for (index_t x0 = 0; x0 < shape.nx; x0 += kTileX) {
      const Range z{z0, std::min(shape.nz, z0 + kTileZ)}, x{x0, std::min(shape.nx, x0 + kTileX)};
      if (plan.shallow().tilts.empty())
        scratch.shallow.clear();
      else
        sum_tile(plan.shallow(), rows, x, z, scratch.shallow.data());
      if (!plan.steep().tilts.empty()) {
        sum_tile(plan.steep(), rows, z, x, scratch.steep.data());
        add_exchanged(scratch.steep.data(), z, x, scratch.shallow.data());
      }
      write_tile(scratch.shallow.data(), z, x, block * kLanes, plan.lanes(block), volume);
    }
}

}  // namespace

void backproject(const Cpu& cpu, const ProjectionPlan& plan, View3<const float> images, View3<float> volume,
                 const RowStage& stage) {
  const index_t per_job = stage ? 2 : 1, jobs = (plan.blocks() + per_job - 1) / per_job;
  std::vector<Scratch> scratch(static_cast<std::size_t>(resolve_threads(cpu)));
  parallel_for(cpu, jobs, [&](index_t job, int worker) {
    Scratch& s = scratch[static_cast<std::size_t>(worker)];
    const index_t first = job * per_job, count = std::min(per_job, plan.blocks() - first);
    if (s.shallow.size() == 0) {
      for (index_t b = 0; b < per_job; ++b) s.rows[b] = Buffer<float>(plan.rows() * kLanes);
      s.shallow = Buffer<float>(kTileZ * kTileX * kLanes);
      s.steep = Buffer<float>(kTileZ * kTileX * kLanes);
    }
    for (index_t tilt = 0; tilt < plan.tilts(); ++tilt) {
      Range range[2] = {{0, 0}, {0, 0}};
      float* rows[2] = {nullptr, nullptr};
      for (index_t b = 0; b < count; ++b) {
        rows[b] = s.rows[b].data() + plan.first_row(tilt) * kLanes;
        sample_block(plan, images, tilt, first + b, range[b], rows[b]);
      }
      const Range both = range[0].begin == range[0].end   ? range[1]
                         : range[1].begin == range[1].end ? range[0]
                                                          : Range{std::min(range[0].begin, range[1].begin),
                                                                  std::max(range[0].end, range[1].end)};
      if (stage && both.begin < both.end) stage(worker, tilt, both, rows[0], rows[1]);
    }
    for (index_t b = 0; b < count; ++b) sum_block(plan, s, s.rows[b].data(), first + b, volume);
  });
}

}  // namespace cryolith
