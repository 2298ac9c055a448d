// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// Rows <-> lanes; for fft_kernels*.cpp only.
#include "core/fft_lanes.hpp"

namespace cryolith::fft::CRYOLITH_VARIANT {
namespace {

// One row as kLanes interleaved sub-signals: natural contiguous loads, lane passes of length m = n / kLanes, then one
// twiddle, transpose and radix-kLanes step across the lanes. load(i) gives samples kLanes i ... kLanes i + kLanes - 1;
// store(k, z) takes samples k ... k + kLanes - 1 for any k.
template <class Load, class Store>
CRYOLITH_INLINE void split_row(const RowTable<Real>& t, const Load& load, const Store& store, const Work& w) {
  const index_t m = t.lanes.n;
  const Samples y{to_scratch(t.lanes, load, w.a, w.b)};
  for (index_t k = 0; k < m; k += kLanes) {
    if (k + kLanes > m) k = m - kLanes;  // the last block may overlap its neighbour
    Vec re[kLanes], im[kLanes];
    Lane x[kLanes];
    static_for<kLanes>([&](auto q) CRYOLITH_LAMBDA {
      const Real* twiddle = t.split + 2 * kLanes * (k + q);
      const Lane z = y(k + q) * Lane{loadu(twiddle), loadu(twiddle + kLanes)};
      re[q] = z.re;
      im[q] = z.im;
    });
    transpose(re);
    transpose(im);
    static_for<kLanes>([&](auto l) CRYOLITH_LAMBDA { x[l] = {re[l], im[l]}; });
    Dft<kLanes>::run(x);
    static_for<kLanes>([&](auto j) CRYOLITH_LAMBDA { store(k + m * j, x[j]); });
  }
}

template <bool Inverse>
struct RowLoad {  // sample i of the sub-signals of one interleaved row
  const Real* p;
  CRYOLITH_INLINE Lane operator()(index_t i) const { return swap_if<Inverse>(load_complex(p + 2 * kLanes * i)); }
};

// kLanes rows <-> lanes. Rows past the end repeat the last one, so that partial groups need no other code. A sample is
// `width` elements: 1 of real rows, 2 of complex ones.
struct RowGroup {
  Real* p[kLanes];
  index_t width, step;  // step: from sample to sample, the width where they touch
  bool adjacent;        // the rows lie side by side: sample i of all of them is one load

  RowGroup(const Real* base, index_t stride, index_t width_, const RowBlock<Real>& b, index_t first)
      : width(width_), step(width_), adjacent(false) {
    for (int l = 0; l < kLanes; ++l) p[l] = const_cast<Real*>(base) + row(b, first, l) * stride;  // see outputs()
  }
  RowGroup(const Real* base, const index_t* at, index_t step_, index_t width_, const RowBlock<Real>& b, index_t first)
      : width(width_), step(step_), adjacent(true) {
    for (int l = 0; l < kLanes; ++l) {
      p[l] = const_cast<Real*>(base) + at[row(b, first, l)];
      adjacent = adjacent && p[l] == p[0] + l * width;
    }
  }
  static index_t row(const RowBlock<Real>& b, index_t first, int l) {
    return first + l < b.last ? first + l : b.last - 1;
  }

  // to[i * stride] = element i of each row
  void load(Vec* to, index_t stride, index_t n) const {
    if (step != width) return gather(to, stride, n);
    index_t i = 0;
    for (; i + kLanes <= n; i += kLanes) {
      Vec x[kLanes];
      static_for<kLanes>([&](auto l) CRYOLITH_LAMBDA { x[l] = loadu(p[l] + i); });
      transpose(x);
      static_for<kLanes>([&](auto l) CRYOLITH_LAMBDA { to[(i + l) * stride] = x[l]; });
    }
    for (; i < n; ++i)
      for (int l = 0; l < kLanes; ++l) to[i * stride][l] = p[l][i];
  }
  void store(const Vec* from, index_t stride, index_t n) const {
    if (step != width) return scatter(from, stride, n);
    index_t i = 0;
    for (; i + kLanes <= n; i += kLanes) {
      Vec x[kLanes];
      static_for<kLanes>([&](auto l) CRYOLITH_LAMBDA { x[l] = from[(i + l) * stride]; });
      transpose(x);
      static_for<kLanes>([&](auto l) CRYOLITH_LAMBDA { storeu(p[l] + i, x[l]); });
    }
    for (; i < n; ++i)
      for (int l = 0; l < kLanes; ++l) p[l][i] = from[i * stride][l];
  }

