// SPDX-License-Identifier: BSD-3-Clause
#include "core/fft_plan.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <new>
#include <numbers>
#include <utility>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace cryolith::fft {
namespace {

using Wide = std::complex<double>;

// exp(-2 pi i k / n), exact to one rounding: cosine and sine of angles up to pi / 4 only.
Wide unit_root(index_t k, index_t n) {
  k %= n;
  const index_t quarter = 4 * k / n, rest = 4 * k % n;  // in units of a quarter turn / n
  const auto angle = [n](index_t r) {
    return std::numbers::pi / 2 * (static_cast<double>(r) / static_cast<double>(n));
  };
  const bool over = 2 * rest > n;
  const double a = angle(over ? n - rest : rest);
  const double c = over ? std::sin(a) : std::cos(a), s = over ? std::cos(a) : std::sin(a);
  switch (quarter) {
    case 0:
      return {c, -s};
    case 1:
      return {-s, -c};
    case 2:
      return {-c, s};
    default:
      return {s, c};
  }
}
template <class T>
Complex<T> narrow(Wide z) {
  return {static_cast<T>(z.real()), static_cast<T>(z.imag())};
}

index_t without_factor(index_t n, int factor) {
  while (n % factor == 0) n /= factor;
  return n;
}

// Radices of the passes, and the factor that is left when a prime is above kMaxDirect.
std::pair<std::vector<int>, index_t> factorise(index_t n) {
  std::vector<int> radices;
  const auto take = [&](int r) {
    for (; n % r == 0; n /= r) radices.push_back(r);
  };
  for (; n % 8 == 0 && n != 16 && n != 32; n /= 8) radices.push_back(8);  // 4 * 4 is better than 8 * 2
  for (int r : {4, 2, 3, 5, 7}) take(r);
  for (int r = 11; index_t{r} * r <= n && r <= kMaxDirect; r += 2) take(r);
  if (n > 1 && n <= kMaxDirect) {
    radices.push_back(static_cast<int>(n));
    n = 1;
  }
  return {std::move(radices), n};
}

// Cosines and sines of an odd radix, in the order of odd_outputs in fft_lanes.hpp.
template <class T>
std::vector<Complex<T>> odd_roots(int radix) {
  std::vector<Complex<T>> roots;
  const int h = (radix - 1) / 2;
  const auto entry = [&](int m, int j) { roots.push_back(narrow<T>(std::conj(unit_root(index_t{m} * j, radix)))); };
  for (int m = 1; m <= h; m += 2) {
    for (int j = 1; j <= h; ++j) {
      entry(m, j);
      if (m < h) entry(m + 1, j);
    }
  }
  return roots;
}

// Double-precision transform of x[first + stride i], i < roots.size() / stride, by the definition of one factor after
// the other: for tables only.
std::vector<Wide> slow_dft(const std::vector<Wide>& x, const std::vector<Wide>& roots, std::size_t first,
                           std::size_t stride) {
  const std::size_t n = roots.size() / stride;
  if (n == 1) return {x[first]};
  std::size_t factor = 2;
  while (n % factor != 0) ++factor;
  std::vector<Wide> out(n);
  for (std::size_t r = 0; r < factor; ++r) {
    const std::vector<Wide> part = slow_dft(x, roots, first + stride * r, stride * factor);
    for (std::size_t k = 0; k < n; ++k) out[k] += roots[r * k % n * stride] * part[k % (n / factor)];
  }
  return out;
}

}  // namespace

// Arrays of one worker are 512 bytes apart from a page boundary, so that they do not alias in the cache.
template <class T>
std::size_t scratch_bytes(index_t work) {
  const std::size_t bytes = sizeof(T) * 2 * static_cast<std::size_t>(kernels<T>().lanes * work);
  return (bytes + 4095) / 4096 * 4096 + 512;
}

index_t good_size(index_t n) {
  require(n >= 0 && n <= index_t{1} << 40, "good_size: found ", n, ", expected 0 to 2^40");
  for (index_t m = std::max<index_t>(n, 1);; ++m) {
    if (m > 16 && m % (m > 128 ? 16 : 2) != 0) continue;
    index_t rest = m;
    for (int p : {2, 3, 5, 7}) rest = without_factor(rest, p);
    if (rest == 1) return m;
  }
}

Workspace::~Workspace() { std::free(data_); }

