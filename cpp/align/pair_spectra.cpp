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

index_t kept_columns(index_t px) {
  return std::min(px / 2 + 1, static_cast<index_t>(kTop * static_cast<double>(px)) + 1);
}

// Sums of |a|^2, |b|^2 and Re(conj(a) b), b moved back, over lines of one frequency along an axis.
struct LineSums {
  std::vector<double> aa, bb, ab, lines;
  explicit LineSums(std::size_t n) : aa(n), bb(n), ab(n), lines(n) {}
  // `sums` of column k as BandPlan::add_cross leaves them for n columns; phase: 2 pi frequency shift.
  void add(std::size_t line, const std::vector<float>& sums, std::size_t n, std::size_t k, double phase) {
    const auto at = [&](std::size_t kind) { return static_cast<double>(sums[kind * n + k]); };
    lines[line] = 1, aa[line] += at(0), bb[line] += at(1),
    ab[line] += at(2) * std::cos(phase) - at(3) * std::sin(phase);
  }
  // The last line from `first` on that agrees, each of so many independent complex coefficients; 0: none.
  std::size_t last(std::size_t first, double coefficients) const {
    const std::vector<double> a = neighbour_sums(aa), b = neighbour_sums(bb), both = neighbour_sums(ab),
                              count = neighbour_sums(lines);
    for (std::size_t k = aa.size(); k-- > std::max<std::size_t>(first, 1);)
      if (both[k] > kSignificant * std::sqrt(a[k] * b[k] / (2 * coefficients * count[k]))) return k;
    return 0;
  }
};

}  // namespace

PairPlan::PairPlan(index_t ny_, index_t nx_)
    : ny(ny_), nx(nx_), py(fft::good_size(ny)), px(fft::good_size(nx)), fft(py, px) {}

const Band& PairPlan::band(double top) const {
  int k = 1;
  while (k < kBands && band_top(k) < top) ++k;
  const std::lock_guard lock(mutex_);
  return bands_.try_emplace(k, py, px, band_top(k)).first->second;
}

PairSpectra::PairSpectra(const PairPlan& plan)
    : plan_(plan), scratch_{fft::BandPlan::Scratch(plan.fft), fft::BandPlan::Scratch(plan.fft)} {}

bool PairSpectra::whole() const { return band_->columns >= kept_columns(plan_.px); }

void PairSpectra::provide() {
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

void PairSpectra::load(const Frame* const (&frames)[2], const Overlap& overlap, bool stabilise, double top) {
  band_ = &plan_.band(top);
  const index_t n = band_->columns, from = fft::BandPlan::rounded(n), group = plan_.fft.group(), rows = overlap.ny();
  provide();
  const std::vector<float> weight = overlap.weight({frames[0], frames[1]});
  std::vector<WindowedPatch> patches;
  for (std::size_t i = 0; i < 2; ++i) {
    Patch patch = overlap.patch(i);
    bend_ = window_bend(patch);
    if (!weight.empty()) patch.weight = weight.data();
    patches.emplace_back(*frames[i], std::move(patch), stabilise);
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

double PairSpectra::agree_along_rows(const Vec2& part) const {
  const index_t from = fft::BandPlan::rounded(band_->columns), kept = kept_columns(plan_.px);
  const auto px = static_cast<double>(plan_.px);
  LineSums lines(static_cast<std::size_t>(kept));
  for (index_t k = from; k < kept; ++k)
    lines.add(static_cast<std::size_t>(k), row_sums_, static_cast<std::size_t>(plan_.fft.whole() - from),
              static_cast<std::size_t>(k - from), 2 * std::numbers::pi * static_cast<double>(k) / px * part.x);
  const std::size_t last = lines.last(static_cast<std::size_t>(from), independent_ * static_cast<double>(plan_.py) / 2);
  return static_cast<double>(last) / px;
}

double PairSpectra::agree_along_columns(const Vec2& part) {
  const index_t n = band_->stride, half = plan_.py / 2, width = std::max<index_t>(1, half / kLineGroups);
  const auto py = static_cast<double>(plan_.py), px = static_cast<double>(plan_.px);
  LineSums lines(static_cast<std::size_t>(half / width));
  for (std::size_t line = 0; line < lines.aa.size(); ++line) {
    const index_t first = static_cast<index_t>(line) * width;
    if (first <= band_->rows / 2) continue;  // these the band has
    for (const bool mirrored : {false, true}) {
      line_sums_.assign(static_cast<std::size_t>(4 * n), 0.0f);
      for (index_t k = first; k < first + width; ++k)
        fft::BandPlan::add_cross(lanes_[0], lanes_[1], n, mirrored ? plan_.py - k : k, line_sums_.data());
      const double fy = (static_cast<double>(first) + 0.5 * static_cast<double>(width - 1)) / py;
      for (index_t x = 0; x < band_->columns; ++x) {
        const double phase = (mirrored ? -fy : fy) * part.y + static_cast<double>(x) / px * part.x;
        lines.add(line, line_sums_, static_cast<std::size_t>(n), static_cast<std::size_t>(x),
                  2 * std::numbers::pi * phase);
      }
    }
  }
  const double coefficients = 2 * independent_ * static_cast<double>(width * band_->columns);
  const std::size_t last = lines.last(static_cast<std::size_t>(band_->rows / 2 / width + 1), coefficients);
  return std::min(kTop, static_cast<double>(static_cast<index_t>(last) * width) / py);
}

double PairSpectra::agree_beyond(const Vec2& part) {
  return std::max(agree_along_rows(part), agree_along_columns(part));
}

}  // namespace cryolith