 private:
  void gather(Vec* to, index_t stride, index_t n) const {
    index_t at = 0;
    for (index_t i = 0; i < n; i += width, at += step) {
      if (adjacent && width == 1) {
        to[i * stride] = loadu(p[0] + at);
      } else if (adjacent) {
        const Lane z = load_complex(p[0] + at);
        to[i * stride] = z.re;
        to[(i + 1) * stride] = z.im;
      } else {
        for (index_t c = 0; c < width; ++c)
          for (int l = 0; l < kLanes; ++l) to[(i + c) * stride][l] = p[l][at + c];
      }
    }
  }
  void scatter(const Vec* from, index_t stride, index_t n) const {
    index_t at = 0;
    for (index_t i = 0; i < n; i += width, at += step) {
      if (adjacent && width == 1) {
        storeu(p[0] + at, from[i * stride]);
      } else if (adjacent) {
        store_complex(p[0] + at, {from[i * stride], from[(i + 1) * stride]});
      } else {
        for (index_t c = 0; c < width; ++c)
          for (int l = 0; l < kLanes; ++l) p[l][at + c] = from[(i + c) * stride][l];
      }
    }
  }
};

CRYOLITH_INLINE RowGroup inputs(const RowBlock<Real>& b, index_t first, index_t width) {
  if (b.scatter != nullptr) return {b.in, b.scatter->in, b.scatter->in_step, width, b, first};
  return {b.in, b.in_stride, width, b, first};
}
CRYOLITH_INLINE RowGroup outputs(const RowBlock<Real>& b, index_t first, index_t width) {  // alone written through
  if (b.scatter != nullptr) return {b.out, b.scatter->out, b.scatter->out_step, width, b, first};
  return {b.out, b.out_stride, width, b, first};
}

void swap_scale(Samples z, index_t n, Real scale) {
  for (index_t i = 0; i < n; ++i) z(i, swap(z(i)) * scale);
}

void complex_group(const RowTable<Real>& t, const RowBlock<Real>& b, index_t first, const Work& w) {
  inputs(b, first, 2).load(w.b, 1, 2 * t.n);
  if (b.inverse) swap_scale({w.b}, t.n, b.scale);
  Vec* const r = to_scratch(t.lanes, Samples{w.b}, w.a, w.b);
  if (b.inverse) swap_scale({r}, t.n, 1);
  outputs(b, first, 2).store(r, 1, 2 * t.n);
}

void complex_split(const RowTable<Real>& t, const RowBlock<Real>& b, index_t row, const Work& w) {
  const Real* in = b.in + row * b.in_stride;
  Real* out = b.out + row * b.out_stride;
  if (b.inverse) {
    split_row(
        t, RowLoad<true>{in}, [&](index_t k, Lane z) CRYOLITH_LAMBDA { store_complex(out + 2 * k, swap(z) * b.scale); },
        w);
  } else {
    split_row(t, RowLoad<false>{in}, [&](index_t k, Lane z) CRYOLITH_LAMBDA { store_complex(out + 2 * k, z); }, w);
  }
}

// Even real rows, x = even samples + i odd samples, Z its transform of length h = n / 2:
// X[k] = (Z[k] + conj Z[h - k]) / 2 - i w^k (Z[k] - conj Z[h - k]) / 2, w = exp(-2 pi i / n); the inverse undoes it.
void real_even_forward(const RowTable<Real>& t, const RowBlock<Real>& b, index_t first, const Work& w) {
  const index_t h = t.n / 2;
  inputs(b, first, 1).load(w.b, 1, t.n);
  const Samples z{to_scratch(t.lanes, Samples{w.b}, w.a, w.b)};
  const Lane z0 = z(0);
  z(0, {z0.re + z0.im, Vec{}});
  z(h, {z0.re - z0.im, Vec{}});
  for (index_t k = 1; k <= h / 2; ++k) {
    const Lane p = z(k), q = conj(z(h - k)), e = (p + q) * 0.5f;
    const Lane o = minus_i(p - q) * Root{0.5f * t.half_re[k], 0.5f * t.half_im[k]};
    z(k, e + o);
    z(h - k, conj(e - o));
  }
  outputs(b, first, 2).store(z.p, 1, t.n + 2);
}

void real_even_inverse(const RowTable<Real>& t, const RowBlock<Real>& b, index_t first, const Work& w) {
  const index_t h = t.n / 2;
  const Samples z{w.b};
  inputs(b, first, 2).load(z.p, 1, b.packed != nullptr ? t.n : t.n + 2);
  const Vec x0 = z(0).re * b.scale, xh = (b.packed != nullptr ? z(0).im : z(h).re) * b.scale;
  z(0, {x0 - xh, x0 + xh});  // real and imaginary part swapped: inverse
  for (index_t k = 1; k <= h / 2; ++k) {
    const Lane p = z(k) * b.scale, q = conj(z(h - k)) * b.scale, e = p + q;
    const Lane o = (p - q) * Root{t.half_re[k], -t.half_im[k]};
    z(k, {e.im + o.re, e.re - o.im});
    z(h - k, {o.re - e.im, e.re + o.im});
  }
  Vec* const r = to_scratch(t.lanes, z, w.a, w.b);
  swap_scale({r}, h, 1);
  outputs(b, first, 1).store(r, 1, t.n);
}

// The same for one split row; between the two steps the half spectrum lies planar in w.c: h real, h imaginary parts.
struct Planar {
  Real *re, *im;
  CRYOLITH_INLINE Lane operator()(index_t k) const { return {loadu(re + k), loadu(im + k)}; }
  CRYOLITH_INLINE void operator()(index_t k, Lane v) const {
    storeu(re + k, v.re);
    storeu(im + k, v.im);
  }
};
CRYOLITH_INLINE Lane mirror(Lane a) { return {reverse(a.re), -reverse(a.im)}; }  // conjugate, order reversed
CRYOLITH_INLINE Lane half_twiddle(const RowTable<Real>& t, index_t k) {
  return {loadu(t.half_re + k), loadu(t.half_im + k)};
}

void real_split_forward(const RowTable<Real>& t, const RowBlock<Real>& b, index_t row, const Work& w, Real* planar) {
  const index_t h = t.n / 2;
  Real* out = b.out + row * b.out_stride;
  const Planar z{planar, planar + h};
  split_row(t, RowLoad<false>{b.in + row * b.in_stride}, z, w);
  const Real re0 = z.re[0], im0 = z.im[0];
  for (index_t k = 1; k <= h / 2; k += kLanes) {  // the middle blocks may overlap: the later wins
    const index_t j = h - k - kLanes + 1;
    const Lane p = z(k), q = mirror(z(j)), e = (p + q) * 0.5f, o = minus_i((p - q) * 0.5f) * half_twiddle(t, k);
    store_complex(out + 2 * k, e + o);
    store_complex(out + 2 * j, mirror(e - o));
  }
  out[0] = re0 + im0;
  out[1] = 0;
  out[2 * h] = re0 - im0;
  out[2 * h + 1] = 0;
}

// The row from its beginning on, in `to`.
const Real* unpacked(const Turns& turns, const Real* in, index_t row, index_t h, Real* to) {
  const index_t first = 2 * turns.at(row), n = 2 * h;
  __builtin_memcpy(to, in + first, sizeof(Real) * static_cast<std::size_t>(n - first));
  __builtin_memcpy(to + n - first, in, sizeof(Real) * static_cast<std::size_t>(first));
  return to;
}

void real_split_inverse(const RowTable<Real>& t, const RowBlock<Real>& b, index_t row, const Work& w, Real* planar) {
  const index_t h = t.n / 2;
  const Real* in = b.in + row * b.in_stride;
  Real* out = b.out + row * b.out_stride;
  const Planar z{planar, planar + h};
  if (b.packed != nullptr) in = unpacked(*b.packed, in, row, h, reinterpret_cast<Real*>(w.a));
  for (index_t k = 1; k <= h / 2; k += kLanes) {
    const index_t j = h - k - kLanes + 1;
    const Lane p = load_complex(in + 2 * k), q = mirror(load_complex(in + 2 * j)), e = p + q;
    const Lane o = (p - q) * conj(half_twiddle(t, k));
    z(k, {e.re - o.im, e.im + o.re});
    z(j, {reverse(e.re + o.im), reverse(o.re - e.im)});
  }
  const Real last = b.packed != nullptr ? in[1] : in[2 * h];
  z.re[0] = in[0] + last;
  z.im[0] = in[0] - last;
  split_row(
      t, [&](index_t i) CRYOLITH_LAMBDA { return swap(z(kLanes * i)); },
      [&](index_t k, Lane v) CRYOLITH_LAMBDA { store_complex(out + 2 * k, swap(v) * b.scale); }, w);
}

// Odd real rows: row groups x and y as one complex signal x + i y; X and Y are its Hermitian and antihermitian parts.
void real_odd_forward(const RowTable<Real>& t, const RowBlock<Real>& b, index_t first, const Work& w) {
  const index_t second = first + kLanes < b.last ? first + kLanes : b.last - 1;
  inputs(b, first, 1).load(w.b, 2, t.n);
  inputs(b, second, 1).load(w.b + 1, 2, t.n);
  const Samples z{to_scratch(t.lanes, Samples{w.b}, w.a, w.b)};
  const Samples x{z.p == w.a ? w.b : w.a}, y{w.c};
  for (index_t k = 0; k <= t.n / 2; ++k) {
    const Lane p = z(k), q = conj(z(k > 0 ? t.n - k : 0));
    x(k, (p + q) * 0.5f);
    y(k, minus_i(p - q) * 0.5f);
  }
  outputs(b, first, 2).store(x.p, 1, t.n + 1);
  outputs(b, second, 2).store(y.p, 1, t.n + 1);
}

void real_odd_inverse(const RowTable<Real>& t, const RowBlock<Real>& b, index_t first, const Work& w) {
  const index_t second = first + kLanes < b.last ? first + kLanes : b.last - 1;
  const Samples x{w.a}, y{w.c}, z{w.b};
  inputs(b, first, 2).load(x.p, 1, t.n + 1);
  inputs(b, second, 2).load(y.p, 1, t.n + 1);
  z(0, {y(0).re * b.scale, x(0).re * b.scale});
  for (index_t k = 1; k <= t.n / 2; ++k) {  // swap(x + i y) and swap(conj x + i conj y)
    const Lane p = x(k) * b.scale, q = y(k) * b.scale;
    z(k, {p.im + q.re, p.re - q.im});
    z(t.n - k, {q.re - p.im, p.re + q.im});
  }
  Vec* const r = to_scratch(t.lanes, z, w.a, w.b);
  outputs(b, first, 1).store(r + 1, 2, t.n);
  outputs(b, second, 1).store(r, 2, t.n);
}

}  // namespace
}  // namespace cryolith::fft::CRYOLITH_VARIANT
