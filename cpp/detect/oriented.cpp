// SPDX-License-Identifier: BSD-3-Clause
#include "detect/oriented.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <vector>

#include "core/buffer.hpp"

namespace cryolith::detect {
namespace {

constexpr double kPi = std::numbers::pi;
constexpr double kSpectralEnd = 25, kSpatialEnd = 10;  // exponents at which Gaussians end

// Frequencies [rad/px] of an axis, and the same with that of n / 2 replaced by 0: for products with other axes.
struct Axis {
  std::vector<double> k, crossed;

  Axis(index_t n, index_t terms) {
    for (index_t i = 0; i < terms; ++i) {
      const double f = 2 * kPi * static_cast<double>(i <= n / 2 ? i : i - n) / static_cast<double>(n);
      k.push_back(f);
      crossed.push_back(n % 2 == 0 && i == n / 2 ? 0.0 : f);
    }
  }
};

struct Grid {
  Axis z, y, x;
  index_t nz, ny, nx, terms;

  Grid(index_t nz_, index_t ny_, index_t nx_, index_t terms_)
      : z(nz_, nz_), y(ny_, ny_), x(nx_, terms_), nz(nz_), ny(ny_), nx(nx_), terms(terms_) {}
};

// The exponent of a Gaussian along one row, start + slope kx + bend kx^2, and the terms [begin, end) before it ends.
// The term n / 2 of an even axis stands apart, as `slope` is 0 there.
struct Row {
  double start, slope, bend;
  index_t begin, end;

  Row(const Grid& grid, const double* s, index_t iz, index_t iy) {
    const auto z = static_cast<std::size_t>(iz), y = static_cast<std::size_t>(iy);
    const double kz = grid.z.k[z], ky = grid.y.k[y], cz = grid.z.crossed[z], cy = grid.y.crossed[y];
    start = -0.5 * (s[0] * kz * kz + s[1] * ky * ky + 2 * s[3] * cz * cy);
    slope = -(s[4] * cz + s[5] * cy);
    bend = -0.5 * s[2];
    begin = end = 0;
    const double step = 2 * kPi / static_cast<double>(grid.nx);
    const double root = slope * slope - 4 * bend * (start + kSpectralEnd);
    if (root < 0) return;
    const double reach = std::sqrt(root) / (-2 * bend), middle = slope / (-2 * bend);
    const auto last = static_cast<double>(grid.terms);
    begin = static_cast<index_t>(std::clamp(std::ceil((middle - reach) / step), 0.0, last));
    end = static_cast<index_t>(std::clamp(std::floor((middle + reach) / step) + 1, 0.0, last));
    if (end == grid.terms && grid.nx % 2 == 0) --end;
    end = std::max(begin, end);
  }
  double at(double kx) const { return std::exp(start + (slope + bend * kx) * kx); }
  double at_edge(double kx) const { return std::exp(start + bend * kx * kx); }
};

void check_shapes(View2<const double> shapes) {
  require(shapes.extent[1] == 6, "shapes: found ", shapes.extent[1], " columns, expected 6: zz, yy, xx, zy, zx, yx");
  for (index_t i = 0; i < shapes.extent[0]; ++i) {
    const double* s = shapes.data + 6 * i;
    const double minor = s[1] * s[2] - s[5] * s[5];
    const double det = s[0] * minor - s[3] * (s[3] * s[2] - s[5] * s[4]) + s[4] * (s[3] * s[5] - s[1] * s[4]);
    require(s[2] > 0 && minor > 0 && det > 0 && s[0] + s[1] + s[2] < 1e6, "shapes: row ", i,
            " is not positive definite, or above 1000 px wide");
  }
}

void check_terms(index_t terms, index_t nx, const char* name) {
  require(terms == nx / 2 + 1, name, ": found ", terms, " terms along x, expected ", nx / 2 + 1, " for ", nx,
          " voxels");
}

void filter(const Cpu& cpu, const Grid& grid, const std::complex<float>* base, const double* shape,
            std::complex<float>* out) {
  parallel_for(cpu, grid.nz, [&](index_t z, int) {
    for (index_t y = 0; y < grid.ny; ++y) {
      const std::complex<float>* from = base + (z * grid.ny + y) * grid.terms;
      std::complex<float>* to = out + (z * grid.ny + y) * grid.terms;
      const Row row(grid, shape, z, y);
      std::fill(to, to + grid.terms, 0.0f);
      for (index_t x = row.begin; x < row.end; ++x)
        to[x] = from[x] * static_cast<float>(row.at(grid.x.k[static_cast<std::size_t>(x)]));
      if (grid.nx % 2 == 0)
        to[grid.terms - 1] = from[grid.terms - 1] * static_cast<float>(row.at_edge(grid.x.k.back()));
    }
  });
}

// Adds weight times the moments of k to sums[0 .. 27], or to sums[0] alone.
void add_moments(const std::array<double, 6>& q, double w, index_t columns, double* sums) {
  sums[0] += w;
  if (columns == 1) return;
  double* second = sums + 7;
  for (std::size_t i = 0; i < 6; ++i) {
    const double v = w * q[i];
    sums[1 + i] += v;
    for (std::size_t j = i; j < 6; ++j) *second++ += v * q[j];
  }
}

// One row of OrientedSums.
struct Adder {
  const Grid& grid;
  const OrientedSums& in;
  const double* axis;
  index_t columns, bins;
  double* sums;
  double* profile;

