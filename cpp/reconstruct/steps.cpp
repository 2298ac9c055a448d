// SPDX-License-Identifier: BSD-3-Clause
#include "reconstruct/steps.hpp"

#include <algorithm>

#include "reconstruct/parts.hpp"

namespace cryolith {
namespace {

inline float clamp(float value, Bounds bounds) { return std::min(bounds.upper, std::max(bounds.lower, value)); }

}  // namespace

ResidualSums& ResidualSums::operator+=(const ResidualSums& other) {
  residual += other.residual;
  data += other.data;
  return *this;
}

ResidualSums weigh_residual(const Cpu& cpu, View1<const float> measured, View1<const float> weights,
                            View1<const float> gain, View1<float> projected) {
  return sum_parts<ResidualSums>(cpu, measured.extent[0], [&](index_t begin, index_t end) {
    ResidualSums sums;
    for (index_t i = begin; i < end; ++i) {
      const float b = measured.data[i], w = weights.data[i], r = b - projected.data[i];
      sums.residual += static_cast<double>(w * r) * r;
      sums.data += static_cast<double>(w * b) * b;
      projected.data[i] = gain.data ? gain.data[i] * (w * r) : w * r;
    }
    return sums;
  });
}

ResidualSums extrapolate_residual(const Cpu& cpu, View1<const float> measured, View1<const float> weights,
                                  View1<const float> projected, float momentum, View1<float> earlier) {
  return sum_parts<ResidualSums>(cpu, measured.extent[0], [&](index_t begin, index_t end) {
    ResidualSums sums;
    for (index_t i = begin; i < end; ++i) {
      const float b = measured.data[i], w = weights.data[i], p = projected.data[i], r = b - p;
      sums.residual += static_cast<double>(w * r) * r;
      sums.data += static_cast<double>(w * b) * b;
      earlier.data[i] = w * (r - momentum * (p - earlier.data[i]));
    }
    return sums;
  });
}

ResidualSums poisson_ratio(const Cpu& cpu, View1<const float> measured, View1<const float> weights, float least,
                           View1<float> projected) {
  return sum_parts<ResidualSums>(cpu, measured.extent[0], [&](index_t begin, index_t end) {
    ResidualSums sums;
    for (index_t i = begin; i < end; ++i) {
      const float b = measured.data[i], w = weights.data[i], r = b - projected.data[i];
      sums.residual += static_cast<double>(w * r) * r;
      sums.data += static_cast<double>(w * b) * b;
      projected.data[i] = w * std::max(b, 0.0f) / std::max(projected.data[i], least);
    }
    return sums;
  });
}

double weighted_square(const Cpu& cpu, View1<const float> weights, View1<const float> values) {
  return sum_parts<double>(cpu, values.extent[0], [&](index_t begin, index_t end) {
    double sum = 0.0;
    for (index_t i = begin; i < end; ++i) sum += static_cast<double>(weights.data[i] * values.data[i]) * values.data[i];
    return sum;
  });
}

double subtract_projection(const Cpu& cpu, View1<const float> weights, float step, View1<float> residual,
                           View1<float> projected) {
  return sum_parts<double>(cpu, residual.extent[0], [&](index_t begin, index_t end) {
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

double free_descent(const Cpu& cpu, View1<const float> volume, View1<const float> mask, double damping, Bounds bounds,
                    View1<float> descent) {
  const auto damp = static_cast<float>(damping);
  return sum_parts<double>(cpu, volume.extent[0], [&](index_t begin, index_t end) {
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

DirectionSums& DirectionSums::operator+=(const DirectionSums& other) {
  square += other.square;
  slope += other.slope;
  return *this;
}

DirectionSums conjugate_direction(const Cpu& cpu, View1<const float> descent, float factor, View1<float> direction) {
  return sum_parts<DirectionSums>(cpu, descent.extent[0], [&](index_t begin, index_t end) {
    DirectionSums sums;
    for (index_t i = begin; i < end; ++i) {
      const float d = descent.data[i], p = d == 0.0f ? 0.0f : d + factor * direction.data[i];
      direction.data[i] = p;
      sums.square += static_cast<double>(p) * p;
      sums.slope += static_cast<double>(p) * d;
    }
    return sums;
  });
}

index_t walk_volume(const Cpu& cpu, View1<const float> direction, float step, Bounds bounds, View1<float> volume) {
  return sum_parts<index_t>(cpu, volume.extent[0], [&](index_t begin, index_t end) {
    index_t stopped = 0;
    for (index_t i = begin; i < end; ++i) {
      const float p = direction.data[i], x = volume.data[i] + step * p, inside = clamp(x, bounds);
      if (p != 0.0f) volume.data[i] = inside;
      stopped += p != 0.0f && inside != x;
    }
    return stopped;
  });
}

void invert_sums(const Cpu& cpu, View1<float> sums) {
  for_parts(cpu, sums.extent[0], [&](index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i)
      sums.data[i] = sums.data[i] > 0.5f ? 1.0f / std::max(sums.data[i], 1.0f) : 0.0f;
  });
}

}  // namespace cryolith
