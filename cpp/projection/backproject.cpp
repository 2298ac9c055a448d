// SPDX-License-Identifier: BSD-3-Clause
#include "projection/backproject.hpp"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/error.hpp"
#include "projection/turned_images.hpp"

namespace cryolith {
namespace {

// Output tile that stays in L2 while all tilts are added: whole runs along either axis. Before each line lies what the
// tile before left of a cache line of the volume; an odd number of cache lines from line to line, so that the lines of
// a run along z share no set of L1.
constexpr index_t kTileZ = 5 * kRun, kTileX = 8 * kRun, kTileKept = 16, kTileWidth = kTileKept + kTileX + 2;
constexpr index_t kTileSize = kTileZ * kTileWidth * kLanes;

struct Scratch {
  Buffer<float> rows;    // of each block of a job
  Buffer<float> strips;  // of all blocks of a job
  Buffer<float> tile;    // of sums: [z][x][kLanes]
};

View2<const float> image_of(View3<const float> images, index_t tilt) {
  View2<const float> image;
  image.data = images.data + tilt * images.extent[1] * images.extent[2];
  image.extent[0] = images.extent[1];
  image.extent[1] = images.extent[2];
  return image;
}

// Sets the stretched rows of one tilt for each block of a job: those in range are sampled, the others are 0.
struct Sampler {
  const ProjectionPlan& plan;
  View2<const float> image;
  index_t tilt;
  Range blocks;
  float* rows[kStripBlocks + 1];  // of each block, then null

  void clear_outside(index_t b, Range range) const {
    const index_t count = plan.row_count(tilt);
    std::fill(rows[b], rows[b] + range.begin * kLanes, 0.0f);
    std::fill(rows[b] + range.end * kLanes, rows[b] + count * kLanes, 0.0f);
  }

  void stretch(Range range, float* strips) const {
    StripJob job = strip_job(plan, tilt, blocks, strips);
    for (index_t b = 0; b < job.blocks; ++b) job.rows[b] = rows[b];
    const index_t next = tilt + 1 < plan.tilts() ? image.extent[0] * image.extent[1] : 0;
    const bool straight = plan.straight(tilt);
    const auto load = straight ? CRYOLITH_SELECT(load_strips) : CRYOLITH_SELECT(load_sheared);
    const auto stretch = straight ? CRYOLITH_SELECT(stretch_strips) : CRYOLITH_SELECT(stretch_sheared);
    load(plan.table(), image, job, plan.strip_pixels(tilt, blocks, range), next);
    stretch(plan.table(), job, range);
  }
};

// Stretched rows of a block: float32, or pairs of int16 that count `scale` a weighted unit.
struct Rows {
  const float* data;
  float scale;
};

// Where a tile's sums lie: floats from voxel to voxel along a bank's rows, and across them.
struct TileLayout {
  index_t along, across;
};

// Sets, or adds to, the tile at `sums` the bank's sums for the given voxels.
void sum_tile(const Bank& bank, const Rows& rows, Range along, Range across, TileLayout layout, bool add, float* sums) {
  const index_t n = static_cast<index_t>(bank.tilts.size());
  // Equal parts: a short last one would cost as much as a full one.
  const index_t parts = (n + kPart - 1) / kPart;
  const auto run = CRYOLITH_SELECT(shear_sum);
  const auto run_fixed = CRYOLITH_SELECT(shear_sum_fixed);
  for (index_t x = along.begin; x < along.end; x += kRun)
    for (index_t part = 0; part < parts; ++part) {
      const index_t t0 = n * part / parts, t1 = n * (part + 1) / parts;
      for (index_t line = across.begin; line < across.end; ++line) {
        float* acc = sums + (line - across.begin) * layout.across + (x - along.begin) * layout.along;
        const float* in = rows.data + x * kLanes;
        const index_t first = line * n + t0;
        if (rows.scale > 0.0f)
          run_fixed(in, bank.back_pairs.data() + first, t1 - t0, rows.scale, acc, layout.along, add || part > 0);
        else
          run(in, bank.back.data() + first, t1 - t0, acc, layout.along, add || part > 0);
      }
    }
}

// Volumes from this size on are written past the caches: 0.197 instead of 0.228 s for 268 MB on Zen 4.
constexpr index_t kStreamed = (index_t{16} << 20) / index_t{sizeof(float)};
constexpr index_t kCacheLine = 64 / index_t{sizeof(float)};

// Writes tiles of one block, line by line from the left, where cache lines can be whole only whole ones: a part of one
// is kept for the next tile. Most arrays begin inside a cache line, and so does each of their rows.
class TileWriter {
 public:
  TileWriter(View3<float> volume, index_t block, index_t lanes)
      : volume_(volume),
        row_(block * kLanes),
        lanes_(lanes),
        past_(static_cast<index_t>(reinterpret_cast<std::uintptr_t>(volume.data) / sizeof(float)) % kCacheLine),
        whole_(lanes == kLanes && volume.extent[2] % kCacheLine == 0 && volume.size() >= kStreamed) {}