  void add(index_t iz, index_t iy, index_t ix, double w) const {
    const auto z = static_cast<std::size_t>(iz), y = static_cast<std::size_t>(iy), x = static_cast<std::size_t>(ix);
    const double kz = grid.z.k[z], ky = grid.y.k[y], kx = grid.x.k[x];
    const double cz = grid.z.crossed[z], cy = grid.y.crossed[y], cx = grid.x.crossed[x];
    add_moments({kz * kz, ky * ky, kx * kx, cz * cy, cz * cx, cy * cx}, w, columns, sums);
    const double along = axis[0] * kz + axis[1] * ky + axis[2] * kx;
    const double square = kz * kz + ky * ky + kx * kx - along * along;
    const double k = in.across ? std::sqrt(std::max(square, 0.0)) : std::abs(along);
    const double bin = std::min(k / in.reach * static_cast<double>(bins), static_cast<double>(bins - 1));
    profile[static_cast<index_t>(bin)] += w;
  }
};

void add_terms(const Adder& to, const double* shape) {
  const Grid& grid = to.grid;
  for (index_t z = 0; z < grid.nz; ++z)
    for (index_t y = 0; y < grid.ny; ++y) {
      const float* weight = to.in.weight.data + (z * grid.ny + y) * grid.terms;
      const Row row(grid, shape, z, y);
      for (index_t x = row.begin; x < row.end; ++x)
        to.add(z, y, x,
               (x == 0 ? 1.0 : 2.0) * static_cast<double>(weight[x]) * row.at(grid.x.k[static_cast<std::size_t>(x)]));
      if (grid.nx % 2 == 0)
        to.add(z, y, grid.terms - 1, static_cast<double>(weight[grid.terms - 1]) * row.at_edge(grid.x.k.back()));
    }
}

index_t wrapped(index_t i, index_t n) { return (i % n + n) % n; }

// The inverse of a covariance, in the same order, and its determinant.
struct Inverse {
  double q[6], determinant;

