// SPDX-License-Identifier: BSD-3-Clause
#include "reconstruct/steps.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <utility>

#include "reconstruct/parts.hpp"

namespace cryolith {
namespace {

inline float clamp(float value, Bounds bounds) { return std::min(bounds.upper, std::max(bounds.lower, value)); }

// Adds body(begin, end) over the rows of an array.
template <std::size_t N, class T, class Body>
std::array<ExactSum, N> sums_of(const Cpu& cpu, const View3<T>& a, const Body& body) {
  const index_t length = a.extent[2];
  return sum_rows<N>(cpu, a.extent[0] * a.extent[1], length,
                     [&](index_t row) { return body(row * length, (row + 1) * length); });
}

// Sums of term(i), N of them for each i, in eight parts: one alone would wait for every addition.
template <std::size_t N, class Term>
std::array<double, N> sum_terms(index_t begin, index_t end, const Term& term) {
  constexpr index_t parts = 8;
  double sums[N][parts] = {};
  const auto add = [&](index_t i, index_t part) {
    const std::array<double, N> terms = term(i);
    for (std::size_t n = 0; n < N; ++n) sums[n][part] += terms[n];
  };
  index_t i = begin;
  for (; i + parts <= end; i += parts)
    for (index_t part = 0; part < parts; ++part) add(i + part, part);
  for (; i < end; ++i) add(i, 0);
  std::array<double, N> out;
  for (std::size_t n = 0; n < N; ++n) {
    const double* s = sums[n];
    out[n] = ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
  }
  return out;
}

// The same over a whole array.
template <std::size_t N, class T, class Term>
std::array<ExactSum, N> term_sums(const Cpu& cpu, const View3<T>& a, const Term& term) {
  return sums_of<N>(cpu, a, [&](index_t begin, index_t end) { return sum_terms<N>(begin, end, term); });
}

template <class T, class Term>
ResidualSums residual_sums(const Cpu& cpu, const View3<T>& a, const Term& term) {
  auto [residual, data] = term_sums<2>(cpu, a, term);
  return {std::move(residual), std::move(data)};
}

template <class T, class Term>
ExactSum row_sum(const Cpu& cpu, const View3<T>& a, const Term& term) {
  return term_sums<1>(cpu, a, [&](index_t i) { return std::array{term(i)}; })[0];
}

}  // namespace

ResidualSums weigh_residual(const Cpu& cpu, View3<const float> measured, View3<const float> weights,
                            View3<const float> gain, View3<float> projected) {
  return residual_sums(cpu, measured, [&](index_t i) {
    const float b = measured.data[i], w = weights.data[i], r = b - projected.data[i];
    projected.data[i] = gain.data ? gain.data[i] * (w * r) : w * r;
    return std::array{static_cast<double>(w * r) * r, static_cast<double>(w * b) * b};
  });
}

ResidualSums extrapolate_residual(const Cpu& cpu, View3<const float> measured, View3<const float> weights,
                                  View3<const float> projected, float momentum, View3<float> earlier) {
  return residual_sums(cpu, measured, [&](index_t i) {
    const float b = measured.data[i], w = weights.data[i], p = projected.data[i], r = b - p;
    earlier.data[i] = w * (r - momentum * (p - earlier.data[i]));
    return std::array{static_cast<double>(w * r) * r, static_cast<double>(w * b) * b};
  });
}

ResidualSums poisson_ratio(const Cpu& cpu, View3<const float> measured, View3<const float> weights, float least,
                           View3<float> projected) {
  return residual_sums(cpu, measured, [&](index_t i) {
    const float b = measured.data[i], w = weights.data[i], r = b - projected.data[i];
    projected.data[i] = w * std::max(b, 0.0f) / std::max(projected.data[i], least);
    return std::array{static_cast<double>(w * r) * r, static_cast<double>(w * b) * b};
  });
}

ExactSum weighted_square(const Cpu& cpu, View3<const float> weights, View3<const float> values) {
  return row_sum(cpu, values,
                 [&](index_t i) { return static_cast<double>(weights.data[i] * values.data[i]) * values.data[i]; });
}

ExactSum subtract_projection(const Cpu& cpu, View3<const float> weights, float step, View3<float> residual,
                             View3<float> projected) {
  return row_sum(cpu, residual, [&](index_t i) {
    const float r = residual.data[i] - step * projected.data[i];
    residual.data[i] = r;
    projected.data[i] = weights.data[i] * r;
    return static_cast<double>(projected.data[i]) * r;
  });
}

void update_volume(const Cpu& cpu, View1<const float> correction, View1<const float> voxel_weights, float step,
                   Bounds bounds, View1<float> volume) {
  for_parts(cpu, volume.extent[0], [&](index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i) {
      const float w = voxel_weights.data[i], x = volume.data[i];
      volume.data[i] = w > 0.0f ? clamp(x + step * w * correction.data[i], bounds) : x;
    }
  });
}

void multiply_volume(const Cpu& cpu, View1<const float> correction, View1<const float> voxel_weights, Bounds bounds,
                     View1<float> volume) {
  for_parts(cpu, volume.extent[0], [&](index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i) {
      const float w = voxel_weights.data[i], x = volume.data[i];
      volume.data[i] = w > 0.0f ? clamp(x * w * std::max(correction.data[i], 0.0f), bounds) : x;
    }
  });
}

ExactSum free_descent(const Cpu& cpu, View3<const float> volume, double damping, Bounds bounds, View3<float> descent) {
  const auto damp = static_cast<float>(damping);
  return row_sum(cpu, volume, [&](index_t i) {
    const float x = volume.data[i], d = descent.data[i] - damp * x;
    const bool held = (x <= bounds.lower && d < 0.0f) || (x >= bounds.upper && d > 0.0f);
    descent.data[i] = held ? 0.0f : d;
    return static_cast<double>(descent.data[i]) * descent.data[i];
  });
}

DirectionSums conjugate_direction(const Cpu& cpu, View3<const float> descent, float factor, View3<float> direction) {
  auto [square, slope] = term_sums<2>(cpu, descent, [&](index_t i) {
    const float d = descent.data[i], p = d == 0.0f ? 0.0f : d + factor * direction.data[i];
    direction.data[i] = p;
    return std::array{static_cast<double>(p) * p, static_cast<double>(p) * d};
  });
  return {std::move(square), std::move(slope)};
}

index_t walk_volume(const Cpu& cpu, View1<const float> direction, float step, Bounds bounds, View1<float> volume) {
  std::atomic<index_t> all{0};
  for_parts(cpu, volume.extent[0], [&](index_t begin, index_t end) {
    index_t stopped = 0;
    for (index_t i = begin; i < end; ++i) {
      const float p = direction.data[i], x = volume.data[i] + step * p, inside = clamp(x, bounds);
      if (p != 0.0f) volume.data[i] = inside;
      stopped += p != 0.0f && inside != x;
    }
    all += stopped;
  });
  return all;
}

void invert_sums(const Cpu& cpu, View1<float> sums) {
  for_parts(cpu, sums.extent[0], [&](index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i)
      sums.data[i] = sums.data[i] > 0.5f ? 1.0f / std::max(sums.data[i], 1.0f) : 0.0f;
  });
}

}  // namespace cryolith
