// SPDX-License-Identifier: BSD-3-Clause
// Sums run in kLanes partial sums of a fixed order, so that the compiler may use vectors without reordering anything.
#include "align/band_kernels.hpp"

#include "align/band.kernel.hpp"

namespace cryolith::CRYOLITH_VARIANT {
namespace {

constexpr int kLanes = 8;
constexpr index_t kChunk = 512;  // coefficients whose products wait on the stack for their scatter to rings

// Named vectors where GCC 12 makes shuffles of arrays of kLanes partial sums.
typedef float Vec __attribute__((vector_size(4 * kLanes)));
typedef int Mask __attribute__((vector_size(4 * kLanes)));
typedef float LooseVec __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));

// body(vector) for n values, the last ones with zeros behind them.
template <class Body>
inline __attribute__((always_inline)) void in_vectors(const float* p, index_t n, const Body& body) {
  index_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const Vec v = *reinterpret_cast<const LooseVec*>(p + i);
    body(v);
  }
  Vec last = {};
  for (index_t l = 0; i + l < n; ++l) last[l] = p[i + l];
  if (i < n) body(last);
}

float total(const Vec& v) {
  float sum = 0;
  for (int l = 0; l < kLanes; ++l) sum += v[l];
  return sum;
}

double total(const float* lanes) {
  double sum = 0;
  for (int l = 0; l < kLanes; ++l) sum += lanes[l];
  return sum;
}

float root(float v) { return __builtin_sqrtf(v); }

}  // namespace

void ring_row(float fy, const float* fx, float top, float longest, index_t n, std::uint32_t* ring) {
  for (index_t i = 0; i < n; ++i) {
    const float f = root(fy * fy + fx[i] * fx[i]);
    ring[i] = f > top ? 0u : static_cast<std::uint32_t>(static_cast<int>(f * longest + 0.5f));
  }
}

void split_row(const float* in, index_t n, const PlanarRow& to) {
  for (index_t i = 0; i < n; ++i) {
    to.re[i] = in[2 * i];
    to.im[i] = in[2 * i + 1];
  }
}

RowSums phase_sums(const ConstPlanarRow& c, const RowPhase& e, const float* fx, index_t n) {
  float p[2][kLanes] = {}, q[2][kLanes] = {}, r[2][kLanes] = {};
  for (index_t i = 0; i < n; i += kLanes)
    for (int l = 0; l < kLanes; ++l) {
      const Wave z = times({c.re[i + l], c.im[i + l]}, {e.cx[i + l], e.sx[i + l]});
      const float f = fx[i + l], fre = f * z.re, fim = f * z.im;
      p[0][l] += z.re, p[1][l] += z.im;
      q[0][l] += fre, q[1][l] += fim;
      r[0][l] += f * fre, r[1][l] += f * fim;
    }
  const double s[3][2] = {{total(p[0]), total(p[1])}, {total(q[0]), total(q[1])}, {total(r[0]), total(r[1])}};
  RowSums out;
  for (int k = 0; k < 3; ++k) {
    out.re[k] = s[k][0] * static_cast<double>(e.cy) - s[k][1] * static_cast<double>(e.sy);
    out.im[k] = s[k][0] * static_cast<double>(e.sy) + s[k][1] * static_cast<double>(e.cy);
  }
  return out;
}

void add_moved(const ConstPlanarRow& f, const RowPhase& e, float sign, index_t n, const PlanarRow& to) {
  for (index_t i = 0; i < n; ++i) {
    const Wave moved = moved_wave({f.re[i], f.im[i]}, {e.cx[i], e.sx[i]}, {e.cy, e.sy}, sign);
    to.re[i] += moved.re;
    to.im[i] += moved.im;
  }
}

void weighted_cross(const ConstPlanarRow& a, const ConstPlanarRow& b, const float* weight, const std::uint32_t* ring,
                    const float* times, index_t n, const PlanarRow& to) {
  for (index_t i = 0; i < n; ++i) {
    const float w = weight[ring[i]] * times[i];
    const Wave product = cross_wave({a.re[i], a.im[i]}, {b.re[i], b.im[i]}, w);
    to.re[i] = product.re;
    to.im[i] = product.im;
  }
}