void* Workspace::reserve(std::size_t bytes) {
  if (bytes <= size_) return data_;
  std::free(data_);
  data_ = nullptr;
  size_ = 0;
  constexpr std::size_t page = 4096, huge = std::size_t{2} << 20;
  const std::size_t unit = bytes >= huge ? huge : page;
  const std::size_t size = (bytes + unit - 1) / unit * unit;
  data_ = std::aligned_alloc(unit, size);
  if (data_ == nullptr) throw std::bad_alloc();
  size_ = size;
#if defined(__linux__)
  if (unit == huge) madvise(data_, size, MADV_HUGEPAGE);  // advice: where it is refused, small pages serve
#endif
  return data_;
}

template <class T>
Lanes<T>::Lanes(index_t n) {
  table_.n = table_.work = n;
  const auto [radices, rest] = factorise(n);
  if (rest == 1)
    add_passes(radices);
  else
    init_bluestein();
}

template <class T>
const Complex<T>* Lanes<T>::keep(std::vector<Complex<T>> values) {
  tables_.push_back(std::move(values));
  return tables_.back().data();
}

template <class T>
void Lanes<T>::add_passes(const std::vector<int>& radices) {
  index_t l1 = 1;
  for (int radix : radices) {
    Pass<T>& pass = table_.pass[table_.passes++];
    pass = {radix, l1, table_.n / (l1 * radix), nullptr, nullptr};
    if (pass.ido > 1) {
      std::vector<Complex<T>> twiddle;
      twiddle.reserve(static_cast<std::size_t>(pass.ido * (radix - 1)));
      for (index_t i = 0; i < pass.ido; ++i)
        for (int j = 1; j < radix; ++j) twiddle.push_back(narrow<T>(unit_root(i * j, pass.ido * radix)));
      pass.twiddle = keep(std::move(twiddle));
    }
    if (radix > 8) pass.roots = keep(odd_roots<T>(radix));
    l1 *= radix;
  }
}

template <class T>
void Lanes<T>::init_bluestein() {
  const index_t n = table_.n;
  convolution_ = std::make_unique<Lanes<T>>(good_size(2 * n - 1));
  table_.convolution = &convolution_->table();
  const index_t m = table_.work = table_.convolution->n;
  const auto count = static_cast<std::size_t>(m);
  std::vector<Wide> mirrored(count), roots(count);
  std::vector<Complex<T>> chirp, kernel;
  for (index_t k = 0; k < n; ++k) {
    const Wide c = unit_root(k * k % (2 * n), 2 * n);
    chirp.push_back(narrow<T>(c));
    const Wide z = std::conj(c) / static_cast<double>(m);
    mirrored[static_cast<std::size_t>(k)] = z;
    if (k > 0) mirrored[static_cast<std::size_t>(m - k)] = z;
  }
  for (std::size_t k = 0; k < count; ++k) roots[k] = unit_root(static_cast<index_t>(k), m);
  for (const Wide& z : slow_dft(mirrored, roots, 0, 1)) kernel.push_back(narrow<T>(z));
  table_.chirp = keep(std::move(chirp));
  table_.kernel = keep(std::move(kernel));
}

template <class T>
Rows<T>::Rows(index_t n, bool real, bool may_split) {
  const int lanes = kernels<T>().lanes;
  group_ = real && n % 2 == 1 ? 2 * lanes : lanes;
  const index_t length = real && n % 2 == 0 ? n / 2 : n;  // of the complex transform behind it
  const bool split = may_split && length % lanes == 0 && length >= index_t{lanes} * lanes && !(real && n % 2 == 1);
  lanes_ = std::make_unique<Lanes<T>>(split ? length / lanes : length);
  table_.n = n;
  table_.real = real;
  table_.lanes = lanes_->table();
  if (split) {
    group_ = 1;
    split_.resize(static_cast<std::size_t>(2 * length));
    for (index_t k = 0; k < length / lanes; ++k) {
      for (int l = 0; l < lanes; ++l) {
        const Complex<T> w = narrow<T>(unit_root(k * l, length));
        split_[static_cast<std::size_t>(2 * lanes * k + l)] = w.re;
        split_[static_cast<std::size_t>(2 * lanes * k + lanes + l)] = w.im;
      }
    }
    table_.split = split_.data();
  }
  if (!real || n % 2 == 1) return;
  for (index_t k = 0; k < length / 2 + 2 * lanes; ++k) {  // whole vectors are read past the middle
    const Complex<T> w = narrow<T>(unit_root(k, n));
    half_re_.push_back(w.re);
    half_im_.push_back(w.im);
  }
  table_.half_re = half_re_.data();
  table_.half_im = half_im_.data();
}

template <class T>
void Rows<T>::run(const RowBlock<T>& rows, const Scratch<T>& s) const {
  (table_.real ? kernels<T>().real_rows : kernels<T>().complex_rows)(table_, rows, s);
}

