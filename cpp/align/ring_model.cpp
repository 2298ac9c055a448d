// SPDX-License-Identifier: BSD-3-Clause
#include "align/ring_model.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "align/weights.hpp"

namespace cryolith {
namespace {

constexpr int kTerms = 3;  // of the parabola
constexpr int kSteps = 40;
constexpr double kLongestStep = 1.0, kDone = 1e-6;  // of the logarithms
constexpr double kLeast = 1e-12;                    // of the largest power
// Power below the strongest ring's at which a ring counts as noise: there the leak of the window is left of a smooth
// scene.
constexpr double kNoiseFloor = 1e-4;

using Terms = std::array<double, kTerms + 1>;  // logarithm of the signal; of the noise

struct Ring {
  double weight;                     // independent coefficients
  double sum, rest;                  // mean power of the images' sum over its root, and of what is orthogonal to it
  std::array<double, kTerms> terms;  // 1, x, x^2 of the logarithm of its frequency
};

double signal_of(const Ring& ring, const Terms& t) {
  double log = 0;
  for (std::size_t j = 0; j < kTerms; ++j) log += t[j] * ring.terms[j];
  return std::exp(std::clamp(log, -80.0, 80.0));
}

// Solves a x = b for the symmetric positive a, with `damping` of its diagonal added.
Terms solve(std::array<Terms, kTerms + 1> a, Terms b, double damping) {
  constexpr std::size_t n = kTerms + 1;
  for (std::size_t i = 0; i < n; ++i) a[i][i] *= 1 + damping, a[i][i] += 1e-300;
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t k = i + 1; k < n; ++k) {
      const double f = a[k][i] / a[i][i];
      for (std::size_t j = i; j < n; ++j) a[k][j] -= f * a[i][j];
      b[k] -= f * b[i];
    }
  for (std::size_t i = n; i-- > 0;) {
    for (std::size_t j = i + 1; j < n; ++j) b[i] -= a[i][j] * b[j];
    b[i] /= a[i][i];
  }
  return b;
}

// Minus the logarithm of the likelihood; with its slope and Fisher information if asked for.
double likelihood(const std::vector<Ring>& rings, double frames, const Terms& t, Terms* slope,
                  std::array<Terms, kTerms + 1>* information) {
  const double noise = std::exp(t[kTerms]);
  double out = 0;
  for (const Ring& ring : rings) {
    const double s = frames * signal_of(ring, t), v = s + noise;
    out += ring.weight * (std::log(v) + ring.sum / v + (frames - 1) * (std::log(noise) + ring.rest / noise));
    if (slope == nullptr) continue;
    Terms d;
    for (std::size_t j = 0; j < kTerms; ++j) d[j] = s * ring.terms[j] / v;
    d[kTerms] = noise / v;
    for (std::size_t i = 0; i <= kTerms; ++i) {
      (*slope)[i] += ring.weight * (ring.sum / v - 1) * d[i];
      for (std::size_t j = 0; j <= kTerms; ++j) (*information)[i][j] += ring.weight * d[i] * d[j];
    }
    (*slope)[kTerms] += ring.weight * (frames - 1) * (ring.rest / noise - 1);
    (*information)[kTerms][kTerms] += ring.weight * (frames - 1);
  }
  return out;
}

// Fisher scoring, damped until each step is one for the better.
Terms fit(const std::vector<Ring>& rings, double frames) {
  double weight = 0, signal = 0, noise = 0;
  for (const Ring& r : rings)
    weight += r.weight, noise += r.weight * r.rest, signal += r.weight * (r.sum - r.rest) / frames;
  Terms t{std::log(std::max(signal, 1e-3 * noise) / weight), -1.0, 0.0, std::log(noise / weight)};
  double value = likelihood(rings, frames, t, nullptr, nullptr), damping = 0.01;
  for (int step = 0; step < kSteps; ++step) {
    Terms slope{};
    std::array<Terms, kTerms + 1> information{};
    likelihood(rings, frames, t, &slope, &information);
    Terms move = solve(information, slope, damping), next = t;
    double longest = 0;
    for (double m : move) longest = std::max(longest, std::abs(m));
    if (!std::isfinite(longest)) break;
    for (std::size_t i = 0; i <= kTerms; ++i) next[i] += move[i] * std::min(1.0, kLongestStep / longest);
    const double after = likelihood(rings, frames, next, nullptr, nullptr);
    if (!(after <= value)) {
      if (longest < kDone || damping > 1e6) break;
      damping *= 10;
      continue;
    }
    t = next, value = after, damping *= 0.1;
    if (longest < kDone) break;
  }
  return t;
}

// Rings of any coefficients, and the number of each.
std::vector<Ring> rings_of(const Band& band, const std::vector<double>& power, const std::vector<double>& cross,
                           double frames, double independent, double floor, std::vector<std::size_t>& numbers) {
  std::vector<Ring> out;
  double weight = 0, mean = 0, square = 0;
  for (std::size_t r = 1; r < power.size(); ++r) {
    if (!(band.counts[r] > 0)) continue;
    const double n = band.counts[r], p = power[r] / n + floor, c = cross[r] / n, x = std::log(static_cast<double>(r));
    const double w = n * independent / 2;
    numbers.push_back(r);
    out.push_back({w, std::max(p + (frames - 1) * c, kLeast * floor), std::max(p - c, floor), {1, x, 0}});
    weight += w, mean += w * x, square += w * x * x;
  }
  mean /= weight;
  const double width = std::sqrt(std::max(1e-6, square / weight - mean * mean));
  for (Ring& ring : out) ring.terms[1] = (ring.terms[1] - mean) / width, ring.terms[2] = ring.terms[1] * ring.terms[1];
  return out;
}

// Takes the ratio of `found` to `model`, means over neighbours, where they are too far apart: beyond 3 sigma, which are
// `spread`[r] for a single coefficient.
void follow(const Band& band, const std::vector<double>& found, const std::vector<double>& spread, double independent,
            double least, std::vector<double>& model) {
  const auto sums = [&](const std::vector<double>& values) {
    std::vector<double> times(values);
    for (std::size_t r = 0; r < times.size(); ++r) times[r] *= band.counts[r];
    return neighbour_sums(times);
  };
  const std::vector<double> is = sums(found), was = sums(model), count = neighbour_sums(band.counts);
  for (std::size_t r = 1; r < model.size(); ++r) {
    if (!(band.counts[r] > 0) || !(was[r] > 0)) continue;
    const double sigma = spread[r] * std::sqrt(count[r] / (independent / 2));
    if (std::abs(is[r] - was[r]) > kSignificant * sigma) model[r] *= std::max(least, is[r] / was[r]);
  }
}

}  // namespace

