// SPDX-License-Identifier: BSD-3-Clause
#include "align/band.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace cryolith {
namespace {

constexpr double kTwoPi = 2 * std::numbers::pi;
constexpr int kNewtonSteps = 10;
constexpr double kClose = 1e-5;    // px: a step that ends the search
constexpr double kLeft = 0.1;      // of the bend, where all of it may be that of the windows: nothing is known there
constexpr double kFarthest = 3.0;  // px from the start: no polish goes farther

Slopes slopes_at(const Part& part, const Spectrum& cross, const Vec2& s) {
  const Band& band = part.band;
  const Phases phases(part, s);
  const auto sums = CRYOLITH_SELECT(phase_sums);
  Slopes out;
  part.each_row([&](index_t y) {
    const RowSums r = sums(cross.row(band, y), phases.row(y), band.fx.data(), part.columns);
    const double fy = band.fy[static_cast<std::size_t>(y)];
    out.value += r.re[0];
    out.y -= fy * r.im[0];
    out.x -= r.im[1];
    out.bend.yy += fy * fy * r.re[0];
    out.bend.yx += fy * r.re[1];
    out.bend.xx += r.re[2];
  });
  return out;
}

// Sum k of `kinds` of each ring over its copies; that of ring 0 is 0.
std::vector<double> without_copies(const std::vector<double>& sums, std::size_t kinds, std::size_t k) {
  constexpr auto copies = static_cast<std::size_t>(kRingCopies);
  std::vector<double> out(sums.size() / (kinds * copies));
  for (std::size_t r = 1; r < out.size(); ++r)
    for (std::size_t c = 0; c < copies; ++c) out[r] += sums[(r * copies + c) * kinds + k];
  return out;
}

}  // namespace

Band::Band(index_t py_, index_t px_, double top) : py(py_), px(px_) {
  const index_t longest = std::max(py, px), half = px / 2 + 1;
  for (index_t k = 0; k < py; ++k) {
    const double f = static_cast<double>(k <= py / 2 ? k : k - py) / static_cast<double>(py);
    if (std::abs(f) > top) continue;
    source.push_back(k);
    fy.push_back(f);
  }
  rows = static_cast<index_t>(source.size());
  columns = std::min(half, static_cast<index_t>(top * static_cast<double>(px)) + 1);
  stride = (columns + kBandLanes - 1) / kBandLanes * kBandLanes;
  rings = longest / 2 + 2;
  fx.assign(static_cast<std::size_t>(stride), 0);
  times.assign(fx.size(), 0);
  for (index_t k = 0; k < columns; ++k) {
    fx[static_cast<std::size_t>(k)] = static_cast<float>(static_cast<double>(k) / static_cast<double>(px));
    times[static_cast<std::size_t>(k)] = k == 0 || 2 * k == px ? 1.0f : 2.0f;
  }
  ring.assign(static_cast<std::size_t>(samples()), 0);
  std::vector<double> copies(static_cast<std::size_t>(kRingCopies * rings));
  const auto fill = CRYOLITH_SELECT(ring_row);
  for (index_t y = 0; y < rows; ++y) {
    std::uint32_t* row = ring.data() + y * stride;
    const auto k = static_cast<std::size_t>(y);
    // Frequency -f, on the other side, has the same rings; -1/2 cycle is not there.
    const index_t twin = fy[k] < 0 ? rows - y : 0;
    if (twin > 0 && fy[static_cast<std::size_t>(twin)] == -fy[k]) {
      std::copy_n(ring.data() + twin * stride, columns, row);
      continue;
    }
    const bool twins = fy[k] > 0 && y < rows - y && fy[static_cast<std::size_t>(rows - y)] == -fy[k];
    fill(static_cast<float>(fy[k]), fx.data(), static_cast<float>(top), static_cast<float>(longest), columns, row);
    for (index_t x = 0; x < columns; ++x)
      copies[static_cast<std::size_t>(kRingCopies * row[x] + x % kRingCopies)] +=
          static_cast<double>(times[static_cast<std::size_t>(x)]) * (twins ? 2 : 1);
  }
  counts = without_copies(copies, 1, 0);
}

Part::Part(const Band& band_, double top_)
    : band(band_),
      top(top_),
      columns(std::min(band.stride, (static_cast<index_t>(top * static_cast<double>(band.px)) + kBandLanes) /
                                        kBandLanes * kBandLanes)) {}

void Spectrum::use(const Band& band, float* memory) {
  samples_ = band.samples();
  re_ = memory, im_ = memory + samples_;
  for (index_t y = 0; y < band.rows; ++y) {
    const PlanarRow r = row(band, y);
    std::fill(r.re + band.columns, r.re + band.stride, 0.0f);
    std::fill(r.im + band.columns, r.im + band.stride, 0.0f);
  }
}

void Spectrum::reset(const Band& band) {
  if (samples_ == band.samples()) return;
  own_ = std::make_unique_for_overwrite<float[]>(static_cast<std::size_t>(2 * band.samples()));
  use(band, own_.get());
}

void Spectrum::copy(const Band& band, const Spectrum& from) {
  reset(band);
  std::copy_n(from.re_, samples_, re_);
  std::copy_n(from.im_, samples_, im_);
}

void Spectrum::crop(const Band& band, const std::complex<float>* half) {
  reset(band);
  const auto split = CRYOLITH_SELECT(split_row);
  for (index_t y = 0; y < band.rows; ++y)
    split(reinterpret_cast<const float*>(half + band.source[static_cast<std::size_t>(y)] * (band.px / 2 + 1)),
          band.columns, row(band, y));
}

