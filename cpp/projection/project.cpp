// SPDX-License-Identifier: BSD-3-Clause
#include "projection/project.hpp"

#include <algorithm>
#include <vector>

#include "core/error.hpp"
#include "projection/turned_images.hpp"

namespace cryolith {
namespace {

constexpr index_t kJobBlocks = 2;  // blocks that share the weights of the strips
constexpr index_t kBand = kSpreadLines;

// What one thread needs: a chunk of lines of kLanes volume rows in the layout of each bank, with zeros around every
// line; the stretched rows of a job; its strips and their weights.
struct Scratch {
  Buffer<float> shallow, steep, rows, strips;
};

// How the stretched rows of a tilt reach its image.
enum class Way {
  store,  // straight axis, whole pixels across: every image pixel belongs to one block, which writes it
  spread  // any other: strips are kept in the slab, bands of image lines collect them
};

Way way(const ProjectionPlan& plan, index_t tilt) {
  if (!plan.straight(tilt)) return Way::spread;
  const index_t start = plan.strip(tilt, 0).across.start;
  return start % (index_t{1} << kPositionBits) == 0 ? Way::store : Way::spread;
}

// The weights of one straight tilt, by pixel.
struct OwnedTaps {
  Buffer<float> weights;
  Buffer<std::int32_t> first;
  PixelTaps view = {};
};

OwnedTaps make_taps(const ProjectionPlan& plan, index_t tilt) {
  const StripGrid strip = plan.strip(tilt, 0);
  const index_t pixels = strip.down ? plan.image().height : plan.image().width;
  OwnedTaps taps{Buffer<float>(pixels * kStripSamples), Buffer<std::int32_t>(pixels), {}};
  taps.view = {taps.weights.data(), taps.first.data(), 0};
  CRYOLITH_SELECT(pixel_taps)(plan.table(), strip.along, plan.row_count(tilt), pixels, taps.view);
  return taps;
}

// Rows that some blocks leave for the bands of image lines.
struct Slab {
  std::vector<Way> ways;           // of each tilt
  std::vector<index_t> first;      // first pixel of each tilt's strips, if it is spread
  index_t pixels = 0;              // of the strips of all tilts
  index_t blocks = 0, stride = 0;  // stride: floats from pixel to pixel, all blocks and kMargin at either end
  Buffer<float> strips;
  std::vector<OwnedTaps> taps;  // of each tilt, if it is straight

  Slab(const ProjectionPlan& plan, index_t threads) : Slab(sizes(plan, threads)) {
    strips = Buffer<float>(pixels * stride);
    taps.resize(ways.size());
  }
  float* strip(index_t tilt, index_t block) {
    return strips.data() + first[static_cast<std::size_t>(tilt)] * stride + kLineMargin + block * kLanes;
  }
  // What it would be, without its memory.
  static Slab sizes(const ProjectionPlan& plan, index_t threads) {
    Slab slab;
    slab.measure(plan, threads);
    return slab;
  }

