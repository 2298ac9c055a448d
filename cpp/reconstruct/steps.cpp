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

template <class T, class Body>
ResidualSums residual_sums(const Cpu& cpu, const View3<T>& a, const Body& body) {
  auto [residual, data] = sums_of<2>(cpu, a, body);
  return {std::move(residual), std::move(data)};
}

template <class T, class Body>
ExactSum row_sum(const Cpu& cpu, const View3<T>& a, const Body& body) {
  return sums_of<1>(cpu, a, [&](index_t begin, index_t end) { return std::array{body(begin, end)}; })[0];
}

}  // namespace

ResidualSums weigh_residual(const Cpu& cpu, View3<const float> measured, View3<const float> weights,
                            View3<const float> gain, View3<float> projected) {
  return residual_sums(cpu, measured, [&](index_t begin, index_t end) {
    double residual = 0.0, data = 0.0;
    for (index_t i = begin; i < end; ++i) {
      const float b = measured.data[i], w = weights.data[i], r = b - projected.data[i];
      residual += static_cast<double>(w * r) * r;
      data += static_cast<double>(w * b) * b;
      projected.data[i] = gain.data ? gain.data[i] * (w * r) : w * r;
    }
    return std::array{residual, data};
  });
}

ResidualSums extrapolate_residual(const Cpu& cpu, View3<const float> measured, View3<const float> weights,
                                  View3<const float> projected, float momentum, View3<float> earlier) {
  return residual_sums(cpu, measured, [&](index_t begin, index_t end) {
    double residual = 0.0, data = 0.0;
    for (index_t i = begin; i < end; ++i) {
      const float b = measured.data[i], w = weights.data[i], p = projected.data[i], r = b - p;
      residual += static_cast<double>(w * r) * r;
      data += static_cast<double>(w * b) * b;
      earlier.data[i] = w * (r - momentum * (p - earlier.data[i]));
    }
    return std::array{residual, data};
  });
}

ResidualSums poisson_ratio(const Cpu& cpu, View3<const float> measured, View3<const float> weights, float least,
                           View3<float> projected) {
  return residual_sums(cpu, measured, [&](index_t begin, index_t end) {
    double residual = 0.0, data = 0.0;
    for (index_t i = begin; i < end; ++i) {
      const float b = measured.data[i], w = weights.data[i], r = b - projected.data[i];
      residual += static_cast<double>(w * r) * r;
      data += static_cast<double>(w * b) * b;
      projected.data[i] = w * std::max(b, 0.0f) / std::max(projected.data[i], least);
    }
    return std::array{residual, data};
  });
}

ExactSum weighted_square(const Cpu& cpu, View3<const float> weights, View3<const float> values) {
  return row_sum(cpu, values, [&](index_t begin, index_t end) {
    double sum = 0.0;
    for (index_t i = begin; i < end; ++i) sum += static_cast<double>(weights.data[i] * values.data[i]) * values.data[i];
    return sum;
  });
}

ExactSum subtract_projection(const Cpu& cpu, View3<const float> weights, float step, View3<float> residual,
                             View3<float> projected) {
  return row_sum(cpu, residual, [&](index_t begin, index_t end) {
    double sum = 0.0;
    for (index_t i = begin; i < end; ++i) {
      const float r = residual.data[i] - step * projected.data[i];
      residual.data[i] = r;
      projected.data[i] = weights.data[i] * r;
      sum += static_cast<double>(projected.data[i]) * r;
    }
    return sum;
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

ExactSum free_descent(const Cpu& cpu, View3<const float> volume, View3<const float> mask, double damping, Bounds bounds,
                      View3<float> descent) {
  const auto damp = static_cast<float>(damping);
  return row_sum(cpu, volume, [&](index_t begin, index_t end) {
    double sum = 0.0;
    for (index_t i = begin; i < end; ++i) {
      const float x = volume.data[i], d = descent.data[i] - damp * x;
      const bool held =
          (mask.data && mask.data[i] == 0.0f) || (x <= bounds.lower && d < 0.0f) || (x >= bounds.upper && d > 0.0f);
      descent.data[i] = held ? 0.0f : d;
      sum += static_cast<double>(descent.data[i]) * descent.data[i];
    }
    return sum;
  });
}

DirectionSums conjugate_direction(const Cpu& cpu, View3<const float> descent, float factor, View3<float> direction) {
  auto [square, slope] = sums_of<2>(cpu, descent, [&](index_t begin, index_t end) {
    double squares = 0.0, slopes = 0.0;
    for (index_t i = begin; i < end; ++i) {
      const float d = descent.data[i], p = d == 0.0f ? 0.0f : d + factor * direction.data[i];
      direction.data[i] = p;
      squares += static_cast<double>(p) * p;
      slopes += static_cast<double>(p) * d;
    }
    return std::array{squares, slopes};
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