void Spectrum::crop(const Band& band, const fft::LaneColumns& columns) {
  reset(band);
  for (index_t y = 0; y < band.rows; ++y) {
    const PlanarRow to = row(band, y);
    fft::BandPlan::planar(columns, band.stride, band.source[static_cast<std::size_t>(y)], to.re, to.im);
  }
}

Phases::Phases(const Part& part, const Vec2& shift)
    : cx_(static_cast<std::size_t>(part.columns)), sx_(cx_), cy_(part.band.fy.size()), sy_(cy_) {
  for (std::size_t x = 0; x < cx_.size(); ++x) {
    const double a = kTwoPi * static_cast<double>(part.band.fx[x]) * shift.x;
    cx_[x] = static_cast<float>(std::cos(a)), sx_[x] = static_cast<float>(std::sin(a));
  }
  part.each_row([&](index_t y) {
    const auto k = static_cast<std::size_t>(y);
    const double a = kTwoPi * part.band.fy[k] * shift.y;
    cy_[k] = static_cast<float>(std::cos(a)), sy_[k] = static_cast<float>(std::sin(a));
  });
}

std::vector<double> ring_power(const Part& part, const Spectrum& a) {
  const Band& band = part.band;
  std::vector<double> sums(static_cast<std::size_t>(kRingCopies * band.rings));
  const auto add = CRYOLITH_SELECT(ring_power);
  part.each_row(
      [&](index_t y) { add(a.row(band, y), band.ring_row(y), band.times.data(), part.columns, sums.data()); });
  return without_copies(sums, 1, 0);
}

RingSums ring_sums(const Part& part, const Spectrum& a, const Spectrum& b, const Vec2& shift) {
  const Band& band = part.band;
  std::vector<double> sums(static_cast<std::size_t>(3 * kRingCopies * band.rings));
  const Phases phases(part, shift);
  const auto add = CRYOLITH_SELECT(ring_sums);
  part.each_row([&](index_t y) {
    add(a.row(band, y), b.row(band, y), phases.row(y), band.ring_row(y), band.times.data(), part.columns, sums.data());
  });
  return {without_copies(sums, 3, 0), without_copies(sums, 3, 1), without_copies(sums, 3, 2)};
}

void add_moved(const Part& part, const Spectrum& f, const Vec2& shift, float sign, Spectrum& to) {
  const Band& band = part.band;
  const Phases phases(part, shift);
  const auto add = CRYOLITH_SELECT(add_moved);
  part.each_row([&](index_t y) { add(f.row(band, y), phases.row(y), sign, part.columns, to.row(band, y)); });
}

void weighted_cross(const Part& part, const Spectrum& a, const Spectrum& b, const std::vector<float>& weight,
                    Spectrum& to) {
  const Band& band = part.band;
  to.reset(band);
  const auto cross = CRYOLITH_SELECT(weighted_cross);
  part.each_row([&](index_t y) {
    cross(a.row(band, y), b.row(band, y), weight.data(), band.ring_row(y), band.times.data(), part.columns,
          to.row(band, y));
  });
}

Top correlation_top(const Part& part, const Spectrum& cross, const Vec2& start) {
  return correlation_top([&](const Vec2& s) { return slopes_at(part, cross, s); }, start);
}

Top correlation_top(const std::function<Slopes(const Vec2&)>& slopes, const Vec2& start) {
  Top top{start, false, 0, {}};
  Vec2 s = start;
  for (int step = 0; step < kNewtonSteps; ++step) {
    const Slopes at = slopes(s);
    const double det = kTwoPi * (at.bend.yy * at.bend.xx - at.bend.yx * at.bend.yx);
    if (!(det > 0) || at.bend.yy <= 0) break;
    const double dy = (at.bend.xx * at.y - at.bend.yx * at.x) / det;
    const double dx = (at.bend.yy * at.x - at.bend.yx * at.y) / det;
    s = {s.y + dy, s.x + dx};
    if (std::hypot(s.y - start.y, s.x - start.x) > kFarthest) break;
    if (std::hypot(dy, dx) > kClose) continue;
    constexpr double scale = kTwoPi * kTwoPi;
    return {s, true, at.value, {scale * at.bend.yy, scale * at.bend.yx, scale * at.bend.xx}};
  }
  return top;
}

double fisher(const Band& band, const std::vector<double>& information) {
  double sum = 0;
  const auto longest = static_cast<double>(std::max(band.py, band.px));
  for (std::size_t r = 1; r < information.size(); ++r) {
    const double f = kTwoPi * static_cast<double>(r) / longest;
    sum += information[r] * band.counts[r] * f * f / 2;
  }
  return sum;
}

Sym2 covariance_of(const Top& top, const Vec2& windows, double scale, double slope_variance) {
  const auto less = [&](double bend, double window) { return scale * std::max(bend - window, kLeft * bend); };
  const Sym2 h = inverse({less(top.bend.yy, windows.y), scale * top.bend.yx, less(top.bend.xx, windows.x)});
  if (!std::isfinite(h.yy)) return h;
  return {slope_variance * (h.yy * h.yy + h.yx * h.yx), slope_variance * h.yx * (h.yy + h.xx),
          slope_variance * (h.yx * h.yx + h.xx * h.xx)};
}

Sym2 inverse(const Sym2& m) {
  const double det = m.yy * m.xx - m.yx * m.yx;
  constexpr double none = std::numeric_limits<double>::infinity();
  if (!(det > 0)) return {none, 0, none};
  return {m.xx / det, -m.yx / det, m.yy / det};
}

}  // namespace cryolith
