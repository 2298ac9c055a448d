// SPDX-License-Identifier: BSD-3-Clause
#include "detect/random_walker.hpp"

#include <algorithm>
#include <cmath>
#include <functional>

namespace cryolith::detect {
namespace {

using Grid = RandomWalker::Grid;

constexpr float kDamping = 0.8f;  // of Jacobi's steps
constexpr float kCoarse = 0.5f;   // a step twice as long across four times the area, where Galerkin's product says four
constexpr index_t kFewest = 64;   // voxels of the coarsest grid, solved by as many sweeps
constexpr int kSweeps = 16;
constexpr index_t kMostIterations = 2000;

std::size_t at(index_t i) { return static_cast<std::size_t>(i); }

Grid grid_of(index_t nz, index_t ny, index_t nx) {
  Grid g{nz, ny, nx, {}, {}, {}, {}, {}, {}, {}, {}};
  for (auto* v : {&g.wz, &g.wy, &g.wx, &g.link, &g.sum}) v->resize(at(nz * ny * nx));
  return g;
}

// Row (z, y) of the operator's product with x, as a sum of differences: the weights of a voxel's steps span six
// decades, and the difference of their sum times x and of all their products would lose the small ones.
void row_product(const Grid& g, const float* x, index_t z, index_t y, float* out) {
  const index_t nx = g.nx, slice = g.ny * nx, start = (z * g.ny + y) * nx;
  const float* row = x + start;
  const float* link = g.link.data() + start;
  const float* wx = g.wx.data() + start;
  for (index_t i = 0; i < nx; ++i) out[i] = link[i] * row[i];
  for (index_t i = 0; i + 1 < nx; ++i) out[i] += wx[i] * (row[i] - row[i + 1]);
  for (index_t i = 1; i < nx; ++i) out[i] += wx[i - 1] * (row[i] - row[i - 1]);
  auto side = [&](const float* weight, const float* other) {
    for (index_t i = 0; i < nx; ++i) out[i] += weight[i] * (row[i] - other[i]);
  };
  if (y + 1 < g.ny) side(g.wy.data() + start, row + nx);
  if (y > 0) side(g.wy.data() + start - nx, row - nx);
  if (z + 1 < g.nz) side(g.wz.data() + start, row + slice);
  if (z > 0) side(g.wz.data() + start - slice, row - slice);
}

// Calls body(z, y, first index of the row, scratch row) for every row, and adds what it returns slice by slice.
double for_rows(const Cpu& cpu, const Grid& g, const std::function<double(index_t, index_t, index_t, float*)>& body) {
  std::vector<double> parts(at(g.nz), 0.0);
  parallel_for(cpu, g.nz, [&](index_t z, int) {
    std::vector<float> scratch(at(g.nx));
    for (index_t y = 0; y < g.ny; ++y) parts[at(z)] += body(z, y, (z * g.ny + y) * g.nx, scratch.data());
  });
  double total = 0;
  for (double part : parts) total += part;
  return total;
}

double dot(const Cpu& cpu, const Grid& g, const std::vector<float>& a, const std::vector<float>& b) {
  return for_rows(cpu, g, [&](index_t, index_t, index_t first, float*) {
    double sum = 0;
    for (std::size_t i = at(first); i < at(first + g.nx); ++i)
      sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
    return sum;
  });
}

// One step of Jacobi's method: x += damping (b - A x) / sum; from x = 0 where `fresh`.
void smooth(const Cpu& cpu, Grid& g, bool fresh) {
  if (fresh) {
    for_rows(cpu, g, [&](index_t, index_t, index_t start, float*) {
      for (std::size_t i = at(start); i < at(start + g.nx); ++i)
        g.x[i] = g.sum[i] > 0 ? kDamping * g.b[i] / g.sum[i] : 0.0f;
      return 0.0;
    });
    return;
  }
  for_rows(cpu, g, [&](index_t z, index_t y, index_t start, float* row) {
    row_product(g, g.x.data(), z, y, row);
    for (index_t i = 0; i < g.nx; ++i) {
      const std::size_t k = at(start + i);
      g.rest[k] = g.sum[k] > 0 ? g.x[k] + kDamping * (g.b[k] - row[i]) / g.sum[k] : 0.0f;
    }
    return 0.0;
  });
  g.x.swap(g.rest);
}

void restrict_rest(const Cpu& cpu, const Grid& fine, Grid& coarse) {
  parallel_for(cpu, coarse.nz, [&](index_t z, int) {
    std::vector<float> row(at(fine.nx));
    std::fill_n(coarse.b.begin() + z * coarse.ny * coarse.nx, coarse.ny * coarse.nx, 0.0f);
    for (index_t fz = 2 * z; fz < std::min(2 * z + 2, fine.nz); ++fz)
      for (index_t fy = 0; fy < fine.ny; ++fy) {
        row_product(fine, fine.x.data(), fz, fy, row.data());
        const float* b = fine.b.data() + (fz * fine.ny + fy) * fine.nx;
        float* to = coarse.b.data() + (z * coarse.ny + fy / 2) * coarse.nx;
        for (index_t i = 0; i < fine.nx; ++i) to[i / 2] += b[i] - row[at(i)];
      }
  });
}

void add_coarse(const Cpu& cpu, Grid& fine, const Grid& coarse) {
  for_rows(cpu, fine, [&](index_t z, index_t y, index_t start, float*) {
    const float* from = coarse.x.data() + (z / 2 * coarse.ny + y / 2) * coarse.nx;
    for (index_t i = 0; i < fine.nx; ++i)
      if (fine.sum[at(start + i)] > 0) fine.x[at(start + i)] += from[i / 2];
    return 0.0;
  });
}

// Solves roughly for grids[level].b, into its x. The steps down and up mirror each other: a symmetric operator.
void cycle(const Cpu& cpu, std::vector<Grid>& grids, std::size_t level) {
  Grid& g = grids[level];
  smooth(cpu, g, true);
  if (level + 1 == grids.size()) {
    for (int i = 0; i < kSweeps; ++i) smooth(cpu, g, false);
    return;
  }
  restrict_rest(cpu, g, grids[level + 1]);
  cycle(cpu, grids, level + 1);
  add_coarse(cpu, g, grids[level + 1]);
  smooth(cpu, g, false);
}

// Adds up all weights of each voxel.
void add_up(const Cpu& cpu, Grid& g) {
  for_rows(cpu, g, [&](index_t z, index_t y, index_t start, float*) {
    for (index_t i = 0; i < g.nx; ++i) {
      const index_t k = start + i;
      float sum = g.link[at(k)] + g.wx[at(k)] + g.wy[at(k)] + g.wz[at(k)];
      if (i > 0) sum += g.wx[at(k - 1)];
      if (y > 0) sum += g.wy[at(k - g.nx)];
      if (z > 0) sum += g.wz[at(k - g.ny * g.nx)];
      g.sum[at(k)] = sum;
    }
    return 0.0;
  });
}

// Weights between blocks of 2 x 2 x 2 voxels: sums of those that cross, and of those to seeds.
Grid coarser(const Cpu& cpu, const Grid& fine) {
  Grid g = grid_of((fine.nz + 1) / 2, (fine.ny + 1) / 2, (fine.nx + 1) / 2);
  parallel_for(cpu, g.nz, [&](index_t z, int) {
    for (index_t fz = 2 * z; fz < std::min(2 * z + 2, fine.nz); ++fz)
      for (index_t fy = 0; fy < fine.ny; ++fy)
        for (index_t fx = 0; fx < fine.nx; ++fx) {
          const std::size_t from = at((fz * fine.ny + fy) * fine.nx + fx);
          const std::size_t to = at((z * g.ny + fy / 2) * g.nx + fx / 2);
          g.link[to] += kCoarse * fine.link[from];
          if (fx % 2 == 1) g.wx[to] += kCoarse * fine.wx[from];
          if (fy % 2 == 1) g.wy[to] += kCoarse * fine.wy[from];
          if (fz % 2 == 1) g.wz[to] += kCoarse * fine.wz[from];
        }
  });
  add_up(cpu, g);
  return g;
}

}  // namespace

double RandomWalker::weight(index_t from, index_t to) const {
  if (seeds_.data[from] < 0 || seeds_.data[to] < 0) return 0.0;
  if (seeds_.data[from] > 0 && seeds_.data[to] > 0) return 0.0;
  const double d = static_cast<double>(values_.data[from]) - static_cast<double>(values_.data[to]);
  return std::exp(-beta_ * d * d) + kLeast;
}

void RandomWalker::fill(const Cpu& cpu) {
  Grid& g = grids_.front();
  const index_t step[3] = {g.ny * g.nx, g.nx, 1};
  for_rows(cpu, g, [&](index_t z, index_t y, index_t start, float*) {
    for (index_t i = 0; i < g.nx; ++i) {
      const index_t k = start + i;
      if (seeds_.data[k] != 0) continue;
      const bool up[3] = {z + 1 < g.nz, y + 1 < g.ny, i + 1 < g.nx}, down[3] = {z > 0, y > 0, i > 0};
      std::vector<float>* weights[3] = {&g.wz, &g.wy, &g.wx};
      double link = 0;
      for (int axis = 0; axis < 3; ++axis) {
        if (down[axis] && seeds_.data[k - step[axis]] > 0) link += weight(k, k - step[axis]);
        if (!up[axis]) continue;
        const double w = weight(k, k + step[axis]);
        if (seeds_.data[k + step[axis]] == 0)
          (*weights[axis])[at(k)] = static_cast<float>(w);
        else
          link += w;
      }
      g.link[at(k)] = static_cast<float>(link);
    }
    return 0.0;
  });
  add_up(cpu, g);
}

RandomWalker::RandomWalker(const Cpu& cpu, View3<const float> values, View3<const std::int32_t> seeds, double beta)
    : values_(values), seeds_(seeds), beta_(beta) {
  for (int axis = 0; axis < 3; ++axis)
    require(values.extent[axis] == seeds.extent[axis], "seeds: found ", seeds.extent[axis], " along axis ", axis,
            ", expected ", values.extent[axis], " as in values");
  require(values.size() > 0, "values: found none");
  require(std::isfinite(beta) && beta >= 0, "beta: found ", beta, ", expected 0 or more");
  grids_.push_back(grid_of(values.extent[0], values.extent[1], values.extent[2]));
  fill(cpu);
  while (grids_.back().nz * grids_.back().ny * grids_.back().nx > kFewest)
    grids_.push_back(coarser(cpu, grids_.back()));
  for (Grid& g : grids_)
    for (auto* v : {&g.x, &g.b, &g.rest}) v->resize(g.sum.size());
}

void RandomWalker::right_side(const Cpu& cpu, std::int32_t label, std::vector<float>& b) const {
  const Grid& g = grids_.front();
  const index_t step[3] = {g.ny * g.nx, g.nx, 1};
  for_rows(cpu, g, [&](index_t z, index_t y, index_t start, float*) {
    for (index_t i = 0; i < g.nx; ++i) {
      const index_t k = start + i;
      const bool up[3] = {z + 1 < g.nz, y + 1 < g.ny, i + 1 < g.nx}, down[3] = {z > 0, y > 0, i > 0};
      double total = 0;
      for (int axis = 0; axis < 3 && seeds_.data[k] == 0; ++axis) {
        if (down[axis] && seeds_.data[k - step[axis]] == label) total += weight(k, k - step[axis]);
        if (up[axis] && seeds_.data[k + step[axis]] == label) total += weight(k, k + step[axis]);
      }
      b[at(k)] = static_cast<float>(total);
    }
    return 0.0;
  });
}

index_t RandomWalker::solve(const Cpu& cpu, std::int32_t label, double tolerance, View3<float> chance) {
  require(chance.size() == seeds_.size(), "chance: found ", chance.size(), " voxels, expected ", seeds_.size());
  Grid& g = grids_.front();
  const std::size_t n = g.sum.size();
  std::vector<float> rest(n), along(n, 0.0f), product(n);
  right_side(cpu, label, rest);
  std::fill_n(chance.data, n, 0.0f);
  const double start = dot(cpu, g, rest, rest);
  double old = 1;
  index_t iteration = 0;
  for (; iteration < kMostIterations; ++iteration) {
    if (dot(cpu, g, rest, rest) <= tolerance * tolerance * start) break;
    std::copy(rest.begin(), rest.end(), g.b.begin());
    cycle(cpu, grids_, 0);
    const double now = dot(cpu, g, rest, g.x);
    const auto keep = static_cast<float>(iteration == 0 ? 0.0 : now / old);
    old = now;
    for_rows(cpu, g, [&](index_t, index_t, index_t first, float*) {
      for (std::size_t i = at(first); i < at(first + g.nx); ++i) along[i] = g.x[i] + keep * along[i];
      return 0.0;
    });
    for_rows(cpu, g, [&](index_t z, index_t y, index_t first, float*) {
      row_product(g, along.data(), z, y, product.data() + first);
      return 0.0;
    });
    const double curve = dot(cpu, g, along, product);
    if (!(curve > 0)) break;  // what is left is rounding
    const auto length = static_cast<float>(now / curve);
    for_rows(cpu, g, [&](index_t, index_t, index_t first, float*) {
      for (std::size_t i = at(first); i < at(first + g.nx); ++i) {
        chance.data[i] += length * along[i];
        rest[i] -= length * product[i];
      }
      return 0.0;
    });
  }
  for (std::size_t i = 0; i < n; ++i)
    chance.data[i] = seeds_.data[i] == label ? 1.0f : std::clamp(chance.data[i], 0.0f, 1.0f);
  return iteration;
}

}  // namespace cryolith::detect