  explicit Inverse(const double* s) {
    const double a = s[0], b = s[1], c = s[2], d = s[3], e = s[4], f = s[5];
    determinant = a * (b * c - f * f) - d * (d * c - f * e) + e * (d * f - b * e);
    const double cofactors[] = {b * c - f * f, a * c - e * e, a * b - d * d,
                                e * f - d * c, d * f - e * b, d * e - a * f};
    for (int i = 0; i < 6; ++i) q[i] = cofactors[i] / determinant;
  }
};

double sample(View3<const float> field, const double* place, const double* shape) {
  const index_t nz = field.extent[0], ny = field.extent[1], nx = field.extent[2];
  const Inverse inverse(shape);
  const double* q = inverse.q;
  const double rz = std::sqrt(2 * kSpatialEnd * shape[0]), ry = std::sqrt(2 * kSpatialEnd * shape[1]);
  const double fall = std::exp(-q[2]);
  double sum = 0;
  for (auto z = static_cast<index_t>(std::ceil(place[0] - rz)); static_cast<double>(z) <= place[0] + rz; ++z) {
    const double dz = static_cast<double>(z) - place[0];
    for (auto y = static_cast<index_t>(std::ceil(place[1] - ry)); static_cast<double>(y) <= place[1] + ry; ++y) {
      const double dy = static_cast<double>(y) - place[1];
      // The exponent along x is start - q2 (dx - middle)^2 / 2.
      const double slope = q[4] * dz + q[5] * dy, middle = -slope / q[2];
      const double start = -0.5 * (q[0] * dz * dz + q[1] * dy * dy + 2 * q[3] * dz * dy - slope * slope / q[2]);
      if (start < -kSpatialEnd) continue;
      const double reach = std::sqrt(2 * (start + kSpatialEnd) / q[2]), centre = place[2] + middle;
      const float* row = field.data + (wrapped(z, nz) * ny + wrapped(y, ny)) * nx;
      const auto first = static_cast<index_t>(std::ceil(centre - reach)),
                 last = static_cast<index_t>(std::floor(centre + reach));
      const bool inside = first >= 0 && last < nx;
      // Each value from the one before: exp(-q (d + 1)^2 / 2) = exp(-q d^2 / 2) exp(-q d) exp(-q / 2).
      const double dx = static_cast<double>(first) - centre;
      double value = std::exp(start - 0.5 * q[2] * dx * dx), ratio = std::exp(-q[2] * (dx + 0.5)), part = 0;
      for (index_t x = first; x <= last; ++x) {
        part += value * static_cast<double>(row[inside ? x : wrapped(x, nx)]);
        value *= ratio;
        ratio *= fall;
      }
      sum += part;
    }
  }
  return sum / (std::pow(2 * kPi, 1.5) * std::sqrt(inverse.determinant));
}

// The four cubic B-splines that are not 0 at a place along one periodic axis, and their voxels.
struct SplineWeights {
  double value[4];
  index_t at[4];

