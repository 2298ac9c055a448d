// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// Parts of distance_kernels.cpp: distances to the nearest other value along one axis. Written without branches, so that
// compilers make vectors of them.
#include "detect/distance.kernel.hpp"
#include "detect/distance_scratch.hpp"

// Before a loop whose iterations do not touch each other's elements.
#if defined(__clang__)
#define CRYOLITH_APART _Pragma("clang loop vectorize(assume_safety)")
#else
#define CRYOLITH_APART _Pragma("GCC ivdep")
#endif

namespace cryolith::CRYOLITH_VARIANT {
namespace {

using namespace detect;

// n columns, one step along their axis; kWhole: n is kStrip.
template <Kind kKind, bool kWhole, class V>
CRYOLITH_INLINE void step_runs(const std::uint16_t* from, const V* values, const V* beside, index_t n,
                               std::uint16_t* to) {
  const index_t count = kWhole ? kStrip : n;
  CRYOLITH_APART
  for (index_t x = 0; x < count; ++x) to[x] = next_run<kKind>(from[x], values[x], beside[x]);
}

template <Kind kKind, bool kWhole, class V>
CRYOLITH_INLINE void strip_along_z(const DistancePlan& plan, const V* values, index_t depth, const SlabEnds& ends,
                                   index_t x0, index_t n, std::uint16_t* to) {
  const index_t plane = plan.ny * plan.nx, slice = along_z_pitch(plan.ny);
  const V *last = static_cast<const V*>(ends.last), *first = static_cast<const V*>(ends.first);
  for (index_t y = 0; y < plan.ny; ++y) {
    const index_t at = y * plan.nx + x0;
    std::uint16_t* out = to + y * kStrip;
    const std::uint16_t* run = ends.after + at;
    const V* beside = first + at;
    for (index_t z = depth - 1; z >= 0; --z) {
      step_runs<kKind, kWhole>(run, values + z * plane + at, beside, n, out + z * slice);
      run = out + z * slice;
      beside = values + z * plane + at;
    }
    std::uint16_t forward[kStrip];
    for (index_t x = 0; x < n; ++x) forward[x] = ends.before[at + x];
    beside = last + at;
    for (index_t z = 0; z < depth; ++z) {
      std::uint16_t* o = out + z * slice;
      // A zero has no run: what is known of a mask need not be fetched again.
      if constexpr (kKind == Kind::mask) {
        step_runs<kKind, kWhole>(forward, o, o, n, forward);
      } else {
        step_runs<kKind, kWhole>(forward, values + z * plane + at, beside, n, forward);
        beside = values + z * plane + at;
      }
      const index_t count = kWhole ? kStrip : n;
      CRYOLITH_APART
      for (index_t x = 0; x < count; ++x) o[x] = o[x] < forward[x] ? o[x] : forward[x];
      for (index_t x = count; x < kStrip; ++x) o[x] = 0;
    }
  }
}

// Runs up and down the columns of one slice of a strip, (ny, kStrip).
template <Kind kKind, class V>
CRYOLITH_INLINE void strip_runs(const DistancePlan& plan, const V* values, index_t n, std::uint16_t* up,
                                std::uint16_t* down) {
  std::uint16_t run[kStrip] = {};
  const V* beside = values;
  for (index_t x = 0; x < n; ++x) run[x] = run_beyond<kKind>(plan.border, values[x]);
  for (index_t y = 0; y < plan.ny; ++y) {
    const V* row = values + y * plan.nx;
    step_runs<kKind, false>(run, row, beside, n, run);
    for (index_t x = 0; x < kStrip; ++x) up[y * kStrip + x] = run[x];
    beside = row;
  }
  beside = values + (plan.ny - 1) * plan.nx;
  for (index_t x = 0; x < n; ++x) run[x] = run_beyond<kKind>(plan.border, beside[x]);
  for (index_t y = plan.ny - 1; y >= 0; --y) {
    const V* row = values + y * plan.nx;
    step_runs<kKind, false>(run, row, beside, n, run);
    for (index_t x = 0; x < kStrip; ++x) down[y * kStrip + x] = run[x];
    beside = row;
  }
}

template <Kind kKind, class V>
CRYOLITH_INLINE void row_runs(const DistancePlan& plan, const V* row, std::uint16_t* up, std::uint16_t* down) {
  const index_t n = plan.nx;
  std::uint16_t run = run_beyond<kKind>(plan.border, row[0]);
  for (index_t x = 0; x < n; ++x) up[x] = run = next_run<kKind>(run, row[x], row[x > 0 ? x - 1 : 0]);
  run = run_beyond<kKind>(plan.border, row[n - 1]);
  for (index_t x = n - 1; x >= 0; --x) down[x] = run = next_run<kKind>(run, row[x], row[x + 1 < n ? x + 1 : x]);
}

// Squares of distances in voxels.
CRYOLITH_INLINE void square_runs(const std::uint16_t* run, index_t n, std::uint32_t whole, float, std::uint16_t* to) {
  for (index_t i = 0; i < n; ++i) {
    const std::uint32_t r = run[i] < 256 ? run[i] : 256u, square = r * r * whole;
    to[i] = static_cast<std::uint16_t>(square < 65535 ? square : 65535);
  }
}
CRYOLITH_INLINE void square_runs(const std::uint16_t* run, index_t n, std::uint32_t, float square, float* to) {
  for (index_t i = 0; i < n; ++i) to[i] = square_of_run(run[i], square);
}

}  // namespace
}  // namespace cryolith::CRYOLITH_VARIANT
