// SPDX-License-Identifier: BSD-3-Clause
// The tuned part of the FFT for float32, and of the transform of a band, compiled once per instruction set
// (cryolith_add_variants).
#define CRYOLITH_FFT_REAL float
#define CRYOLITH_FFT_BYTES 4
#include "core/fft_kernels.hpp"

namespace cryolith::fft::CRYOLITH_VARIANT {
namespace {

// sums[4][n], of which `to` points at kLanes: |x|^2, |y|^2, conj(x) y.
CRYOLITH_INLINE void add_product(Lane x, Lane y, index_t n, float* to) {
  storeu(to, loadu(to) + (x.re * x.re + x.im * x.im));
  storeu(to + n, loadu(to + n) + (y.re * y.re + y.im * y.im));
  storeu(to + 2 * n, loadu(to + 2 * n) + (x.re * y.re + x.im * y.im));
  storeu(to + 3 * n, loadu(to + 3 * n) + (x.re * y.im - x.im * y.re));
}

}  // namespace

const Kernels<float> float_kernels = kKernels;

void row_to_lanes(const float* row, index_t blocks, index_t i, const LaneColumns& to) {
  for (index_t b = 0; b < blocks; ++b) {
    const Lane z = load_complex(row + 2 * kLanes * b);
    float* at = to.data + b * to.block + 2 * kLanes * i;
    storeu(at, z.re);
    storeu(at + kLanes, z.im);
  }
}

void lane_columns(const LaneTable<float>& table, index_t rows, float* block, const Scratch<float>& s) {
  const Work w(s);
  const Samples z{reinterpret_cast<Vec*>(block)};
  transform(table, [&](index_t i) CRYOLITH_LAMBDA { return i < rows ? z(i) : Lane{}; }, z, w.a, w.b);
}

void add_cross(const float* a, const float* b, index_t n, float* sums) {
  for (index_t k = 0; k < n; k += kLanes) add_product(load_complex(a + 2 * k), load_complex(b + 2 * k), n, sums + k);
}

void add_lane_cross(const LaneColumns& a, const LaneColumns& b, index_t n, index_t i, float* sums) {
  for (index_t k = 0; k < n; k += kLanes) {
    const float *p = a.data + k / kLanes * a.block + 2 * kLanes * i,
                *q = b.data + k / kLanes * b.block + 2 * kLanes * i;
    add_product({loadu(p), loadu(p + kLanes)}, {loadu(q), loadu(q + kLanes)}, n, sums + k);
  }
}

void lanes_to_planar(const LaneColumns& from, index_t n, index_t i, float* re, float* im) {
  for (index_t k = 0; k < n; k += kLanes) {
    const float* p = from.data + k / kLanes * from.block + 2 * kLanes * i;
    storeu(re + k, loadu(p));
    storeu(im + k, loadu(p + kLanes));
  }
}

}  // namespace cryolith::fft::CRYOLITH_VARIANT
