// SPDX-License-Identifier: BSD-3-Clause
#include "projection/project.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <vector>

#include "core/error.hpp"
#include "projection/turned_images.hpp"

namespace cryolith {
namespace {

constexpr index_t kJobBlocks = 2;  // blocks that share the weights of the strips
constexpr index_t kBand = kSpreadLines;

// What one thread needs: lines of kLanes volume rows along x, and a chunk of lines along z where tilts are steep, with
// zeros around every line; the stretched rows of a job; its strips and their weights.
struct Scratch {
  Buffer<float> copy, turned, rows, strips;
};

// Rows of kLanes before and in each line of the copy, and its lines: all planes of the volume, or whole chunks of
// them, which are whole runs along z too.
struct CopyLayout {
  index_t pad, stride, lines;
  index_t size() const { return lines * stride * kLanes; }
};
constexpr index_t kCopyBytes = index_t{16} << 20;

CopyLayout copy_layout(const ProjectionPlan& plan) {
  const Bank& bank = plan.shallow();
  CopyLayout out{0, plan.volume().nx, 0};
  if (!bank.tilts.empty()) out = {bank.pad, bank.stride, 0};
  constexpr index_t part = std::lcm(ProjectionPlan::kChunk, index_t{kRun});
  const index_t fitting = kCopyBytes / (out.stride * kLanes * index_t{sizeof(float)}) / part * part;
  out.lines = std::min(plan.volume().nz, std::max(part, fitting));
  return out;
}

index_t turned_size(const Bank& bank) { return bank.tilts.empty() ? 0 : ProjectionPlan::kChunk * bank.stride * kLanes; }

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
  const index_t most = plan.strip_samples();
  OwnedTaps taps{Buffer<float>(pixels * most), Buffer<std::int32_t>(pixels), {}};
  taps.view = {taps.weights.data(), taps.first.data(), most, 0};
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

// Copies one block's voxels of some planes, with zeros around every line. Planes lie far apart in the volume: the next
// is asked for early.
void load_lines(View3<const float> volume, index_t block, index_t lanes, Range z, CopyLayout layout, float* copy) {
  const index_t nz = volume.extent[0], ny = volume.extent[1], nx = volume.extent[2];
  float* to = copy + layout.pad * kLanes;
  for (index_t line = z.begin; line < z.end; ++line, to += layout.stride * kLanes) {
    const float* from = volume.data + (line * ny + block * kLanes) * nx;
    CRYOLITH_SELECT(to_lanes)(from, nx, nx, lanes, line + 1 < nz ? ny * nx : 0, to, kLanes);
  }
}

// Turns some columns of that copy, `lines` long, into lines of their own. Reading them from the volume again would take
// 55 instead of 16 ms at size M.
void turn_columns(const float* copy, CopyLayout layout, index_t lines, Range x, const Bank& bank, float* turned) {
  constexpr std::size_t row = kLanes * sizeof(float);
  constexpr index_t ahead = 6;  // lines, which lie far apart
  const index_t step = layout.stride * kLanes, to_step = bank.stride * kLanes;
  const float* from = copy + (layout.pad + x.begin) * kLanes;
  float* to = turned + bank.pad * kLanes;
  for (index_t line = 0; line < lines; line += 2, from += 2 * step, to += 2 * kLanes)
    for (index_t i = 0; i < x.end - x.begin; ++i) {  // two lines fill a cache line of what they are turned into
      if (i % 2 == 0) {
        __builtin_prefetch(from + ahead * step + i * kLanes);
        __builtin_prefetch(from + (ahead + 1) * step + i * kLanes);
      }
      std::memcpy(to + i * to_step, from + i * kLanes, row);
      if (line + 1 < lines) std::memcpy(to + i * to_step + kLanes, from + step + i * kLanes, row);
    }
  const index_t rest = std::min(layout.lines - lines, bank.stride - bank.pad - lines);  // of a copy with more lines
  for (index_t i = 0; rest > 0 && i < x.end - x.begin; ++i)
    std::memset(turned + (i * bank.stride + bank.pad + lines) * kLanes, 0, static_cast<std::size_t>(rest) * row);
}

// The rows of the copy that the next run needs and this one does not, of the t-th of all tilts' share of the lines.
void ask_for_next(const Bank& bank, const float* copy, index_t lines, index_t row, index_t t) {
  const index_t tilts = static_cast<index_t>(bank.tilts.size());
  for (index_t line = lines * t / tilts; line < lines * (t + 1) / tilts; ++line)
    for (index_t i = 0; i < kRun; i += 2) __builtin_prefetch(copy + (line * bank.stride + bank.pad + row + i) * kLanes);
}

// rows += the bank's sums over a chunk of lines, each of `along` voxels. Runs that only see padding are skipped. All
// tilts visit one run before the next: the volume's rows stay in L1, the stretched rows pass by once a chunk.
void sum_chunk(const ProjectionPlan& plan, const Bank& bank, index_t chunk, index_t along, const float* copy,
               float* rows) {
  constexpr index_t most = ProjectionPlan::kChunk;
  const index_t chunks = (bank.across + most - 1) / most, tilts = static_cast<index_t>(bank.tilts.size());
  const index_t line = chunk * most, lines = std::min(bank.across, line + most) - line;
  const auto before = [](index_t span) { return (span + kRun - 1) / kRun; };
  const auto after = [&](index_t span) { return (along + span + 1 + kRun - 1) / kRun; };
  const auto entry = [&](index_t t) { return static_cast<std::size_t>(t * chunks + chunk); };
  const auto row = [&](index_t t, index_t b) {
    return rows + (plan.first_row(bank.tilts[static_cast<std::size_t>(t)]) + b * kRun + bank.middle[entry(t)]) * kLanes;
  };
  index_t widest = 0;
  for (index_t t = 0; t < tilts; ++t) widest = std::max(widest, bank.span[entry(t)]);
  const auto run = CRYOLITH_SELECT(shear_sum);
  for (index_t b = -before(widest); b < after(widest); ++b)
    for (index_t t = 0; t < tilts; ++t) {
      ask_for_next(bank, copy, lines, (b + 1) * kRun + widest + 1, t);
      if (b < -before(bank.span[entry(t)]) || b >= after(bank.span[entry(t)])) continue;
      for (index_t i = 0; t + 1 < tilts && i < kRun; i += 2)  // the rows of the next tilt lie elsewhere
        __builtin_prefetch(row(t + 1, b) + i * kLanes, 1);
      const Tap* taps = bank.forward.data() + t * bank.across + line;
      run(copy + (b * kRun + bank.middle[entry(t)]) * kLanes, taps, lines, row(t, b), kLanes, true);
    }
}

// Sets the stretched rows of all tilts of one block.
void sum_block(const ProjectionPlan& plan, View3<const float> volume, index_t block, Scratch& s, float* rows) {
  constexpr index_t chunk = ProjectionPlan::kChunk;
  const Bank &shallow = plan.shallow(), &steep = plan.steep();
  const CopyLayout layout = copy_layout(plan);
  std::fill(rows, rows + plan.rows() * kLanes, 0.0f);
  for (index_t z0 = 0; z0 < volume.extent[0]; z0 += layout.lines) {
    const Range z{z0, std::min(volume.extent[0], z0 + layout.lines)};
    load_lines(volume, block, plan.lanes(block), z, layout, s.copy.data());
    for (index_t line = z.begin; !shallow.tilts.empty() && line < z.end; line += chunk)
      sum_chunk(plan, shallow, line / chunk, shallow.along, s.copy.data() + (line - z.begin) * layout.stride * kLanes,
                rows);
    for (index_t line = 0; !steep.tilts.empty() && line < steep.across; line += chunk) {
      const Range x{line, std::min(steep.across, line + chunk)};
      turn_columns(s.copy.data(), layout, z.end - z.begin, x, steep, s.turned.data());
      sum_chunk(plan, steep, line / chunk, z.end - z.begin, s.turned.data(), rows + z.begin * kLanes);
    }
  }
}

void prepare(const ProjectionPlan& plan, Scratch& s) {
  s.copy = Buffer<float>(copy_layout(plan).size());
  s.turned = Buffer<float>(turned_size(plan.steep()));
  s.rows = Buffer<float>((kJobBlocks * plan.rows() + plan.strip_samples()) * kLanes);
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
    return turned_scratch_bytes(plan, threads, project_scratch_bytes(*plan.turned(), threads));
  const Slab slab = Slab::sizes(plan, threads);
  const index_t taps = (plan.strip_samples() + 1) * std::max(plan.image().height, plan.image().width);
  index_t shared = slab.pixels * slab.stride;
  for (index_t tilt = 0; tilt < plan.tilts(); ++tilt)
    if (plan.straight(tilt)) shared += taps;
  const index_t rows = (kJobBlocks * plan.rows() + plan.strip_samples()) * kLanes;
  const index_t own =
      copy_layout(plan).size() + turned_size(plan.steep()) + rows + kJobBlocks * plan.strip_rows() * kLanes;
  const index_t jobs = (std::min(slab.blocks, plan.blocks()) + kJobBlocks - 1) / kJobBlocks;
  return index_t{sizeof(float)} * (shared + std::min(threads, jobs) * own);
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
