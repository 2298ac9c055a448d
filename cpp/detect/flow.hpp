// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <cstdint>
#include <vector>

#include "core/buffer.hpp"
#include "core/parallel.hpp"

namespace cryolith::detect {

// Cells of a grid with conductances between neighbours and to what is held at 0, in units of those of the voxels.
struct FlowLevel {
  index_t extent[3];
  Buffer<float> bond[3];  // from each cell to the next one along an axis; 0 at the end
  Buffer<float> sink;
  Buffer<float> inverse;               // 1 / (sum of all conductances of a cell), 0 where there are none
  Buffer<float> given, values, spare;  // right-hand side, solution, and room for the next one
  index_t size() const { return extent[0] * extent[1] * extent[2]; }
};

// Steady diffusion through `mask` (nz, ny, nx) between the two faces across axis `along`, held at 1 and 0, all others
// closed: a bond of conductance bonds[axis] joins voxels that share a face, one of twice that joins a face to its
// voxels. Conjugate gradients from the linear profile on; each step lowers the dissipation by a known amount.
// Preconditioner: one V-cycle of multigrid with cells of 2 x 2 x 2, whose conductances are half the sums of those
// across their faces (Wesseling, An Introduction to Multigrid Methods (1992), section 5.4: cell-centred, piecewise
// constant), and one damped Jacobi step before and after. 80 bytes a voxel. Same bytes for any number of threads.
class Flow {
 public:
  Flow(const Cpu& cpu, View3<const std::uint8_t> mask, int along, const double* bonds);

  double dissipation() const { return dissipation_; }
  // Returns by how much it went down; 0 where the flow is at rest up to rounding.
  double step(const Cpu& cpu);

 private:
  void make_bonds(const Cpu& cpu, View3<const std::uint8_t> mask);
  void start(const Cpu& cpu, View3<const std::uint8_t> mask);
  void coarsen(const Cpu& cpu);
  double apply(const Cpu& cpu);
  double precondition(const Cpu& cpu);  // of the residual; returns their product
  void cycle(const Cpu& cpu, std::size_t level);

  int along_;
  double scale_[4];  // conductances along z, y, x and to the faces, that those of the levels are units of
  float rounded_[4];
  std::vector<FlowLevel> levels_;
  Buffer<float> none_;  // a row of zeros
  Buffer<double> residual_, way_, applied_;
  std::vector<double> parts_;  // sums over slices, added in order
  double dissipation_ = 0, size_ = 0;
  bool begun_ = false;
};

}  // namespace cryolith::detect
