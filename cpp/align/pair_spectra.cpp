// SPDX-License-Identifier: BSD-3-Clause
#include "align/pair_spectra.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "align/weights.hpp"

namespace cryolith {
namespace {

constexpr double kTop = 0.45;        // cycles/px; beyond, interpolation and aliasing of real images spoil the phase
constexpr int kBands = 29;           // tops are multiples of 1/64 cycle/px, and the last
constexpr index_t kLineGroups = 64;  // at least, of row frequencies that are looked at together

double band_top(int k) { return k >= kBands ? kTop : k / 64.0; }

}  // namespace

std::size_t LineSums::last(std::size_t first, double coefficients) const {
  std::vector<double> lines(aa.size());
  for (std::size_t k = first; k < lines.size(); ++k) lines[k] = 1;
  const std::vector<double> a = neighbour_sums(aa), b = neighbour_sums(bb), both = neighbour_sums(ab),
                            count = neighbour_sums(lines);
  for (std::size_t k = aa.size(); k-- > std::max<std::size_t>(first, 1);)
    if (both[k] > kSignificant * std::sqrt(a[k] * b[k] / (2 * coefficients * count[k]))) return k;
  return 0;
}

// An even number of rows: what devices know of every second one they have from two halves of a spectrum.
PairPlan::PairPlan(index_t ny_, index_t nx_)
    : ny(ny_), nx(nx_), py(fft::good_size(ny + ny % 2)), px(fft::good_size(nx)), fft(py, px) {}

const Band& PairPlan::band(double top) const {
  int k = 1;
  while (k < kBands && band_top(k) < top) ++k;
  const std::lock_guard lock(mutex_);
  return bands_.try_emplace(k, py, px, band_top(k)).first->second;
}

index_t PairPlan::kept_columns() const {
  return std::min(px / 2 + 1, static_cast<index_t>(kTop * static_cast<double>(px)) + 1);
}

double PairSpectra::agree_beyond(const Vec2& part) {
  const index_t from = fft::BandPlan::rounded(band_->columns), half = plan_.py / 2;
  const index_t width = std::max<index_t>(1, half / kLineGroups);
  const auto py = static_cast<double>(plan_.py), px = static_cast<double>(plan_.px);
  const std::size_t column = sums_of_columns(from, part).last(static_cast<std::size_t>(from), independent_ * py / 2);
  const index_t first = band_->rows / 2 / width + 1;  // the rows before are the band's
  const std::size_t row =
      sums_of_rows(first, width, part)
          .last(static_cast<std::size_t>(first), 2 * independent_ * static_cast<double>(width * band_->columns));
  return std::max(static_cast<double>(column) / px,
                  std::min(kTop, static_cast<double>(static_cast<index_t>(row) * width) / py));
}

HostPairSpectra::HostPairSpectra(const PairPlan& plan, const Frame* const (&frames)[2], bool stabilise)
    : PairSpectra(plan),
      frames_{frames[0], frames[1]},
      stabilise_(stabilise),
      scratch_{fft::BandPlan::Scratch(plan.fft), fft::BandPlan::Scratch(plan.fft)} {}

void HostPairSpectra::provide() {
  const index_t each = plan_.fft.floats(band_->columns), spectrum = 2 * band_->samples();
  const index_t floats = 2 * each + 3 * spectrum + 16;
  if (floats > floats_) {
    memory_.reset();
    memory_ = std::make_unique_for_overwrite<float[]>(static_cast<std::size_t>(floats));
    floats_ = floats;
  }
  const auto line = reinterpret_cast<std::uintptr_t>(memory_.get());
  float* at = memory_.get() + (64 - line % 64) / sizeof(float);
  for (fft::LaneColumns& lanes : lanes_) lanes = plan_.fft.view(std::exchange(at, at + each));
  for (Spectrum& s : spectra_) s.use(*band_, std::exchange(at, at + spectrum));
}

void HostPairSpectra::load(const Overlap& overlap, double top) {
  band_ = &plan_.band(top);
  const index_t n = band_->columns, from = fft::BandPlan::rounded(n), group = plan_.fft.group(), rows = overlap.ny();
  provide();
  const std::vector<float> weight = overlap.weight({frames_[0], frames_[1]});
  std::vector<WindowedPatch> patches;
  for (std::size_t i = 0; i < 2; ++i) {
    Patch patch = overlap.patch(i);
    bend_ = window_bend(patch);
    if (!weight.empty()) patch.weight = weight.data();
    patches.emplace_back(*frames_[i], std::move(patch), stabilise_);
    for (index_t k = 0; k < group; ++k) std::fill_n(scratch_[i].row(k), plan_.px, 0.0f);
  }
  independent_ = patches[1].independent(static_cast<double>(plan_.py) * static_cast<double>(plan_.px));
  row_sums_.assign(static_cast<std::size_t>(4 * (plan_.fft.whole() - from)), 0.0f);
  for (index_t first = 0; first < rows; first += group) {
    const index_t count = std::min(group, rows - first);
    for (std::size_t i = 0; i < 2; ++i) {
      for (index_t k = 0; k < count; ++k) patches[i].row(first + k, scratch_[i].row(k));
      plan_.fft.rows(first, count, n, scratch_[i], lanes_[i]);
    }
    for (index_t k = first % 2; k < count && !whole(); k += 2)  // half of the rows tell
      plan_.fft.add_cross(scratch_[0], scratch_[1], k, from, row_sums_.data());
  }
  for (std::size_t i = 0; i < 2; ++i) {
    plan_.fft.columns(n, rows, scratch_[i], lanes_[i]);
    spectra_[i].crop(*band_, lanes_[i]);
  }
}

RingSums HostPairSpectra::sums(const Vec2& part) { return ring_sums(Part(*band_), spectra_[0], spectra_[1], part); }

Top HostPairSpectra::maximum(const RingWeights& weights, const Vec2& start) {
  const Part used(*band_, weights.top);
  weighted_cross(used, spectra_[0], spectra_[1], weights.weight, spectra_[2]);
  return correlation_top(used, spectra_[2], start);
}

LineSums HostPairSpectra::sums_of_columns(index_t first, const Vec2& part) {
  const index_t kept = plan_.kept_columns();
  LineSums out(static_cast<std::size_t>(kept));
  for (index_t k = first; k < kept; ++k)
    out.add(static_cast<std::size_t>(k), row_sums_, static_cast<std::size_t>(plan_.fft.whole() - first),
            static_cast<std::size_t>(k - first),
            2 * std::numbers::pi * static_cast<double>(k) / static_cast<double>(plan_.px) * part.x);
  return out;
}

LineSums HostPairSpectra::sums_of_rows(index_t first, index_t width, const Vec2& part) {
  const index_t n = band_->stride;
  const auto py = static_cast<double>(plan_.py), px = static_cast<double>(plan_.px);
  LineSums out(static_cast<std::size_t>(plan_.py / 2 / width));
  for (auto line = static_cast<std::size_t>(first); line < out.aa.size(); ++line) {
    const index_t begin = static_cast<index_t>(line) * width;
    const double fy = (static_cast<double>(begin) + 0.5 * static_cast<double>(width - 1)) / py;
    for (const bool mirrored : {false, true}) {
      line_sums_.assign(static_cast<std::size_t>(4 * n), 0.0f);
      for (index_t k = begin; k < begin + width; ++k)
        fft::BandPlan::add_cross(lanes_[0], lanes_[1], n, mirrored ? plan_.py - k : k, line_sums_.data());
      for (index_t x = 0; x < band_->columns; ++x) {
        const double phase = (mirrored ? -fy : fy) * part.y + static_cast<double>(x) / px * part.x;
        out.add(line, line_sums_, static_cast<std::size_t>(n), static_cast<std::size_t>(x),
                2 * std::numbers::pi * phase);
      }
    }
  }
  return out;
}

}  // namespace cryolith
