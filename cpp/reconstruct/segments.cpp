// SPDX-License-Identifier: BSD-3-Clause
#include "reconstruct/segments.hpp"

#include <algorithm>

#include "reconstruct/parts.hpp"

namespace cryolith {
namespace {

// Calls body(dz, dy, dx, element) for the 26 neighbours that lie inside the volume.
template <class Body>
void for_neighbours(const index_t (&extent)[3], index_t z, index_t y, index_t x, const Body& body) {
  for (index_t k = std::max<index_t>(z - 1, 0); k <= std::min(z + 1, extent[0] - 1); ++k)
    for (index_t j = std::max<index_t>(y - 1, 0); j <= std::min(y + 1, extent[1] - 1); ++j)
      for (index_t i = std::max<index_t>(x - 1, 0); i <= std::min(x + 1, extent[2] - 1); ++i)
        if (k != z || j != y || i != x) body((k * extent[1] + j) * extent[2] + i);
}

// Calls body(z, y, x, element) for every voxel; a block is a plane.
template <class Body>
void for_voxels(const Cpu& cpu, const index_t (&extent)[3], const Body& body) {
  parallel_for(cpu, extent[0], [&](index_t z, int) {
    index_t element = z * extent[1] * extent[2];
    for (index_t y = 0; y < extent[1]; ++y)
      for (index_t x = 0; x < extent[2]; ++x) body(z, y, x, element++);
  });
}

// Uniform in [0, 1): the finaliser of SplitMix64 (Steele, Lea & Flood 2014) over a counter.
double uniform(std::uint64_t seed, index_t element) {
  std::uint64_t v = seed + 0x9e3779b97f4a7c15u * (static_cast<std::uint64_t>(element) + 1);
  v = (v ^ (v >> 30)) * 0xbf58476d1ce4e5b9u;
  v = (v ^ (v >> 27)) * 0x94d049bb133111ebu;
  return static_cast<double>((v ^ (v >> 31)) >> 11) * 0x1p-53;
}

}  // namespace

void segment(const Cpu& cpu, View1<const float> volume, View1<const float> thresholds, View1<std::uint8_t> labels) {
  for_parts(cpu, volume.extent[0], [&](index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i) {
      int label = 0;
      for (index_t t = 0; t < thresholds.extent[0]; ++t) label += volume.data[i] > thresholds.data[t];
      labels.data[i] = static_cast<std::uint8_t>(label);
    }
  });
}

void free_voxels(const Cpu& cpu, View3<const std::uint8_t> labels, double chance, std::uint64_t seed,
                 View3<float> free) {
  for_voxels(cpu, labels.extent, [&](index_t z, index_t y, index_t x, index_t element) {
    bool moves = uniform(seed, element) < chance;
    if (!moves)
      for_neighbours(labels.extent, z, y, x, [&](index_t i) { moves |= labels.data[i] != labels.data[element]; });
    free.data[element] = moves ? 1.0f : 0.0f;
  });
}

void smooth_free(const Cpu& cpu, View3<const float> volume, View3<const float> free, float share,
                 View3<float> smoothed) {
  for_voxels(cpu, volume.extent, [&](index_t z, index_t y, index_t x, index_t element) {
    float sum = 0.0f, count = 0.0f;
    if (free.data[element] > 0.0f)
      for_neighbours(volume.extent, z, y, x, [&](index_t i) {
        sum += volume.data[i];
        count += 1.0f;
      });
    const float v = volume.data[element];
    smoothed.data[element] = count > 0.0f ? (1.0f - share) * v + share * sum / count : v;
  });
}

}  // namespace cryolith