  void write(float* tile, Range z, Range x) {
    const index_t ny = volume_.extent[1], nx = volume_.extent[2], lines = z.end - z.begin;
    if (x.begin == 0) written_ = 0;
    const index_t end = !whole_ || x.end == nx ? x.end : (x.end + past_) / kCacheLine * kCacheLine - past_;
    const float* from = tile + (kTileKept + written_ - x.begin) * kLanes;
    float* to = volume_.data + (z.begin * ny + row_) * nx + written_;
    if (whole_)
      CRYOLITH_SELECT(stream_lanes)(from, kTileWidth, lines, end - written_, to, ny * nx, nx);
    else
      for (index_t line = 0; line < lines; ++line)
        CRYOLITH_SELECT(from_lanes)(from + line * kTileWidth * kLanes, end - written_, lanes_, to + line * ny * nx, nx);
    for (index_t line = 0; end < x.end && line < lines; ++line) {
      float* left = tile + (line * kTileWidth + kTileKept) * kLanes;
      std::copy(left + (end - x.begin) * kLanes, left + (x.end - x.begin) * kLanes, left - (x.end - end) * kLanes);
    }
    written_ = end;
  }

 private:
  View3<float> volume_;
  index_t row_, lanes_;
  index_t past_;  // floats of a cache line before each row
  bool whole_;
  index_t written_ = 0;  // of the lines of this row of tiles
};

void sum_block(const ProjectionPlan& plan, const Rows& rows, index_t block, float* tile, View3<float> volume) {
  const VolumeShape shape = plan.volume();
  TileWriter writer(volume, block, plan.lanes(block));
  float* sums = tile + kTileKept * kLanes;
  for (index_t z0 = 0; z0 < shape.nz; z0 += kTileZ)
    for (index_t x0 = 0; x0 < shape.nx; x0 += kTileX) {
      const Range z{z0, std::min(shape.nz, z0 + kTileZ)}, x{x0, std::min(shape.nx, x0 + kTileX)};
      const bool both = !plan.shallow().tilts.empty();
      if (both) sum_tile(plan.shallow(), rows, x, z, {kLanes, kTileWidth * kLanes}, false, sums);
      if (!plan.steep().tilts.empty()) sum_tile(plan.steep(), rows, z, x, {kTileWidth * kLanes, kLanes}, both, sums);
      writer.write(tile, z, x);
    }
}

// Samples all tilts for `count` neighbouring blocks: neighbours share cache lines of the images, whichever way those
// lie. The stage sees blocks in pairs that do not depend on how many a job has.
void sample_job(const ProjectionPlan& plan, View3<const float> images, Range blocks, int worker, const RowStage& stage,
                Scratch& s) {
  const index_t count = blocks.end - blocks.begin;
  for (index_t tilt = 0; tilt < plan.tilts(); ++tilt) {
    Sampler sampler{plan, image_of(images, tilt), tilt, blocks, {}};
    Range ranges[kStripBlocks] = {}, all{0, 0};
    for (index_t b = 0; b < count; ++b) {
      sampler.rows[b] = s.rows.data() + (b * plan.rows() + plan.first_row(tilt)) * kLanes;
      ranges[b] = plan.samples(tilt, blocks.begin + b);
      all = united(all, ranges[b]);
    }
    sampler.stretch(all, s.strips.data());
    for (index_t b = 0; b < count; ++b) sampler.clear_outside(b, all);
    for (index_t b = 0; stage && b < count; b += 2) {
      const Range both = united(ranges[b], ranges[b + 1]);
      if (both.begin < both.end) stage(worker, tilt, both, sampler.rows[b], sampler.rows[b + 1]);
    }
  }
}

// Blocks per job: an even number, 4 where that leaves enough jobs for all threads and each job short (cancelling waits
// for the jobs in flight).
index_t blocks_per_job(const ProjectionPlan& plan, index_t threads) {
  constexpr index_t short_block = 50'000'000;  // updates, about 10 ms
  const index_t updates = plan.tilts() * plan.volume().nz * plan.volume().nx * kLanes;
  return plan.blocks() >= 8 * threads && updates < short_block ? 4 : 2;
}

}  // namespace

index_t backproject_scratch_bytes(const ProjectionPlan& plan, index_t threads) {
  if (plan.turned() != nullptr)
    return turned_scratch_bytes(plan, threads, backproject_scratch_bytes(*plan.turned(), threads));
  const index_t per_job = blocks_per_job(plan, threads), jobs = (plan.blocks() + per_job - 1) / per_job;
  const index_t rows = std::min(per_job, plan.blocks()) * plan.rows() * kLanes;
  const index_t own = rows + kStripBlocks * plan.strip_rows() * kLanes + kTileSize;
  return index_t{sizeof(float)} * std::min(threads, jobs) * own;
}

void backproject(const Cpu& cpu, const ProjectionPlan& plan, View3<const float> images, View3<float> volume,
                 const RowStage& stage, Precision precision) {
  if (plan.turned() != nullptr) {
    Buffer<float> turned = turned_images(cpu, plan, images);
    return backproject(cpu, *plan.turned(), turned_view(plan, turned.data()), volume, stage, precision);
  }
  const bool fixed = precision == Precision::fixed16;
  const index_t per_job = blocks_per_job(plan, resolve_threads(cpu)), jobs = (plan.blocks() + per_job - 1) / per_job;
  std::vector<Scratch> scratch(static_cast<std::size_t>(resolve_threads(cpu)));
  parallel_for(cpu, jobs, [&](index_t job, int worker) {
    Scratch& s = scratch[static_cast<std::size_t>(worker)];
    const index_t first = job * per_job, count = std::min(per_job, plan.blocks() - first);
    if (s.tile.size() == 0) {
      s.rows = Buffer<float>(std::min(per_job, plan.blocks()) * plan.rows() * kLanes);
      s.strips = Buffer<float>(kStripBlocks * plan.strip_rows() * kLanes);
      s.tile = Buffer<float>(kTileSize);
    }
    sample_job(plan, images, {first, first + count}, worker, stage, s);
    for (index_t b = 0; b < count; ++b) {
      if (cpu.cancel != nullptr && cpu.cancel->cancelled()) throw Cancelled();
      float* rows = s.rows.data() + b * plan.rows() * kLanes;
      const float scale = fixed ? CRYOLITH_SELECT(pack_pairs)(plan.rows(), rows) : 0.0f;
      sum_block(plan, {rows, scale}, first + b, s.tile.data(), volume);
    }
  });
}

}  // namespace cryolith