template <class T>
index_t Rows<T>::work() const {
  return std::max(table_.lanes.work, table_.split != nullptr ? 0 : table_.real ? table_.n / 2 + 1 : table_.n);
}

template <class T>
const std::vector<Rows<T>>& PlanData<T>::scattered() const {
  std::call_once(once_, [this] {
    for (int axis = 1; axis <= axes; ++axis)
      scattered_.emplace_back(shape[shape.size() - static_cast<std::size_t>(axis)], real() && axis == 1, false);
  });
  return scattered_;
}

template <class T>
Workers<T>::Workers(const Cpu& cpu, index_t samples, std::size_t part, Workspace& ws, std::size_t before)
    : cpu_(cpu), part_(part) {
  const index_t useful = std::max<index_t>(1, samples / (kBlockSamples / 4));
  cpu_.threads = static_cast<int>(std::min<index_t>(resolve_threads(cpu), useful));
  before_ = ws.reserve(before + 3 * part * static_cast<std::size_t>(cpu_.threads));
  scratch_ = static_cast<char*>(before_) + before;
}

template <class T>
PlanOf<T>::PlanOf(std::span<const index_t> shape, int axes, Kind kind) {
  auto p = std::make_unique<PlanData<T>>();
  const auto dims = static_cast<int>(shape.size());
  require(axes >= 1 && axes <= 3 && axes <= dims, "axes: found ", axes, " for ", dims, " dimensions, expected 1 to 3");
  index_t total = 1;
  for (index_t extent : shape) {
    require(extent >= 1 && extent <= index_t{1} << 30, "shape: found an extent ", extent, ", expected 1 to 2^30");
    require(!__builtin_mul_overflow(total, extent, &total) && total < index_t{1} << 56, "shape: too large to hold");
  }
  const auto extent = [&](int from_last) { return shape[shape.size() - static_cast<std::size_t>(from_last)]; };
  p->shape.assign(shape.begin(), shape.end());
  p->axes = axes;
  p->n = extent(1);
  if (axes > 1) p->n1 = extent(2);
  if (axes > 2) p->n0 = extent(3);
  p->batch = total / (p->n0 * p->n1 * p->n);
  p->m = kind == Kind::real ? p->n / 2 + 1 : p->n;
  p->spectrum = p->shape;
  p->spectrum.back() = p->m;
  p->rows = std::make_unique<Rows<T>>(p->n, kind == Kind::real);
  index_t work = p->rows->work();
  const auto column_axis = [&](index_t n) {
    auto axis = std::make_unique<Lanes<T>>(n);
    work = std::max(work, axis->table().work);
    return axis;
  };
  if (axes > 1) p->axis1 = column_axis(p->n1);
  if (axes > 2) p->axis0 = column_axis(p->n0);
  p->part = scratch_bytes<T>(work);
  p->packed = {nullptr, p->n1, p->n / 2};
  constexpr index_t line = 64 / index_t{2 * sizeof(T)};  // rows that are not whole cache lines are turned enough
  if (kind == Kind::real && p->rows->table().split != nullptr && p->packed.wrap % line == 0) {
    for (index_t i = 0; i < p->n1; ++i) p->turns.push_back(i * line % p->packed.wrap);
    p->packed.turn = p->turns.data();
  }
  data_ = std::move(p);
}

template <class T>
PlanOf<T>::PlanOf(PlanOf&&) noexcept = default;
template <class T>
PlanOf<T>& PlanOf<T>::operator=(PlanOf&&) noexcept = default;
template <class T>
PlanOf<T>::~PlanOf() = default;

template <class T>
Kind PlanOf<T>::kind() const {
  return data_->real() ? Kind::real : Kind::complex;
}
template <class T>
const std::vector<index_t>& PlanOf<T>::shape() const {
  return data_->shape;
}
template <class T>
const std::vector<index_t>& PlanOf<T>::spectrum() const {
  return data_->spectrum;
}
template <class T>
index_t PlanOf<T>::count() const {
  return data_->n0 * data_->n1 * data_->n;
}

template std::size_t scratch_bytes<float>(index_t);
template std::size_t scratch_bytes<double>(index_t);
template class Lanes<float>;
template class Lanes<double>;
template class Rows<float>;
template class Rows<double>;
template struct PlanData<float>;
template struct PlanData<double>;
template class Workers<float>;
template class Workers<double>;
template class PlanOf<float>;  // its transforms: fft_run.cpp
template class PlanOf<double>;

}  // namespace cryolith::fft