 private:
  Slab() = default;
  void measure(const ProjectionPlan& plan, index_t threads) {
    for (index_t tilt = 0; tilt < plan.tilts(); ++tilt) {
      ways.push_back(way(plan, tilt));
      first.push_back(pixels);
      if (ways.back() == Way::spread) pixels += plan.strip(tilt, 0).down ? plan.image().height : plan.image().width;
    }
    const index_t fitting = kSlabBytes / (kLanes * index_t{sizeof(float)} * std::max<index_t>(1, pixels));
    blocks = pixels == 0 ? plan.blocks() : std::min(plan.blocks(), std::max(kJobBlocks * threads, fitting));
    blocks = (blocks + kJobBlocks - 1) / kJobBlocks * kJobBlocks;
    stride = blocks * kLanes + 2 * kLineMargin;
  }
};

View2<float> image_of(View3<float> images, index_t tilt) {
  View2<float> image;
  image.data = images.data + tilt * images.extent[1] * images.extent[2];
  image.extent[0] = images.extent[1];
  image.extent[1] = images.extent[2];
  return image;
}

// Copies one block's voxels of some lines into the layout of the bank. Planes of the volume lie far apart: the next
// is asked for early.
void load_shallow(View3<const float> volume, index_t block, index_t lanes, Range z, const Bank& bank, float* copy) {
  const index_t nz = volume.extent[0], ny = volume.extent[1], nx = volume.extent[2];
  float* to = copy + bank.pad * kLanes;
  for (index_t line = z.begin; line < z.end; ++line, to += bank.stride * kLanes) {
    const float* from = volume.data + (line * ny + block * kLanes) * nx;
    CRYOLITH_SELECT(to_lanes)(from, nx, nx, lanes, line + 1 < nz ? ny * nx : 0, to, kLanes);
  }
}

void load_steep(View3<const float> volume, index_t block, index_t lanes, Range x, const Bank& bank, float* copy) {
  const index_t nz = volume.extent[0], ny = volume.extent[1], nx = volume.extent[2];
  for (index_t z = 0; z < nz; ++z) {
    const float* from = volume.data + (z * ny + block * kLanes) * nx + x.begin;
    float* to = copy + (bank.pad + z) * kLanes;
    CRYOLITH_SELECT(to_lanes)
    (from, nx, x.end - x.begin, lanes, z + 1 < nz ? ny * nx : 0, to, bank.stride * kLanes);
  }
}

// rows += the bank's sums over a chunk of lines. Runs that only see padding are skipped. All tilts visit one run
// before the next: the volume's rows stay in L1, the stretched rows pass by once a chunk.
void sum_chunk(const ProjectionPlan& plan, const Bank& bank, index_t chunk, const float* copy, float* rows) {
  constexpr index_t most = ProjectionPlan::kChunk;
  const std::size_t chunks = static_cast<std::size_t>((bank.across + most - 1) / most);
  const index_t line = chunk * most, lines = std::min(bank.across, line + most) - line;
  const auto before = [](index_t span) { return (span + kRun - 1) / kRun; };
  const auto after = [&](index_t span) { return (bank.along + span + 1 + kRun - 1) / kRun; };
  index_t widest = 0;
  for (std::size_t t = 0; t < bank.tilts.size(); ++t)
    widest = std::max(widest, bank.span[t * chunks + static_cast<std::size_t>(chunk)]);
  const auto run = CRYOLITH_SELECT(shear_sum);
  for (index_t b = -before(widest); b < after(widest); ++b)
    for (std::size_t t = 0; t < bank.tilts.size(); ++t) {
      const std::size_t entry = t * chunks + static_cast<std::size_t>(chunk);
      if (b < -before(bank.span[entry]) || b >= after(bank.span[entry])) continue;
      const index_t r = b * kRun + bank.middle[entry];
      const Tap* taps = bank.forward.data() + static_cast<index_t>(t) * bank.across + line;
      if (t + 1 < bank.tilts.size()) {  // the rows of the next tilt lie elsewhere (10 % at size M)
        const index_t next = plan.first_row(bank.tilts[t + 1]) + b * kRun + bank.middle[entry + chunks];
        for (index_t i = 0; i < kRun; i += 2) __builtin_prefetch(rows + (next + i) * kLanes, 1);
      }
      run(copy + r * kLanes, taps, lines, rows + (plan.first_row(bank.tilts[t]) + r) * kLanes, kLanes, true);
    }
}

// Sets the stretched rows of all tilts of one block.
void sum_block(const ProjectionPlan& plan, View3<const float> volume, index_t block, Scratch& s, float* rows) {
  constexpr index_t chunk = ProjectionPlan::kChunk;
  const index_t lanes = plan.lanes(block);
  const Bank &shallow = plan.shallow(), &steep = plan.steep();
  std::fill(rows, rows + plan.rows() * kLanes, 0.0f);
  for (index_t i = 0; !shallow.tilts.empty() && i * chunk < shallow.across; ++i) {
    load_shallow(volume, block, lanes, {i * chunk, std::min(shallow.across, (i + 1) * chunk)}, shallow,
                 s.shallow.data());
    sum_chunk(plan, shallow, i, s.shallow.data(), rows);
  }
  for (index_t i = 0; !steep.tilts.empty() && i * chunk < steep.across; ++i) {
    load_steep(volume, block, lanes, {i * chunk, std::min(steep.across, (i + 1) * chunk)}, steep, s.steep.data());
    sum_chunk(plan, steep, i, s.steep.data(), rows);
  }
}

void prepare(const ProjectionPlan& plan, Scratch& s) {
  constexpr index_t chunk = ProjectionPlan::kChunk;
  const auto copy = [](const Bank& b) { return Buffer<float>(b.tilts.empty() ? 0 : chunk * b.stride * kLanes); };
  s.shallow = copy(plan.shallow());
  s.steep = copy(plan.steep());
  s.rows = Buffer<float>((kJobBlocks * plan.rows() + kStripSamples) * kLanes);
  s.strips = Buffer<float>(kJobBlocks * plan.strip_rows() * kLanes);
}

// Stretched rows of one tilt near an image axis -> its image, or its strips in the slab.
void collect_tilt(const ProjectionPlan& plan, index_t tilt, Range blocks, index_t slab_begin, Slab& slab, Scratch& s,
                  float* rows, View2<float> image) {
  StripJob job = strip_job(plan, tilt, blocks, s.strips.data());
  for (index_t b = 0; b < job.blocks; ++b) job.rows[b] = rows + (b * plan.rows() + plan.first_row(tilt)) * kLanes;
  const index_t extent = image.extent[job.grid[0].down ? 0 : 1];
  if (plan.straight(tilt)) {
    CRYOLITH_SELECT(collect_strips)(slab.taps[static_cast<std::size_t>(tilt)].view, job, extent);
  } else {
    Range range{0, 0};
    for (index_t b = blocks.begin; b < blocks.end; ++b) range = united(range, plan.samples(tilt, b));
    CRYOLITH_SELECT(collect_sheared)(plan.table(), job, range, extent);
  }
  if (slab.ways[static_cast<std::size_t>(tilt)] == Way::store) return CRYOLITH_SELECT(store_strips)(image, job);
  for (index_t b = 0; b < job.blocks; ++b) {
    float* to = slab.strip(tilt, blocks.begin + b - slab_begin);
    const bool last = blocks.begin + b + 1 == plan.blocks();
    for (index_t j = 0; j < extent; ++j, to += slab.stride) {
      std::copy_n(job.strip[b] + j * kLanes, kLanes, to);
      if (last) std::fill_n(to + kLanes, kLineMargin, 0.0f);
    }
  }
}

void collect_band(const ProjectionPlan& plan, Slab& slab, Range blocks, index_t tilt, index_t band,
                  View2<float> image) {
  const StripGrid strip = plan.strip(tilt, 0);
  const index_t lines = image.extent[strip.down ? 1 : 0];
  const Range own{band * kBand, std::min(lines, (band + 1) * kBand)};
  if (own.begin >= own.end) return;
  const Range rows{blocks.begin * kLanes, blocks.end * kLanes};
  const auto spread_rows = plan.straight(tilt) ? CRYOLITH_SELECT(spread_strips) : CRYOLITH_SELECT(spread_sheared);
  spread_rows(plan.table(), image, strip, own, rows, slab.strip(tilt, 0), slab.stride);
}

// Zeros where nothing will be written or where sums start.
void clear_image(const ProjectionPlan& plan, Way way, index_t tilt, View2<float> image) {
  if (way != Way::store) {
    std::fill_n(image.data, image.size(), 0.0f);
    return;
  }
  const StripGrid strip = plan.strip(tilt, 0);
  const index_t ny = plan.volume().ny, start = strip.across.start >> kPositionBits;
  const Range seen = strip.across.lane > 0 ? Range{start, start + ny} : Range{start - ny + 1, start + 1};
  const index_t height = image.extent[0], width = image.extent[1], lines = strip.down ? width : height;
  const index_t begin = std::clamp<index_t>(seen.begin, 0, lines), end = std::clamp<index_t>(seen.end, begin, lines);
  const index_t line = strip.down ? 1 : width, rows = strip.down ? height : 1;
  for (index_t row = 0; row < rows; ++row) {
    float* p = image.data + row * width;
    std::fill(p, p + begin * line, 0.0f);
    std::fill(p + end * line, p + lines * line, 0.0f);
  }
}

}  // namespace

index_t project_scratch_bytes(const ProjectionPlan& plan, index_t threads) {
  if (plan.turned() != nullptr)
    return turned_scratch_bytes(plan, threads) + project_scratch_bytes(*plan.turned(), threads);
  const Slab slab = Slab::sizes(plan, threads);
  const auto copy = [](const Bank& b) { return b.tilts.empty() ? 0 : ProjectionPlan::kChunk * b.stride * kLanes; };
  const index_t taps = (kStripSamples + 1) * std::max(plan.image().height, plan.image().width);
  const index_t shared = slab.pixels * slab.stride + plan.tilts() * taps;
  const index_t rows = (kJobBlocks * plan.rows() + kStripSamples) * kLanes;
  const index_t own = copy(plan.shallow()) + copy(plan.steep()) + rows + kJobBlocks * plan.strip_rows() * kLanes;
  return index_t{sizeof(float)} * (shared + threads * own);
}

void project(const Cpu& cpu, const ProjectionPlan& plan, View3<const float> volume, View3<float> images, bool add) {
  if (plan.turned() != nullptr) {
    Buffer<float> turned(turned_view(plan, nullptr).size());
    project(cpu, *plan.turned(), volume, turned_view(plan, turned.data()));
    if (!add) std::fill_n(images.data, images.size(), 0.0f);
    return turn_images_back(cpu, plan, turned.data(), images);
  }
  const index_t threads = resolve_threads(cpu);
  Slab slab(plan, threads);
  std::vector<Scratch> scratch(static_cast<std::size_t>(threads));
  parallel_for(cpu, plan.tilts(), [&](index_t tilt, int) {
    const Way way = slab.ways[static_cast<std::size_t>(tilt)];
    if (plan.straight(tilt)) slab.taps[static_cast<std::size_t>(tilt)] = make_taps(plan, tilt);
    if (!add) clear_image(plan, way, tilt, image_of(images, tilt));
  });
  const index_t bands = (std::max(images.extent[1], images.extent[2]) + kBand - 1) / kBand;
  for (index_t first = 0; first < plan.blocks(); first += slab.blocks) {
    const Range blocks{first, std::min(plan.blocks(), first + slab.blocks)};
    const index_t jobs = (blocks.end - blocks.begin + kJobBlocks - 1) / kJobBlocks;
    parallel_for(cpu, jobs, [&](index_t i, int worker) {
      Scratch& s = scratch[static_cast<std::size_t>(worker)];
      if (s.strips.size() == 0) prepare(plan, s);
      const Range own{first + i * kJobBlocks, std::min(blocks.end, first + (i + 1) * kJobBlocks)};
      float* rows = s.rows.data();
      for (index_t b = own.begin; b < own.end; ++b) {
        if (cpu.cancel != nullptr && cpu.cancel->cancelled()) throw Cancelled();
        sum_block(plan, volume, b, s, rows + (b - own.begin) * plan.rows() * kLanes);
      }
      for (index_t tilt = 0; tilt < plan.tilts(); ++tilt)
        collect_tilt(plan, tilt, own, first, slab, s, rows, image_of(images, tilt));
    });
    if (slab.pixels == 0) continue;
    parallel_for(cpu, plan.tilts() * bands, [&](index_t job, int) {
      const index_t tilt = job / bands;
      if (slab.ways[static_cast<std::size_t>(tilt)] != Way::store)
        collect_band(plan, slab, blocks, tilt, job % bands, image_of(images, tilt));
    });
  }
}

}  // namespace cryolith
