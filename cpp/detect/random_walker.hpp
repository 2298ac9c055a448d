// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <cstdint>
#include <vector>

#include "core/parallel.hpp"

namespace cryolith::detect {

// Chances of a random walker that steps between voxels that share a face, the less likely the more their values differ,
// to meet a seed of one label before those of others. Grady, IEEE Trans. Pattern Anal. Mach. Intell. 28 (2006) 1768,
// eq. 1 and 10.
//
// Steps have the weight exp(-beta (difference)^2) + kLeast. `seeds` (nz, ny, nx): 0 for voxels to be decided, labels
// above 0, -1 for voxels that nothing walks through. Conjugate gradients, preconditioned by a V-cycle over grids of
// 2 x 2 x 2 voxels: unsmoothed aggregation with halved coarse weights (Braess, Computing 55 (1995) 379). Sums are added
// in the order of slices: the same bytes for any number of threads. Memory: 52 bytes a voxel beside the output.
class RandomWalker {
 public:
  static constexpr double kLeast = 1e-6;

  RandomWalker(const Cpu& cpu, View3<const float> values, View3<const std::int32_t> seeds, double beta);

  // Writes the chances of `label`, 1 and 0 on seeds and 0 where no seed leads; returns the iterations taken until the
  // residual is `tolerance` of the start's.
  index_t solve(const Cpu& cpu, std::int32_t label, double tolerance, View3<float> chance);

  // A grid: weights of the steps to the next voxel along each axis, of those to seeds, and the sum of all of them.
  struct Grid {
    index_t nz, ny, nx;
    std::vector<float> wz, wy, wx, link, sum;
    std::vector<float> x, b, rest;  // of the V-cycle
  };

 private:
  double weight(index_t from, index_t to) const;
  void fill(const Cpu& cpu);
  void right_side(const Cpu& cpu, std::int32_t label, std::vector<float>& b) const;

  View3<const float> values_;
  View3<const std::int32_t> seeds_;
  double beta_;
  std::vector<Grid> grids_;
};

}  // namespace cryolith::detect