void ring_power(const ConstPlanarRow& a, const std::uint32_t* ring, const float* times, index_t n, double* sums) {
  float v[kChunk];
  for (index_t first = 0; first < n; first += kChunk) {
    const index_t count = n - first < kChunk ? n - first : kChunk;
    for (index_t i = 0; i < count; ++i) {
      const index_t k = first + i;
      v[i] = times[k] * power_of({a.re[k], a.im[k]});
    }
    for (index_t i = 0; i < count; ++i)
      sums[kRingCopies * ring[first + i] + i % kRingCopies] += static_cast<double>(v[i]);
  }
}

void ring_sums(const ConstPlanarRow& a, const ConstPlanarRow& b, const RowPhase& e, const std::uint32_t* ring,
               const float* seen, index_t n, double* sums) {
  float aa[kChunk], bb[kChunk], ab[kChunk];
  for (index_t first = 0; first < n; first += kChunk) {
    const index_t count = n - first < kChunk ? n - first : kChunk;
    for (index_t i = 0; i < count; ++i) {
      const index_t k = first + i;
      const Wave p{a.re[k], a.im[k]}, q{b.re[k], b.im[k]};
      const float m = seen[k];
      aa[i] = m * power_of(p);
      bb[i] = m * power_of(q);
      ab[i] = m * common_power(p, q, times({e.cx[k], e.sx[k]}, {e.cy, e.sy}));
    }
    for (index_t i = 0; i < count; ++i) {
      double* to = sums + 3 * (kRingCopies * ring[first + i] + i % kRingCopies);
      to[0] += static_cast<double>(aa[i]);
      to[1] += static_cast<double>(bb[i]);
      to[2] += static_cast<double>(ab[i]);
    }
  }
}

// is_count() and is_finite() of vectors, which functions return only where there are registers for them.
void row_facts(const float* p, index_t n, bool& finite, bool& counts) {
  Mask odd = {}, bad = {};
  in_vectors(p, n, [&](const Vec& v) __attribute__((always_inline)) {
    const Vec none = v - v;
    bad |= none != none;
    odd |= ((v + kWhole) - kWhole != v) | (v < 0.0f);
  });
  for (int l = 0; l < kLanes; ++l) finite = finite && bad[l] == 0, counts = counts && odd[l] == 0;
}

double square_sum(const float* p, index_t n) {
  Vec s = {};
  in_vectors(p, n, [&](const Vec& v) __attribute__((always_inline)) { s += v * v; });
  return static_cast<double>(total(s));
}

float largest_value(const float* p, index_t n) {
  Vec top = {};
  in_vectors(p, n, [&](const Vec& v) __attribute__((always_inline)) { top = v > top ? v : top; });
  float out = 0;
  for (int l = 0; l < kLanes; ++l) out = top[l] > out ? top[l] : out;
  return out;
}

namespace {
template <int Binning>
void add_binned(const float* p, index_t n, float* to) {
  for (index_t i = 0; i < n; ++i) {
    float sum = 0;
    for (int k = 0; k < Binning; ++k) sum += p[i * Binning + k];
    to[i] += sum;
  }
}
}  // namespace

void bin_row(const float* p, index_t binning, index_t n, float* to) {
  if (binning == 4) return add_binned<4>(p, n, to);
  if (binning == 2) return add_binned<2>(p, n, to);
  add_binned<1>(p, n, to);
}

double weighted_sum(const float* p, const float* w, bool stabilise, index_t n) {
  float value[kChunk];
  double sum = 0;
  for (index_t first = 0; first < n; first += kChunk) {
    const index_t count = n - first < kChunk ? n - first : kChunk;
    for (index_t i = 0; i < count; ++i)
      value[i] = w[first + i] * (stabilise ? root(p[first + i] + 1.0f) : p[first + i]);
    Vec s = {};
    in_vectors(value, count, [&](const Vec& v) __attribute__((always_inline)) { s += v; });
    sum += static_cast<double>(total(s));
  }
  return sum;
}

void window_row(const float* p, const float* w, float wy, float mean, bool stabilise, index_t n, float* to) {
  if (stabilise)
    for (index_t i = 0; i < n; ++i) to[i] = windowed(root(p[i] + 1.0f), w[i], wy, mean);
  else
    for (index_t i = 0; i < n; ++i) to[i] = windowed(p[i], w[i], wy, mean);
}

}  // namespace cryolith::CRYOLITH_VARIANT
