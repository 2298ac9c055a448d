// SPDX-License-Identifier: BSD-3-Clause
#include "detect/flow.hpp"

#include <algorithm>
#include <numeric>

#include "detect/flow_kernels.hpp"

namespace cryolith::detect {
namespace {

// Of damped Jacobi: 6/7 is best for the seven-point star (Trottenberg, Oosterlee & Schueller, Multigrid (2001),
// section 2.1).
constexpr float kWeight = 6.0f / 7.0f;
constexpr int kSweeps = 12;  // on the coarsest level, of 8 cells at most

template <class T>
FlowRow<T> row_of(const FlowLevel& level, const T* values, const float* none, index_t z, index_t y) {
  const index_t nx = level.extent[2], plane = level.extent[1] * nx, at = z * plane + y * nx;
  const T* own = values + at;
  FlowRow<T> row{own, {own, own, own, own}, {none, none, none, none}, level.bond[2].data() + at, level.sink.data() + at,
                 nx};
  const auto set = [&](int side, bool there, index_t step, const float* bond) {
    if (!there) return;
    row.beside[side] = own + step;
    row.bond[side] = bond;
  };
  set(0, z > 0, -plane, level.bond[0].data() + at - plane);
  set(1, z + 1 < level.extent[0], plane, level.bond[0].data() + at);
  set(2, y > 0, -nx, level.bond[1].data() + at - nx);
  set(3, y + 1 < level.extent[1], nx, level.bond[1].data() + at);
  return row;
}

constexpr index_t kSmall = 40000;  // cells that are done before a thread has started

// body(z, y, offset) for each row, a slice being one block.
template <class Body>
void for_rows(const Cpu& cpu, const index_t* extent, const Body& body) {
  const auto slice = [&](index_t z, int) {
    for (index_t y = 0; y < extent[1]; ++y) body(z, y, (z * extent[1] + y) * extent[2]);
  };
  if (extent[0] * extent[1] * extent[2] > kSmall) return parallel_for(cpu, extent[0], slice);
  for (index_t z = 0; z < extent[0]; ++z) slice(z, 0);
}

FlowLevel level_of(const index_t* extent) {
  FlowLevel level;
  std::copy(extent, extent + 3, level.extent);
  for (auto* part : {&level.bond[0], &level.bond[1], &level.bond[2], &level.sink, &level.inverse, &level.given,
                     &level.values, &level.spare})
    *part = Buffer<float>(level.size());
  return level;
}

void invert_diagonal(const Cpu& cpu, const float* scale, FlowLevel& level) {
  const index_t nx = level.extent[2], plane = level.extent[1] * nx;
  for_rows(cpu, level.extent, [&](index_t z, index_t y, index_t at) {
    for (index_t x = 0; x < nx; ++x, ++at) {
      const float own_z = level.bond[0][at] + (z > 0 ? level.bond[0][at - plane] : 0);
      const float own_y = level.bond[1][at] + (y > 0 ? level.bond[1][at - nx] : 0);
      const float own_x = level.bond[2][at] + (x > 0 ? level.bond[2][at - 1] : 0);
      const float sum = scale[0] * own_z + scale[1] * own_y + scale[2] * own_x + scale[3] * level.sink[at];
      level.inverse[at] = sum > 0 ? 1 / sum : 0;
    }
  });
}

// body(to, from) with the cells of `fine` that make up a cell of `coarse`, in raster order.
template <class Body>
void for_children(const Cpu& cpu, const FlowLevel& coarse, const FlowLevel& fine, const Body& body) {
  for_rows(cpu, coarse.extent, [&](index_t z, index_t y, index_t at) {
    for (index_t x = 0; x < coarse.extent[2]; ++x, ++at)
      for (index_t i = 2 * z; i < std::min(2 * z + 2, fine.extent[0]); ++i)
        for (index_t j = 2 * y; j < std::min(2 * y + 2, fine.extent[1]); ++j)
          for (index_t k = 2 * x; k < std::min(2 * x + 2, fine.extent[2]); ++k) {
            const index_t from[3] = {i, j, k};
            body(at, from, (i * fine.extent[1] + j) * fine.extent[2] + k);
          }
  });
}

}  // namespace

Flow::Flow(const Cpu& cpu, View3<const std::uint8_t> mask, int along, const double* bonds) : along_(along) {
  require(along >= 0 && along < 3, "along: found ", along, ", expected 0, 1 or 2");
  for (int i = 0; i < 4; ++i) {
    scale_[i] = bonds[i < 3 ? i : along];
    rounded_[i] = static_cast<float>(scale_[i]);
  }
  levels_.push_back(level_of(mask.extent));
  parts_.resize(static_cast<std::size_t>(mask.extent[0]));
  none_ = Buffer<float>(mask.extent[2]);
  for (auto* part : {&residual_, &way_, &applied_}) *part = Buffer<double>(mask.size());
  make_bonds(cpu, mask);
  start(cpu, mask);
  coarsen(cpu);
}

void Flow::make_bonds(const Cpu& cpu, View3<const std::uint8_t> mask) {
  FlowLevel& level = levels_[0];
  const index_t nx = level.extent[2], step[3] = {level.extent[1] * nx, nx, 1};
  for_rows(cpu, level.extent, [&](index_t z, index_t y, index_t at) {
    for (index_t x = 0; x < nx; ++x, ++at) {
      if (mask.data[at] == 0) continue;
      const index_t place[3] = {z, y, x};
      for (int axis = 0; axis < 3; ++axis)
        if (place[axis] + 1 < level.extent[axis] && mask.data[at + step[axis]] != 0) level.bond[axis][at] = 1;
      const int faces = (place[along_] == 0) + (place[along_] + 1 == level.extent[along_]);
      level.sink[at] = 2 * static_cast<float>(faces);  // half a voxel away
    }
  });
  invert_diagonal(cpu, rounded_, level);
}

// The linear profile v, the residual s - A v with s the flow in from the face at 1, and the dissipation
// v A v - 2 s v + s 1.
void Flow::start(const Cpu& cpu, View3<const std::uint8_t> mask) {
  FlowLevel& level = levels_[0];
  const double n = static_cast<double>(level.extent[along_]);
  const auto each = [&](const auto& body) {
    for_rows(cpu, level.extent, [&](index_t z, index_t y, index_t at) {
      for (index_t x = 0; x < level.extent[2]; ++x, ++at) {
        const index_t place[3] = {z, y, x};
        body(z, at, mask.data[at] != 0, place[along_]);
      }
    });
  };
  each([&](index_t, index_t at, bool inside, index_t place) {
    way_[at] = inside ? 1 - (static_cast<double>(place) + 0.5) / n : 0;
  });
  dissipation_ = apply(cpu);
  std::fill(parts_.begin(), parts_.end(), 0.0);
  each([&](index_t z, index_t at, bool inside, index_t place) {
    const double source = inside && place == 0 ? 2 * scale_[along_] : 0;
    residual_[at] = source - applied_[at];
    level.given[at] = static_cast<float>(residual_[at]);
    parts_[static_cast<std::size_t>(z)] += source * (1 - 2 * way_[at]);
  });
  dissipation_ += std::accumulate(parts_.begin(), parts_.end(), 0.0);
}

void Flow::coarsen(const Cpu& cpu) {
  while (true) {
    const FlowLevel& fine = levels_.back();
    if (std::max({fine.extent[0], fine.extent[1], fine.extent[2]}) <= 2) return;
    index_t extent[3];
    for (int axis = 0; axis < 3; ++axis) extent[axis] = (fine.extent[axis] + 1) / 2;
    FlowLevel coarse = level_of(extent);
    for_children(cpu, coarse, fine, [&](index_t to, const index_t* from, index_t at) {
      coarse.sink[to] += 0.5f * fine.sink[at];
      for (int axis = 0; axis < 3; ++axis)  // across the far face of the cell
        if (from[axis] % 2 == 1) coarse.bond[axis][to] += 0.5f * fine.bond[axis][at];
    });
    invert_diagonal(cpu, rounded_, coarse);
    levels_.push_back(std::move(coarse));
  }
}

double Flow::apply(const Cpu& cpu) {
  const auto kernel = CRYOLITH_SELECT(apply);
  std::fill(parts_.begin(), parts_.end(), 0.0);
  for_rows(cpu, levels_[0].extent, [&](index_t z, index_t y, index_t at) {
    parts_[static_cast<std::size_t>(z)] += kernel(
        row_of(levels_[0], static_cast<const double*>(way_.data()), none_.data(), z, y), scale_, applied_.data() + at);
  });
  return std::accumulate(parts_.begin(), parts_.end(), 0.0);
}

double Flow::precondition(const Cpu& cpu) {
  cycle(cpu, 0);
  const auto kernel = CRYOLITH_SELECT(dot);
  const FlowLevel& level = levels_[0];
  std::fill(parts_.begin(), parts_.end(), 0.0);
  for_rows(cpu, level.extent, [&](index_t z, index_t, index_t at) {
    parts_[static_cast<std::size_t>(z)] += kernel(residual_.data() + at, level.values.data() + at, level.extent[2]);
  });
  return std::accumulate(parts_.begin(), parts_.end(), 0.0);
}

void Flow::cycle(const Cpu& cpu, std::size_t number) {
  FlowLevel& level = levels_[number];
  const auto relax_once = [&] {
    const auto kernel = CRYOLITH_SELECT(relax);
    for_rows(cpu, level.extent, [&](index_t z, index_t y, index_t at) {
      kernel(row_of(level, static_cast<const float*>(level.values.data()), none_.data(), z, y), level.given.data() + at,
             level.inverse.data() + at, rounded_, kWeight, level.spare.data() + at);
    });
    std::swap(level.values, level.spare);
  };
  for_rows(cpu, level.extent, [&](index_t, index_t, index_t at) {
    for (index_t i = at; i < at + level.extent[2]; ++i) level.values[i] = kWeight * level.inverse[i] * level.given[i];
  });
  if (number + 1 == levels_.size()) {
    for (int sweep = 1; sweep < kSweeps; ++sweep) relax_once();
    return;
  }
  const auto kernel = CRYOLITH_SELECT(residual);
  for_rows(cpu, level.extent, [&](index_t z, index_t y, index_t at) {
    kernel(row_of(level, static_cast<const float*>(level.values.data()), none_.data(), z, y), level.given.data() + at,
           rounded_, level.spare.data() + at);
  });
  FlowLevel& coarse = levels_[number + 1];
  coarse.given.clear();
  for_children(cpu, coarse, level,
               [&](index_t to, const index_t*, index_t at) { coarse.given[to] += level.spare[at]; });
  cycle(cpu, number + 1);
  for_children(cpu, coarse, level, [&](index_t to, const index_t*, index_t at) {
    if (level.inverse[at] > 0) level.values[at] += coarse.values[to];
  });
  relax_once();
}

double Flow::step(const Cpu& cpu) {
  if (cpu.cancel && cpu.cancel->cancelled()) throw Cancelled();
  if (cpu.poll) cpu.poll();
  const FlowLevel& level = levels_[0];
  const double size = precondition(cpu);
  // Residuals of rounding only, as in straight channels, are none.
  const double least = 1e-14 * dissipation_;
  if (!(size > least * least)) return 0;
  const auto turn_row = CRYOLITH_SELECT(turn);
  const double share = begun_ ? size / size_ : 0;
  for_rows(cpu, level.extent, [&](index_t, index_t, index_t at) {
    turn_row(level.values.data() + at, share, way_.data() + at, level.extent[2]);
  });
  begun_ = true;
  size_ = size;
  const double stride = size / apply(cpu);
  const auto advance_row = CRYOLITH_SELECT(advance);
  for_rows(cpu, level.extent, [&](index_t, index_t, index_t at) {
    advance_row(applied_.data() + at, stride, residual_.data() + at, levels_[0].given.data() + at, level.extent[2]);
  });
  dissipation_ -= stride * size;
  return stride * size;
}

}  // namespace cryolith::detect
