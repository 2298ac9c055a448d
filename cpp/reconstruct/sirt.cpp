// SPDX-License-Identifier: BSD-3-Clause
#include "reconstruct/sirt.hpp"

#include <algorithm>
#include <vector>

namespace cryolith {
namespace {

constexpr index_t kPart = index_t{1} << 18;  // fixed, so that sums do not depend on the number of threads

template <class Body>
void for_parts(const Cpu& cpu, index_t n, const Body& body) {
  parallel_for(cpu, (n + kPart - 1) / kPart,
               [&](index_t part, int) { body(part, part * kPart, std::min(n, (part + 1) * kPart)); });
}

}  // namespace

ResidualSums weigh_residual(const Cpu& cpu, View1<const float> measured, View1<const float> ray_weights,
                            View1<float> projected) {
  const index_t n = measured.extent[0];
  std::vector<ResidualSums> parts(static_cast<std::size_t>((n + kPart - 1) / kPart));
  for_parts(cpu, n, [&](index_t part, index_t begin, index_t end) {
    double residual = 0.0, data = 0.0;
    for (index_t i = begin; i < end; ++i) {
      const float b = measured.data[i], w = ray_weights.data[i], r = b - projected.data[i];
      residual += w > 0.0f ? static_cast<double>(r) * r : 0.0;
      data += w > 0.0f ? static_cast<double>(b) * b : 0.0;
      projected.data[i] = w * r;
    }
    parts[static_cast<std::size_t>(part)] = {residual, data};
  });
  ResidualSums sums{0.0, 0.0};
  for (const ResidualSums& p : parts) sums = {sums.residual + p.residual, sums.data + p.data};
  return sums;
}

void update_volume(const Cpu& cpu, View1<const float> correction, View1<const float> voxel_weights, float lower,
                   View1<float> volume) {
  for_parts(cpu, volume.extent[0], [&](index_t, index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i)
      volume.data[i] = std::max(lower, volume.data[i] + voxel_weights.data[i] * correction.data[i]);
  });
}

void invert_sums(const Cpu& cpu, View1<float> sums) {
  for_parts(cpu, sums.extent[0], [&](index_t, index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i)
      sums.data[i] = sums.data[i] > 0.5f ? 1.0f / std::max(sums.data[i], 1.0f) : 0.0f;
  });
}

}  // namespace cryolith