  SplineWeights(double place, index_t n) {
    const double low = std::floor(place), b = place - low, a = 1 - b;
    value[0] = a * a * a / 6;
    value[1] = (4 - 3 * b * b * (2 - b)) / 6;
    value[2] = (4 - 3 * a * a * (2 - a)) / 6;
    value[3] = b * b * b / 6;
    for (int i = 0; i < 4; ++i) at[i] = wrapped(static_cast<index_t>(low) + i - 1, n);
  }
};

double spline_sample(View3<const float> coefficients, const double* place) {
  const index_t ny = coefficients.extent[1], nx = coefficients.extent[2];
  const SplineWeights z(place[0], coefficients.extent[0]), y(place[1], ny), x(place[2], nx);
  double sum = 0;
  for (int i = 0; i < 4; ++i)
    for (int j = 0; j < 4; ++j) {
      const float* row = coefficients.data + (z.at[i] * ny + y.at[j]) * nx;
      double part = 0;
      for (int k = 0; k < 4; ++k) part += x.value[k] * static_cast<double>(row[x.at[k]]);
      sum += z.value[i] * y.value[j] * part;
    }
  return sum;
}

void check_places(View2<const double> places) {
  require(places.extent[1] == 3, "places: found ", places.extent[1], " columns, expected 3: z, y, x");
  for (index_t i = 0; i < places.size(); ++i)
    require(std::abs(places.data[i]) < 1e9, "places: found ", places.data[i], ", expected voxels of the field");
}

}  // namespace

void oriented_maxima(const Cpu& cpu, const OrientedBank& bank, View3<float> value, View3<std::int32_t> which) {
  const index_t nz = bank.base.extent[0], ny = bank.base.extent[1], terms = bank.base.extent[2];
  const index_t filters = bank.shapes.extent[0];
  check_terms(terms, bank.nx, "base");
  check_shapes(bank.shapes);
  require(filters >= 1, "shapes: found none, expected one or more");
  require(bank.gains.extent[0] == filters, "gains: found ", bank.gains.extent[0], " numbers, expected ", filters,
          " as in shapes");
  const index_t shape[3] = {nz, ny, bank.nx};
  for (int a = 0; a < 3; ++a)
    require(value.extent[a] == shape[a] && which.extent[a] == shape[a], "value, which: found ", value.extent[a],
            " and ", which.extent[a], " voxels along axis ", a, ", expected ", shape[a]);
  const Grid grid(nz, ny, bank.nx, terms);
  const fft::Plan plan(shape, 3, fft::Kind::real);
  fft::Workspace scratch;
  std::vector<std::complex<float>> filtered(static_cast<std::size_t>(bank.base.size()));
  std::vector<float> field(static_cast<std::size_t>(value.size()));
  const index_t layer = ny * bank.nx;
  for (index_t i = 0; i < filters; ++i) {
    filter(cpu, grid, bank.base.data, bank.shapes.data + 6 * i, filtered.data());
    const double gain = bank.gains.data[i] / static_cast<double>(value.size());
    plan.inverse(cpu, filtered.data(), field.data(), static_cast<float>(gain), scratch);
    parallel_for(cpu, nz, [&](index_t z, int) {
      const float* from = field.data() + z * layer;
      float* best = value.data + z * layer;
      std::int32_t* whose = which.data + z * layer;
      for (index_t j = 0; j < layer; ++j) {
        const bool higher = i == 0 || std::abs(from[j]) > std::abs(best[j]);
        best[j] = higher ? from[j] : best[j];
        whose[j] = higher ? static_cast<std::int32_t>(i) : whose[j];
      }
    });
  }
}

void oriented_sums(const Cpu& cpu, const OrientedSums& in, View2<double> sums, View2<double> profile) {
  const index_t n = in.shapes.extent[0], columns = sums.extent[1], bins = profile.extent[1];
  check_terms(in.weight.extent[2], in.nx, "weight");
  check_shapes(in.shapes);
  require(in.axes.extent[0] == n && in.axes.extent[1] == 3, "axes: found (", in.axes.extent[0], ", ", in.axes.extent[1],
          "), expected (", n, ", 3)");
  require(sums.extent[0] == n && (columns == 1 || columns == 28), "sums: found (", sums.extent[0], ", ", columns,
          "), expected (", n, ", 1) or (", n, ", 28)");
  require(profile.extent[0] == n && bins >= 1 && in.reach > 0, "profile: found (", profile.extent[0], ", ", bins,
          ") to ", in.reach, " rad/px, expected (", n, ", bins) to more than 0");
  const Grid grid(in.weight.extent[0], in.weight.extent[1], in.nx, in.weight.extent[2]);
  parallel_for(cpu, n, [&](index_t i, int) {
    const Adder to{grid, in, in.axes.data + 3 * i, columns, bins, sums.data + columns * i, profile.data + bins * i};
    std::fill(to.sums, to.sums + columns, 0.0);
    std::fill(to.profile, to.profile + bins, 0.0);
    add_terms(to, in.shapes.data + 6 * i);
  });
}

void oriented_samples(const Cpu& cpu, View3<const float> field, View2<const double> places, View2<const double> shapes,
                      View1<double> samples) {
  const index_t n = places.extent[0];
  check_places(places);
  require(shapes.extent[0] == n && samples.extent[0] == n, "shapes, samples: found ", shapes.extent[0], " and ",
          samples.extent[0], " rows, expected ", n, " as in places");
  check_shapes(shapes);
  parallel_for(cpu, n,
               [&](index_t i, int) { samples.data[i] = sample(field, places.data + 3 * i, shapes.data + 6 * i); });
}

void spline_samples(const Cpu& cpu, View3<const float> coefficients, View2<const double> places,
                    View1<double> samples) {
  check_places(places);
  require(samples.extent[0] == places.extent[0], "samples: found ", samples.extent[0], " rows, expected ",
          places.extent[0], " as in places");
  constexpr index_t kBlock = 512;  // places: a thread costs more than a few
  const index_t n = places.extent[0];
  parallel_for(cpu, (n + kBlock - 1) / kBlock, [&](index_t block, int) {
    for (index_t i = block * kBlock; i < std::min(n, (block + 1) * kBlock); ++i)
      samples.data[i] = spline_sample(coefficients, places.data + 3 * i);
  });
}

}  // namespace cryolith::detect