RingModel fit_rings(const Band& band, const std::vector<double>& power, const std::vector<double>& cross, double frames,
                    double independent) {
  RingModel out{std::vector<double>(power.size()), std::vector<double>(power.size())};
  double strongest = 0;
  for (std::size_t r = 1; r < power.size(); ++r)
    if (band.counts[r] > 0) strongest = std::max(strongest, power[r] / band.counts[r]);
  if (!(strongest > 0) || !(independent > 0)) return out;
  std::vector<std::size_t> numbers;
  const std::vector<Ring> rings = rings_of(band, power, cross, frames, independent, kNoiseFloor * strongest, numbers);
  const Terms terms = fit(rings, frames);
  std::vector<double> found_signal(power.size()), found_noise(power.size()), of_signal(power.size()),
      of_noise(power.size());
  double seen = 0, expected = 0;
  for (std::size_t i = 0; i < rings.size(); ++i) {
    const std::size_t r = numbers[i];
    const double s = signal_of(rings[i], terms), n = std::exp(terms[kTerms]), p = s + n;
    out.signal[r] = s, out.noise[r] = n;
    found_signal[r] = (rings[i].sum - rings[i].rest) / frames, found_noise[r] = rings[i].rest;
    // Of the mean of all pairs' products, and of what is orthogonal to the sum.
    of_signal[r] = std::sqrt((p + (frames - 1) * s) * (p + (frames - 1) * s) + n * n / (frames - 1)) / frames;
    of_noise[r] = n / std::sqrt(frames - 1);
    const double worth = s / (of_signal[r] * of_signal[r]);
    seen += rings[i].weight * worth * found_signal[r], expected += rings[i].weight * worth * s;
  }
  out.significance = expected > 0 ? seen / std::sqrt(expected) : 0;
  follow(band, found_signal, of_signal, independent, 0, out.signal);
  follow(band, found_noise, of_noise, independent, kNoiseFloor, out.noise);
  return out;
}

}  // namespace cryolith
