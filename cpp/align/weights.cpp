// SPDX-License-Identifier: BSD-3-Clause
#include "align/weights.hpp"

#include <algorithm>
#include <cmath>

namespace cryolith {
namespace {

constexpr double kNeighbours = 0.15;  // relative half-width of the mean over rings
constexpr double kMostCoherent = 0.9999;  // keeps r finite for equal images
// Power below the strongest ring's at which a ring counts as noise: there the leak of the window is left of a smooth
// scene.
constexpr double kNoiseFloor = 1e-4;

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

std::vector<double> smoothed_means(const Band& band, const std::vector<double>& sums) {
  std::vector<double> out = neighbour_sums(sums);
  const std::vector<double> counts = neighbour_sums(band.counts);
  for (std::size_t r = 0; r < out.size(); ++r) out[r] = counts[r] > 0 ? out[r] / counts[r] : 0;
  return out;
}

RingWeights ring_weights(const Band& band, const std::vector<double>& power, const std::vector<double>& cross,
                         double frames, double independent, double top) {
  const double floor = kNoiseFloor * *std::max_element(power.begin(), power.end());
  const std::vector<double> counts = neighbour_sums(band.counts), coherent = smoothed_means(band, cross);
  RingWeights out{std::vector<float>(power.size()), 0, 0, 0, 1};
  double information = 0, certain = 0;
  std::vector<double> weight(power.size());
  const auto longest = static_cast<double>(std::max(band.py, band.px));
  for (std::size_t r = 1; r < power.size() && static_cast<double>(r) <= top * longest; ++r) {
    const double p = power[r] + floor;
    if (!(p > 0) || band.counts[r] == 0) continue;
    const double c = std::min(kMostCoherent, coherent[r] / p);
    const double noise = 1 / std::sqrt(std::max(1.0, counts[r] * independent / 2 * frames * (frames - 1)));
    if (!(c > kSignificant * noise)) continue;
    const double ratio = c / (1 - c);
    weight[r] = ratio / (p * (1 - c) * (1 + frames * ratio));
    const double f = static_cast<double>(r), worth = band.counts[r] * f * f * ratio * ratio / (1 + frames * ratio);
    information += worth;
    certain += worth * (1 - noise * noise / (c * c));  // the square of a noisy mean is too large by its variance
    out.scale = std::max(out.scale, weight[r]);
    out.top = (static_cast<double>(r) + 0.5) / longest, out.ratio = ratio;
  }
  if (information > 0) out.certain = certain / information;
  for (std::size_t r = 0; r < weight.size(); ++r)
    out.weight[r] = out.scale > 0 ? static_cast<float>(weight[r] / out.scale) : 0.0f;
  return out;
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
