// SPDX-License-Identifier: BSD-3-Clause
#include "projection/plan.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "core/error.hpp"

namespace cryolith {
namespace {

std::size_t at(index_t i) { return static_cast<std::size_t>(i); }
double half(index_t n) { return 0.5 * static_cast<double>(n - 1); }

// Modified Bessel function of the first kind, order 0: its power series (Abramowitz & Stegun 9.6.12).
double bessel_i0(double x) {
  double sum = 1.0, term = 1.0;
  for (int k = 1; term > 1e-17 * sum; ++k) {
    const double factor = x / (2.0 * k);
    term *= factor * factor;
    sum += term;
  }
  return sum;
}

double windowed_sinc(double distance, int taps, double beta) {
  const double a = 2.0 * distance / taps;
  if (std::abs(a) >= 1.0) return 0.0;
  const double window = bessel_i0(beta * std::sqrt(1.0 - a * a)) / bessel_i0(beta);
  const double x = std::numbers::pi * distance;
  return distance == 0.0 ? 1.0 : std::sin(x) / x * window;
}

// Positions are counted in 2^-32 pixel: this bound leaves 2^10 times the largest image before they overflow.
void require_usable(const TiltPose& p) {
  constexpr double rounding = 1e-6, farthest = 1 << 20;
  const auto direction = [](double c, double s) { return std::abs(c * c + s * s - 1.0) <= rounding; };
  require(direction(p.cos_tilt, p.sin_tilt) && direction(p.cos_axis, p.sin_axis),
          "poses: found cosines and sines that belong to no angle: ", p.cos_tilt, ", ", p.sin_tilt, ", ", p.cos_axis,
          ", ", p.sin_axis);
  for (double length : {p.shift_row, p.shift_column, p.axis_offset})
    require(std::abs(length) <= farthest, "poses: found a shift or offset of ", length, " px, expected at most ",
            farthest);
  require(p.scale >= kSmallestScale && p.scale <= kLargestScale, "poses: found a scale of ", p.scale,
          " px per voxel, expected ", kSmallestScale, " to ", kLargestScale);
}

}  // namespace

Buffer<float> tap_table(int taps, double beta) {
  Buffer<float> table((kPhases + 1) * taps);
  std::vector<double> w(at(taps));
  for (int p = 0; p <= kPhases; ++p) {
    double sum = 0.0;
    for (int i = 0; i < taps; ++i)
      sum += w[at(i)] = windowed_sinc(i - (taps / 2 - 1) - static_cast<double>(p) / kPhases, taps, beta);
    for (int i = 0; i < taps; ++i) table[p * taps + i] = static_cast<float>(w[at(i)] / sum);
  }
  for (int i = 0; i < taps; ++i) {  // on a pixel the weights are exactly 0 and 1
    table[i] = i == taps / 2 - 1 ? 1.0f : 0.0f;
    table[kPhases * taps + i] = i == taps / 2 ? 1.0f : 0.0f;
  }
  return table;
}

Shear shear(double slope, index_t line, index_t lines) {
  constexpr double unit = 1 << 20;
  const double s = std::round((static_cast<double>(line) - half(lines)) * slope * unit) / unit;
  const double whole = std::floor(s);
  return {static_cast<index_t>(whole), static_cast<float>(s - whole)};
}

bool near_image_axis(const TiltPose& p) {
  const double cosine = std::abs(p.cos_axis), sine = std::abs(p.sin_axis), scale = std::abs(p.scale * p.across);
  const double main = std::max(cosine, sine), other = std::min(cosine, sine);
  // Where a volume row crosses pixels along it; how far its neighbour's samples lie along it, and the row itself.
  return other / main <= kLargestShear && scale * other <= kLargestShear && std::abs(scale / main - 1) <= kLargestShear;
}

ProjectionPlan::ProjectionPlan(const std::vector<TiltPose>& tilts, VolumeShape volume, ImageShape image, bool turn)
    : volume_(volume),
      detector_(image),
      window_{0, 0, image.height, image.width},
      whole_ny_(volume.ny),
      tilts_(tilts),
      table_(tap_table(kTaps, kKaiserBeta)) {
  require(!tilts.empty(), "geometry: found no tilts, expected at least one");
  for (index_t extent : {volume.nz, volume.ny, volume.nx, image.height, image.width})
    require(extent > 0 && extent <= (1 << 20), "shape: found an extent of ", extent, ", expected 1 to 1048576");
  for (const TiltPose& pose : tilts) {
    require_usable(pose);
    add_tilt(pose);
  }
  first_row_.push_back(total_rows_);
  constexpr index_t limit = std::numeric_limits<std::int32_t>::max() / kLanes;
  require(total_rows_ <= limit, "geometry: ", total_rows_, " stretched rows, expected at most ", limit,
          "; use fewer tilts at a time");
  fill(shallow_, volume.nx, volume.nz);
  fill(steep_, volume.nz, volume.nx);
  if (turn || !std::all_of(tilts.begin(), tilts.end(), near_image_axis)) make_turned();
}

// The pose of a turned image: its axis along the columns, in the direction that the image is turned least from. u is
// whole pixels wherever it was in the image, were that not turned: an axis along an image axis costs no interpolation.
void ProjectionPlan::make_turned() {
  std::vector<TiltPose> poses;
  double reach = 0.0;
  for (const TiltPose& p : tilts_) {
    const double cosine = std::abs(p.cos_axis), sine = std::abs(p.sin_axis);
    const double shadow = p.scale * (half(volume_.nx) * std::abs(p.cos_tilt) + half(volume_.nz) * std::abs(p.sin_tilt));
    const double seen = half(detector_.width) * cosine + half(detector_.height) * sine + std::abs(p.shift_row) +
                        std::abs(p.shift_column);
    reach = std::max(reach, std::min(shadow + std::abs(p.axis_offset) + kTaps, seen + kTurnReach));
  }
  const ImageShape image{volume_.ny, 2 * static_cast<index_t>(std::ceil(reach)) + 3};
  for (const TiltPose& p : tilts_) {
    const bool down = std::abs(p.sin_axis) > std::abs(p.cos_axis);
    const double sign = (down ? p.sin_axis : p.cos_axis) < 0.0 ? -1.0 : 1.0;
    const double moved = sign * (p.shift_row * p.sin_axis + p.shift_column * p.cos_axis);
    const double rest = moved + half(down ? detector_.height : detector_.width) - half(image.width);
    poses.push_back(
        {p.cos_tilt, p.sin_tilt, sign, 0.0, 0.0, rest - std::floor(rest), p.axis_offset, p.scale, 1.0 / p.scale});
  }
  turned_ = std::make_unique<const ProjectionPlan>(poses, volume_, image);
  turn_table_ = tap_table(kTurnTaps, kTurnBeta);
}

// Where pixel (j, i) of the whole turned image lies in the detector's.
SampleGrid ProjectionPlan::grid_of_turned(index_t tilt) const {
  const TiltPose &p = tilts_[at(tilt)], &q = turned_->tilts_[at(tilt)];
  const double sign = q.cos_axis, u = -sign * (half(turned_->detector_.width) + q.shift_column);
  const double v = -sign * p.scale * half(whole_ny_);
  const auto fixed = [](double x) { return static_cast<index_t>(std::llround(std::ldexp(x, kPositionBits))); };
  const auto line = [&](double start, double step, double lane) {
    return SampleLine{fixed(start), fixed(step), fixed(lane)};
  };
  return {line(half(detector_.height) + u * p.sin_axis + v * p.cos_axis + p.shift_row, sign * p.sin_axis,
               sign * p.scale * p.cos_axis),
          line(half(detector_.width) + u * p.cos_axis - v * p.sin_axis + p.shift_column, sign * p.cos_axis,
               -sign * p.scale * p.sin_axis)};
}

Turn ProjectionPlan::turn(index_t tilt) const {
  const ImageWindow w = turned_->window_;
  return make_turn(grid_of_turned(tilt), whole_ny_, {w.row, w.row + w.height}, {w.column, w.column + w.width},
                   detector_, window_);
}

Turn ProjectionPlan::turn(index_t tilt, Range rows) const {
  const ImageWindow w = turned_->window_;
  const index_t begin = first_ + rows.begin, end = first_ + rows.end;
  const bool reversed = turned_->tilts_[at(tilt)].cos_axis < 0.0;
  return make_turn(grid_of_turned(tilt), whole_ny_,
                   reversed ? Range{whole_ny_ - end, whole_ny_ - begin} : Range{begin, end},
                   {w.column, w.column + w.width}, detector_, window_);
}

void ProjectionPlan::add_tilt(const TiltPose& pose) {
  const bool steep = std::abs(pose.sin_tilt) > kSteepTangent * std::abs(pose.cos_tilt);
  const index_t along = steep ? volume_.nz : volume_.nx, across = steep ? volume_.nx : volume_.nz;
  stretch_.push_back({steep, pose.scale * (steep ? pose.sin_tilt : pose.cos_tilt), 0});
  (steep ? steep_ : shallow_).tilts.push_back(static_cast<index_t>(stretch_.size()) - 1);
  // The forward projector writes whole runs: up to one run and one chunk's rounding beyond the voxels' shadow.
  const double reach = std::abs(slope(static_cast<index_t>(stretch_.size()) - 1)) * half(across);
  const index_t extension = static_cast<index_t>(std::ceil(reach)) + 2 * kRun + 8;
  stretch_.back().centre = extension;
  first_row_.push_back(total_rows_);
  total_rows_ += (along + kRun - 1) / kRun * kRun + 2 * extension + 2;
}

double ProjectionPlan::slope(index_t tilt) const {
  const TiltPose& p = tilts_[at(tilt)];
  return stretch_[at(tilt)].steep ? p.cos_tilt / p.sin_tilt : p.sin_tilt / p.cos_tilt;
}

double ProjectionPlan::spacing(index_t tilt) const {
  require(tilt >= 0 && tilt < tilts(), "tilt: found ", tilt, ", expected 0 to ", tilts() - 1);
  return std::abs(stretch_[at(tilt)].step);
}

index_t ProjectionPlan::lanes(index_t block) const { return std::min<index_t>(kLanes, volume_.ny - block * kLanes); }

SampleGrid ProjectionPlan::grid_of_detector(index_t tilt, index_t block) const {
  const TiltPose& p = tilts_[at(tilt)];
  const Stretch& s = stretch_[at(tilt)];
  const double first = -half(s.steep ? volume_.nz : volume_.nx) - static_cast<double>(s.centre);
  const double u = first * s.step + p.axis_offset;
  const double across = p.scale * p.across;
  const double v = across * (static_cast<double>(first_ + block * kLanes) - half(whole_ny_));
  const auto line = [](double start, double step, double lane) {
    const auto fixed = [](double x) { return static_cast<index_t>(std::llround(std::ldexp(x, kPositionBits))); };
    return SampleLine{fixed(start), fixed(step), fixed(lane)};
  };
  return {line(half(detector_.height) + u * p.sin_axis + v * p.cos_axis + p.shift_row, s.step * p.sin_axis,
               across * p.cos_axis),
          line(half(detector_.width) + u * p.cos_axis - v * p.sin_axis + p.shift_column, s.step * p.cos_axis,
               -across * p.sin_axis)};
}

SampleGrid ProjectionPlan::grid(index_t tilt, index_t block) const {
  SampleGrid g = grid_of_detector(tilt, block);
  g.row.start -= window_.row << kPositionBits;  // whole pixels: the rest, and so every weight, stays as it is
  g.column.start -= window_.column << kPositionBits;
  return g;
}

Range ProjectionPlan::samples(index_t tilt, index_t block) const {
  // A sheared strip crosses other lines kTaps / 2 pixels from a sample: one more, or less, at most.
  const bool sheared = !straight(tilt), down = strip(tilt, 0).down;
  const index_t rows = sheared && !down ? kTaps : 0, columns = sheared && down ? kTaps : 0;
  return touching(grid_of_detector(tilt, block), row_count(tilt), lanes(block), {-rows, detector_.height + rows},
                  {-columns, detector_.width + columns});
}

// Widens `window` by the pixels that lie up to `reach` pixels from samples [samples.begin, samples.end) of `lanes`
// lines.
void ProjectionPlan::widen(ImageWindow& window, const SampleGrid& g, Range range, Range lines, index_t reach) const {
  const auto seen = [&](const SampleLine& line, index_t extent, index_t& begin, index_t& count) {
    index_t low = std::numeric_limits<index_t>::max(), high = std::numeric_limits<index_t>::min();
    for (index_t i : {range.begin, range.end - 1})  // positions are linear: the corners hold the extremes
      for (index_t lane : {lines.begin, lines.end - 1}) {
        const index_t pixel = (line.start + i * line.step + lane * line.lane) >> kPositionBits;
        low = std::min(low, pixel - (reach - 1));
        high = std::max(high, pixel + reach + 1);
      }
    low = std::clamp<index_t>(low, 0, extent - 1);
    high = std::clamp<index_t>(high, low + 1, extent);
    const index_t end = count == 0 ? high : std::max(begin + count, high);
    begin = count == 0 ? low : std::min(begin, low);
    count = end - begin;
  };
  seen(g.row, detector_.height, window.row, window.height);
  seen(g.column, detector_.width, window.column, window.width);
}

ImageWindow ProjectionPlan::window(Range rows) const {
  const index_t first = rows.begin + first_, last = rows.end + first_;
  require(rows.begin >= 0 && rows.begin < rows.end && rows.end <= volume_.ny, "slab: found rows ", rows.begin, " to ",
          rows.end, ", expected part of 0 to ", volume_.ny);
  require(first % kSlabRows == 0 && (last % kSlabRows == 0 || last == whole_ny_), "slab: found rows ", rows.begin,
          " to ", rows.end, ", expected multiples of ", kSlabRows, " or the volume's last row");
  ImageWindow out{0, 0, 0, 0};
  if (turned_ != nullptr) {
    const ImageWindow w = turned_->window(rows);
    for (index_t tilt = 0; tilt < tilts(); ++tilt)
      widen(out, grid_of_turned(tilt), {w.column, w.column + w.width}, {w.row, w.row + w.height}, kTurnReach);
    return out;
  }
  for (index_t tilt = 0; tilt < tilts(); ++tilt)
    for (index_t block = rows.begin / kLanes; block * kLanes < rows.end; ++block) {
      const Range range = samples(tilt, block);
      const index_t reach = kTaps / 2 + (straight(tilt) ? 0 : 1);  // see samples()
      if (range.begin < range.end) widen(out, grid_of_detector(tilt, block), range, {0, lanes(block)}, reach);
    }
  return out.height == 0 ? ImageWindow{0, 0, 1, 1} : out;  // of rows that see nothing, something
}

ProjectionPlan ProjectionPlan::slab(Range rows) const {
  const ImageWindow seen = window(rows);
  ProjectionPlan out(tilts_, {volume_.nz, rows.end - rows.begin, volume_.nx}, detector_, turned_ != nullptr);
  out.first_ = rows.begin + first_;
  out.whole_ny_ = whole_ny_;
  out.window_ = seen;
  if (turned_ != nullptr) out.turned_ = std::make_unique<const ProjectionPlan>(turned_->slab(rows));
  return out;
}

bool ProjectionPlan::straight(index_t tilt) const {
  const StripGrid s = strip(tilt, 0);
  return s.across.step == 0 && s.along.lane == 0 && std::abs(s.across.lane) == index_t{1} << kPositionBits;
}

StripGrid ProjectionPlan::strip(index_t tilt, index_t block) const {
  const SampleGrid g = grid_of_detector(tilt, -first_ / kLanes);  // of the whole: slabs round alike
  const bool down = std::abs(g.row.step) > std::abs(g.column.step);
  const SampleLine &along = down ? g.row : g.column, &across = down ? g.column : g.row;
  // Where the volume row of a lane crosses pixel j: sample i = (j - along.start - lane along.lane) / along.step.
  const double slope = static_cast<double>(across.step) / static_cast<double>(along.step);
  const auto crossing = [&](index_t line, index_t offset) {
    return line - static_cast<index_t>(std::llround(slope * static_cast<double>(offset)));
  };
  StripGrid s = {
      along,
      {crossing(across.start, along.start), static_cast<index_t>(std::llround(std::ldexp(slope, kPositionBits))),
       crossing(across.lane, along.lane)},
      down};
  const index_t row = first_ + block * kLanes, pixel = down ? window_.row : window_.column;
  s.along.start += row * s.along.lane - (pixel << kPositionBits);
  s.across.start += row * s.across.lane + pixel * s.across.step;
  s.across.start -= (down ? window_.column : window_.row) << kPositionBits;
  return s;
}

Range ProjectionPlan::strip_pixels(index_t tilt, Range blocks, Range samples) const {
  if (samples.begin == samples.end) return {0, 0};
  const StripGrid first = strip(tilt, blocks.begin), last = strip(tilt, blocks.end - 1);
  const index_t extent = first.down ? window_.height : window_.width;
  index_t low = extent, high = 0;
  for (index_t i : {samples.begin, samples.end - 1})
    for (index_t start : {first.along.start, last.along.start + (kLanes - 1) * last.along.lane}) {
      const index_t pixel = (start + i * first.along.step) >> kPositionBits;
      low = std::min(low, pixel);
      high = std::max(high, pixel);
    }
  const index_t begin = std::max<index_t>(0, low - kTaps / 2 + 1);
  return {begin, std::max(begin, std::min(extent, high + kTaps / 2 + 1))};
}

index_t ProjectionPlan::table_bytes() const {
  const auto taps = [](const Bank& bank) {
    return std::ssize(bank.back) * index_t{2 * sizeof(Tap) + sizeof(PairTap)};  // back, forward, back_pairs
  };
  const index_t inner = turned() != nullptr ? turned()->table_bytes() : 0;
  return inner + taps(shallow_) + taps(steep_) + table_.size() * index_t{sizeof(float)};
}

index_t ProjectionPlan::strip_samples() const {
  double closest = kLargestScale;
  for (index_t tilt = 0; tilt < tilts(); ++tilt) closest = std::min(closest, spacing(tilt));
  return static_cast<index_t>(std::ceil(kTaps / closest)) + 1;
}

StripJob strip_job(const ProjectionPlan& plan, index_t tilt, Range blocks, float* strips) {
  StripJob job = {};
  job.blocks = blocks.end - blocks.begin;
  for (index_t b = 0; b < job.blocks; ++b) {
    job.grid[b] = plan.strip(tilt, blocks.begin + b);
    job.lanes[b] = plan.lanes(blocks.begin + b);
    job.strip[b] = strips + (b * plan.strip_rows() + kStripMargin) * kLanes;
  }
  return job;
}

void ProjectionPlan::fill(Bank& bank, index_t along, index_t across) {
  const index_t n = static_cast<index_t>(bank.tilts.size()), chunks = (across + kChunk - 1) / kChunk;
  bank.along = along;
  bank.across = across;
  bank.runs = (along + kRun - 1) / kRun;
  bank.middle.resize(at(n * chunks));
  bank.span.resize(at(n * chunks));
  std::vector<Shear> shears(at(n * across));
  index_t widest = 0;
  for (index_t t = 0; t < n; ++t) {
    const index_t tilt = bank.tilts[at(t)];
    for (index_t line = 0; line < across; ++line) {
      Shear& s = shears[at(t * across + line)] = shear(slope(tilt), line, across);
      s.whole += stretch_[at(tilt)].centre;
    }
    for (index_t c = 0; c < chunks; ++c) {
      const index_t first = c * kChunk, last = std::min(across, first + kChunk) - 1;
      const index_t middle = shears[at(t * across + (first + last) / 2)].whole;
      index_t span = 0;
      for (index_t line = first; line <= last; ++line)
        span = std::max(span, std::abs(shears[at(t * across + line)].whole - middle));
      bank.middle[at(t * chunks + c)] = middle;
      bank.span[at(t * chunks + c)] = span;
      widest = std::max(widest, span);
    }
  }
  bank.pad = 2 * widest + 2 * kRun + 2;
  bank.stride = bank.runs * kRun + 2 * bank.pad;
  require(across * bank.stride < std::numeric_limits<std::int32_t>::max() / kLanes, "volume: a plane of ", along, " x ",
          across, " voxels is too large; reconstruct a part of it");
  bank.back.resize(at(n * across));
  bank.back_pairs.resize(at(n * across));
  bank.forward.resize(at(n * across));
  for (index_t t = 0; t < n; ++t)
    for (index_t line = 0; line < across; ++line) {
      const Shear s = shears[at(t * across + line)];
      const index_t back = (first_row(bank.tilts[at(t)]) + s.whole) * kLanes;
      // Whole shifts have the weight 0 in both: low + 0 (high - low) is exact, low + 1 (high - low) need not be.
      const index_t whole = s.rest == 0.0f ? s.whole : s.whole + 1;
      const index_t forward = (line % kChunk * bank.stride + bank.pad - whole) * kLanes;
      const auto high = static_cast<std::int32_t>(s.rest * kFixedOne + 0.5f);
      bank.back[at(line * n + t)] = {static_cast<std::int32_t>(back), s.rest};
      bank.back_pairs[at(line * n + t)] = {static_cast<std::int32_t>(back), (high << 16) | (kFixedOne - high)};
      bank.forward[at(t * across + line)] = {static_cast<std::int32_t>(forward), s.rest == 0.0f ? 0.0f : 1.0f - s.rest};
    }
}

}  // namespace cryolith
