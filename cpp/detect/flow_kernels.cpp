// SPDX-License-Identifier: BSD-3-Clause
#include "detect/flow_kernels.hpp"

namespace cryolith::detect::CRYOLITH_VARIANT {
namespace {

constexpr index_t kLanes = 8;  // sums that run side by side

// What flows out of cell i, with the conductances along z, y, x and to the sink weighted by scale.
template <class T>
inline T outflow(const FlowRow<T>& r, T sz, T sy, T sx, T ss, index_t i, T before, T after, T bond_before) {
  const T v = r.own[i];
  T z = static_cast<T>(r.bond[0][i]) * (v - r.beside[0][i]) + static_cast<T>(r.bond[1][i]) * (v - r.beside[1][i]);
  T y = static_cast<T>(r.bond[2][i]) * (v - r.beside[2][i]) + static_cast<T>(r.bond[3][i]) * (v - r.beside[3][i]);
  T x = bond_before * (v - before) + static_cast<T>(r.along[i]) * (v - after);
  return sz * z + sy * y + sx * x + ss * (static_cast<T>(r.sink[i]) * v);
}

// body(i, outflow) for each cell; the ends of the row have no neighbour beyond.
template <class T, class Body>
inline void each(const FlowRow<T>& r, T sz, T sy, T sx, T ss, const Body& body) {
  const index_t last = r.nx - 1;
  body(index_t{0}, outflow<T>(r, sz, sy, sx, ss, 0, r.own[0], r.own[last > 0 ? 1 : 0], T{0}));
  for (index_t i = 1; i < last; ++i)
    body(i, outflow<T>(r, sz, sy, sx, ss, i, r.own[i - 1], r.own[i + 1], static_cast<T>(r.along[i - 1])));
  if (last > 0)
    body(last, outflow<T>(r, sz, sy, sx, ss, last, r.own[last - 1], r.own[last], static_cast<T>(r.along[last - 1])));
}

template <class A, class B>
inline double sum_of_products(const A* a, const B* b, index_t n) {
  double part[kLanes] = {};
  index_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (index_t lane = 0; lane < kLanes; ++lane)
      part[lane] += static_cast<double>(a[i + lane]) * static_cast<double>(b[i + lane]);
  double sum = 0;
  for (; i < n; ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  for (double p : part) sum += p;
  return sum;
}

}  // namespace

double apply(const FlowRow<double>& row, const double* scale, double* __restrict applied) {
  each<double>(row, scale[0], scale[1], scale[2], scale[3], [&](index_t i, double out) { applied[i] = out; });
  return sum_of_products(row.own, applied, row.nx);
}

void residual(const FlowRow<float>& row, const float* given, const float* scale, float* __restrict out) {
  each<float>(row, scale[0], scale[1], scale[2], scale[3], [&](index_t i, float flow) { out[i] = given[i] - flow; });
}

void relax(const FlowRow<float>& row, const float* given, const float* inverse, const float* scale, float weight,
           float* __restrict out) {
  each<float>(row, scale[0], scale[1], scale[2], scale[3],
              [&](index_t i, float flow) { out[i] = row.own[i] + weight * inverse[i] * (given[i] - flow); });
}

double dot(const double* a, const float* b, index_t n) { return sum_of_products(a, b, n); }

void turn(const float* scaled, double share, double* __restrict way, index_t n) {
  for (index_t i = 0; i < n; ++i) way[i] = static_cast<double>(scaled[i]) + share * way[i];
}

void advance(const double* applied, double step, double* __restrict residual, float* __restrict rounded, index_t n) {
  for (index_t i = 0; i < n; ++i) {
    residual[i] -= step * applied[i];
    rounded[i] = static_cast<float>(residual[i]);
  }
}

}  // namespace cryolith::detect::CRYOLITH_VARIANT
