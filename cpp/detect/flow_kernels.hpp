// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// Rows of a grid of conductances, compiled once per instruction set: no containers here.
#include <cstdint>

#include "core/dispatch.hpp"
#include "core/view.hpp"

namespace cryolith::detect {

// One row (z, y) of nx cells: values of its own and of the rows beside it, and conductances. A value may be anything
// where its conductance is 0, but has to be there.
template <class T>
struct FlowRow {
  const T* own;
  const T* beside[4];    // z - 1, z + 1, y - 1, y + 1
  const float* bond[4];  // to those
  const float* along;    // from each cell to the next one; 0 at the end
  const float* sink;     // to what is held at 0
  index_t nx;
};

#define CRYOLITH_DECLARE_FLOW(ns)                                                                                   \
  namespace ns {                                                                                                    \
  /* applied = A own, (A v)_i = sum of bond (v_i - v_n) + sink v_i, weighted by scale; returns own . applied. */    \
  double apply(const FlowRow<double>& row, const double* scale, double* applied);                                   \
  /* out = given - A own. */                                                                                        \
  void residual(const FlowRow<float>& row, const float* given, const float* scale, float* out);                     \
  /* out = own + weight / diagonal (given - A own). */                                                              \
  void relax(const FlowRow<float>& row, const float* given, const float* inverse, const float* scale, float weight, \
             float* out);                                                                                           \
  double dot(const double* a, const float* b, index_t n);                                                           \
  /* way = scaled + share way. */                                                                                   \
  void turn(const float* scaled, double share, double* way, index_t n);                                             \
  /* residual -= step applied; rounded = residual. */                                                               \
  void advance(const double* applied, double step, double* residual, float* rounded, index_t n);                    \
  }
CRYOLITH_FOR_EACH_VARIANT(CRYOLITH_DECLARE_FLOW)
#undef CRYOLITH_DECLARE_FLOW

}  // namespace cryolith::detect
