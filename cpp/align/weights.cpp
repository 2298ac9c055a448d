// SPDX-License-Identifier: BSD-3-Clause
#include "align/weights.hpp"

#include <algorithm>
#include <cmath>

#include "align/ring_model.hpp"

namespace cryolith {
namespace {

constexpr double kNeighbours = 0.15;      // relative half-width of the mean over rings
constexpr double kMostCoherent = 0.9999;  // keeps a variance above 0 for equal images
constexpr double kMostRatio = 1e4;
constexpr double kEnough = 0.99;  // of the information: rings that hold the rest cost more than they tell

}  // namespace

std::vector<double> neighbour_sums(const std::vector<double>& in) {
  const auto n = static_cast<index_t>(in.size());
  std::vector<double> upto(in.size() + 1), out(in.size());
  for (std::size_t k = 0; k < in.size(); ++k) upto[k + 1] = upto[k] + (k == 0 ? 0.0 : in[k]);
  for (index_t r = 1; r < n; ++r) {
    const index_t reach = std::max<index_t>(1, static_cast<index_t>(kNeighbours * static_cast<double>(r)));
    const index_t first = std::max<index_t>(1, r - reach), last = std::min(n, r + reach + 1);
    out[static_cast<std::size_t>(r)] = upto[static_cast<std::size_t>(last)] - upto[static_cast<std::size_t>(first)];
  }
  return out;
}

RingWeights ring_weights(const Band& band, const std::vector<double>& power, const std::vector<double>& cross,
                         double frames, double independent) {
  RingWeights out{std::vector<float>(power.size()), 0, 0, 0};
  const RingModel model = fit_rings(band, power, cross, frames, independent);
  if (!(model.significance > kSignificant)) return out;
  const auto longest = static_cast<double>(std::max(band.py, band.px));
  std::vector<double> weight(power.size()), upto(power.size());
  double information = 0;
  for (std::size_t r = 1; r < power.size(); ++r) {
    const double f = static_cast<double>(r), noise = model.noise[r];
    const double ratio = noise > 0 ? std::min(kMostRatio, model.signal[r] / noise) : 0;
    if (noise > 0) weight[r] = ratio / (noise * (1 + frames * ratio));
    upto[r] = information += band.counts[r] * f * f * ratio * ratio / (1 + frames * ratio);
  }
  for (std::size_t r = 1; r < weight.size() && upto[r] > 0; ++r) {
    out.scale = std::max(out.scale, weight[r]);
    out.top = (static_cast<double>(r) + 0.5) / longest;
    const auto lower = std::max<std::size_t>(1, static_cast<std::size_t>(kLower * static_cast<double>(r)));
    out.ratio = model.signal[r] / model.noise[r];
    out.lower_ratio = model.noise[lower] > 0 ? model.signal[lower] / model.noise[lower] : out.ratio;
    if (upto[r] > kEnough * information) {
      std::fill(weight.begin() + static_cast<std::ptrdiff_t>(r) + 1, weight.end(), 0.0);
      break;
    }
  }
  for (std::size_t r = 0; r < weight.size(); ++r)
    out.weight[r] = out.scale > 0 ? static_cast<float>(weight[r] / out.scale) : 0.0f;
  return out;
}

double window_height(const RingWeights& weights, const RingSums& sums) {
  double out = 0;
  const auto at = [&](std::size_t r) {
    return r < weights.weight.size() ? static_cast<double>(weights.weight[r]) : 0.0;
  };
  // Along an axis half of the slope along the ring's radius.
  for (std::size_t r = 1; r < weights.weight.size(); ++r)
    out += sums.ab[r] * (at(r) + static_cast<double>(r) * (at(r + 1) - at(std::max<std::size_t>(r, 2) - 1)) / 4);
  return std::max(0.0, out);
}

std::vector<double> slope_variance(const Band& band, const RingWeights& weights, const RingSums& sums) {
  std::vector<double> out(sums.aa.size());
  for (std::size_t r = 1; r < out.size(); ++r) {
    if (!(band.counts[r] > 0) || weights.weight[r] == 0) continue;
    const double w = static_cast<double>(weights.weight[r]) * weights.scale / band.counts[r];
    const double both = sums.aa[r] * sums.bb[r];
    out[r] = w * w * std::max((1 - kMostCoherent * kMostCoherent) * both, both - sums.ab[r] * sums.ab[r]);
  }
  return out;
}

}  // namespace cryolith
