// SPDX-License-Identifier: BSD-3-Clause
#include "align/search.hpp"

#include <algorithm>
#include <cmath>

#include "align/ring_model.hpp"

namespace cryolith {
namespace {

constexpr double kTaper = 0.12;      // of each edge: wide, as windows that stay in place pull the shift towards zero
constexpr double kLow = 0.01;        // cycles/px of the images: slower than this is illumination rather than specimen
constexpr double kFlat = 1e-10;      // of the squared values: below, float32 rounding is all the contrast there is
constexpr float kWorthALook = 0.1f;  // of the highest: lower maxima are not listed
constexpr double kTop = 0.5;
constexpr index_t kSeparate = 3;  // binned px between maxima that are told apart

index_t padded(index_t n, double reach) {
  return fft::good_size(n + static_cast<index_t>(std::min(reach, static_cast<double>(n))) + 1);
}

}  // namespace

Search::Search(index_t ny, index_t nx, index_t binning, double max_shift)
    : ny_(ny / binning),
      nx_(nx / binning),
      binning_(binning),
      band_(padded(ny_, max_shift / static_cast<double>(binning)),
            padded(nx_, max_shift / static_cast<double>(binning)), kTop),
      plan_(std::vector<index_t>{band_.py, band_.px}, 2, fft::Kind::real) {
  const auto reach = static_cast<index_t>(std::ceil(max_shift / static_cast<double>(binning)));
  reach_y_ = std::min(reach, band_.py / 2 - 1);
  reach_x_ = std::min(reach, band_.px / 2 - 1);
}

float PeakList::least() const { return kWorthALook * best_; }

double PeakList::vertex(float before, float here, float after) {
  const double b = static_cast<double>(before), h = static_cast<double>(here), a = static_cast<double>(after);
  const double bend = b - 2 * h + a;
  return bend < 0 ? std::clamp(0.5 * (b - a) / bend, -0.5, 0.5) : 0.0;
}

void PeakList::remove(int i) {
  for (--peaks_.count; i < peaks_.count; ++i) {
    peaks_.height[i] = peaks_.height[i + 1];
    peaks_.shift[i] = peaks_.shift[i + 1];
    place_[i] = place_[i + 1];
  }
}

void PeakList::insert(index_t y, index_t x, float height, const Vec2& part) {
  const auto high = static_cast<double>(height);
  for (int i = 0; i < peaks_.count; ++i)  // bumps of one maximum
    if (std::abs(place_[i].y - y) <= kSeparate && std::abs(place_[i].x - x) <= kSeparate) {
      if (high <= peaks_.height[i]) return;
      remove(i);
      break;
    }
  int k = std::min(peaks_.count, kPeaks - 1);
  if (peaks_.count == kPeaks && high <= peaks_.height[k]) return;
  for (; k > 0 && peaks_.height[k - 1] < high; --k) {
    peaks_.height[k] = peaks_.height[k - 1];
    peaks_.shift[k] = peaks_.shift[k - 1];
    place_[k] = place_[k - 1];
  }
  place_[k] = {y, x};
  peaks_.height[k] = high;
  peaks_.shift[k] = {binning_ * (static_cast<double>(y) + part.y), binning_ * (static_cast<double>(x) + part.x)};
  peaks_.count = std::min(peaks_.count + 1, kPeaks);
}

Patch Search::patch() const {
  const auto taper = [](index_t n) { return kTaper * static_cast<double>(n); };
  return {0, 0, edge_window(ny_, taper(ny_), 0), edge_window(nx_, taper(nx_), 0)};
}

CoarseRings Search::rings(const std::vector<double>& power, double kept, double all, double independent) const {
  // All common power is above the noise, which is the mean of the highest frequencies.
  double beyond = 0, count = 0;
  for (std::size_t r = power.size() - power.size() / 3; r < power.size(); ++r)
    beyond += power[r], count += band_.counts[r];
  std::vector<double> above(power.size());
  for (std::size_t r = 0; r < power.size(); ++r) above[r] = power[r] - beyond / count * band_.counts[r];
  RingModel model = fit_rings(band_, power, above, 2, independent);
  const double noise = *std::max_element(model.noise.begin(), model.noise.end());
  return {std::move(model.signal), noise, kept <= kFlat * all};
}

std::vector<float> Search::weights(const CoarseRings& a, const CoarseRings& b) const {
  std::vector<float> weight(a.signal.size());
  const double low = kLow * static_cast<double>(binning_), longest = static_cast<double>(std::max(band_.py, band_.px));
  double largest = 0;
  for (int pass = 0; pass < 2 && largest == 0; ++pass)  // with no ring above the noise all count alike
    for (std::size_t r = 1; r < weight.size(); ++r) {
      const double f = static_cast<double>(r) / longest, s = pass == 0 ? std::sqrt(a.signal[r] * b.signal[r]) : 1.0;
      const double w = s / (a.noise * b.noise + s * (a.noise + b.noise)) * (1 - std::exp(-f * f / (2 * low * low)));
      weight[r] = static_cast<float>(w);
      largest = std::max(largest, w);
    }
  for (float& w : weight) w = largest > 0 ? static_cast<float>(static_cast<double>(w) / largest) : 0.0f;
  return weight;
}

void Search::load(const Frame& frame, Scratch& scratch, CoarseFrame& out) const {
  const std::vector<float>& small = frame.small;
  Frame coarse;
  coarse.image = {small.data(), {ny_, nx_}};
  scratch.map.resize(static_cast<std::size_t>(band_.py * band_.px));
  const double independent = window_patch(coarse, patch(), false, band_.py, band_.px, scratch.map.data());
  const auto squares = CRYOLITH_SELECT(square_sum);
  double kept = 0, all = 0;
  for (index_t y = 0; y < ny_; ++y)
    kept += squares(scratch.map.data() + y * band_.px, nx_), all += squares(small.data() + y * nx_, nx_);
  out.spectrum.resize(static_cast<std::size_t>(band_.py * (band_.px / 2 + 1)));
  plan_.forward(Cpu{1, nullptr, {}}, scratch.map.data(), out.spectrum.data(), scratch.fft);
  Spectrum planar;
  planar.crop(band_, out.spectrum.data());
  out.rings = rings(ring_power(Part(band_), planar), kept, all, independent);
}

Peaks Search::correlate(const CoarseFrame& a, const CoarseFrame& b, Scratch& scratch) const {
  const std::vector<float> weight = weights(a.rings, b.rings);
  const index_t half = band_.px / 2 + 1;
  scratch.cross.assign(a.spectrum.size(), {});
  for (index_t y = 0; y < band_.rows; ++y) {
    const index_t from = band_.source[static_cast<std::size_t>(y)] * half;
    const std::uint32_t* ring = band_.ring_row(y);
    for (index_t x = 0; x < band_.columns; ++x) {
      const auto k = static_cast<std::size_t>(from + x);
      const Wave product = cross_wave({a.spectrum[k].real(), a.spectrum[k].imag()},
                                      {b.spectrum[k].real(), b.spectrum[k].imag()}, weight[ring[x]]);
      scratch.cross[k] = {product.re, product.im};
    }
  }
  scratch.map.resize(static_cast<std::size_t>(band_.py * band_.px));
  plan_.inverse(Cpu{1, nullptr, {}}, scratch.cross.data(), scratch.map.data(), 1.0f, scratch.fft);
  return tops(scratch.map);
}

Peaks Search::tops(const std::vector<float>& map) const {
  const auto largest = CRYOLITH_SELECT(largest_value);
  std::vector<float> best_of_row;
  float best = 0;
  for (index_t y = -reach_y_; y <= reach_y_; ++y) {
    const float* row = map.data() + (y < 0 ? y + band_.py : y) * band_.px;
    best_of_row.push_back(std::max(largest(row, reach_x_ + 1), largest(row + band_.px - reach_x_, reach_x_)));
    best = std::max(best, best_of_row.back());
  }
  PeakList list(best, binning_);
  const auto at = [&](index_t y, index_t x) {
    return map[static_cast<std::size_t>((y < 0 ? y + band_.py : y) * band_.px + (x < 0 ? x + band_.px : x))];
  };
  for (index_t y = -reach_y_; y <= reach_y_; ++y) {
    if (!(best_of_row[static_cast<std::size_t>(y + reach_y_)] > list.least())) continue;
    for (index_t x = -reach_x_; x <= reach_x_; ++x)
      if (at(y, x) > list.least()) list.look(y, x, [&](index_t j, index_t i) { return at(y + j, x + i); });
  }
  return list.peaks();
}

}  // namespace cryolith
