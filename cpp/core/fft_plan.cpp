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

Wide unit_root(index_t k, index_t n) {
  return std::polar(1.0, -2 * std::numbers::pi * static_cast<double>(k % n) / static_cast<double>(n));
}
Complex narrow(Wide z) { return {static_cast<float>(z.real()), static_cast<float>(z.imag())}; }

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
std::vector<Complex> odd_roots(int radix) {
  std::vector<Complex> roots;
  const int h = (radix - 1) / 2;
  const auto entry = [&](int m, int j) { roots.push_back(narrow(std::conj(unit_root(index_t{m} * j, radix)))); };
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
std::size_t scratch_bytes(index_t lanes, index_t work) {
  const std::size_t bytes = sizeof(float) * 2 * static_cast<std::size_t>(lanes * work);
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

Lanes::Lanes(index_t n) {
  table_.n = table_.work = n;
  const auto [radices, rest] = factorise(n);
  if (rest == 1)
    add_passes(radices);
  else
    init_bluestein();
}

const Complex* Lanes::keep(std::vector<Complex> values) {
  tables_.push_back(std::move(values));
  return tables_.back().data();
}

void Lanes::add_passes(const std::vector<int>& radices) {
  index_t l1 = 1;
  for (int radix : radices) {
    Pass& pass = table_.pass[table_.passes++];
    pass = {radix, l1, table_.n / (l1 * radix), nullptr, nullptr};
    if (pass.ido > 1) {
      std::vector<Complex> twiddle;
      twiddle.reserve(static_cast<std::size_t>(pass.ido * (radix - 1)));
      for (index_t i = 0; i < pass.ido; ++i)
        for (int j = 1; j < radix; ++j) twiddle.push_back(narrow(unit_root(i * j, pass.ido * radix)));
      pass.twiddle = keep(std::move(twiddle));
    }
    if (radix > 8) pass.roots = keep(odd_roots(radix));
    l1 *= radix;
  }
}

void Lanes::init_bluestein() {
  const index_t n = table_.n;
  convolution_ = std::make_unique<Lanes>(good_size(2 * n - 1));
  table_.convolution = &convolution_->table();
  const index_t m = table_.work = table_.convolution->n;
  const auto count = static_cast<std::size_t>(m);
  std::vector<Wide> mirrored(count), roots(count);
  std::vector<Complex> chirp, kernel;
  for (index_t k = 0; k < n; ++k) {
    const Wide c = unit_root(k * k % (2 * n), 2 * n);
    chirp.push_back(narrow(c));
    const Wide z = std::conj(c) / static_cast<double>(m);
    mirrored[static_cast<std::size_t>(k)] = z;
    if (k > 0) mirrored[static_cast<std::size_t>(m - k)] = z;
  }
  for (std::size_t k = 0; k < count; ++k) roots[k] = unit_root(static_cast<index_t>(k), m);
  for (const Wide& z : slow_dft(mirrored, roots, 0, 1)) kernel.push_back(narrow(z));
  table_.chirp = keep(std::move(chirp));
  table_.kernel = keep(std::move(kernel));
}

Rows::Rows(index_t n, bool real, int lanes) : group_(real && n % 2 == 1 ? 2 * lanes : lanes) {
  const index_t length = real && n % 2 == 0 ? n / 2 : n;  // of the complex transform behind it
  const bool split = length % lanes == 0 && length >= index_t{lanes} * lanes && !(real && n % 2 == 1);
  lanes_ = std::make_unique<Lanes>(split ? length / lanes : length);
  table_.n = n;
  table_.real = real;
  table_.lanes = lanes_->table();
  if (split) {
    group_ = 1;
    split_.resize(static_cast<std::size_t>(2 * length));
    for (index_t k = 0; k < length / lanes; ++k) {
      for (int l = 0; l < lanes; ++l) {
        const Complex w = narrow(unit_root(k * l, length));
        split_[static_cast<std::size_t>(2 * lanes * k + l)] = w.re;
        split_[static_cast<std::size_t>(2 * lanes * k + lanes + l)] = w.im;
      }
    }
    table_.split = split_.data();
  }
  if (!real || n % 2 == 1) return;
  for (index_t k = 0; k < length / 2 + 2 * lanes; ++k) {  // whole vectors are read past the middle
    const Complex w = narrow(unit_root(k, n));
    half_re_.push_back(w.re);
    half_im_.push_back(w.im);
  }
  table_.half_re = half_re_.data();
  table_.half_im = half_im_.data();
}

index_t Rows::work() const {
  return std::max(table_.lanes.work, table_.split != nullptr ? 0 : table_.real ? table_.n / 2 + 1 : table_.n);
}

Plan::Plan(std::span<const index_t> shape, int axes, Kind kind) {
  const int lanes = CRYOLITH_SELECT(lane_count)();
  auto p = std::make_unique<PlanData>();
  const auto dims = static_cast<int>(shape.size());
  require(axes >= 1 && axes <= 3 && axes <= dims, "axes: found ", axes, " for ", dims, " dimensions, expected 1 to 3");
  index_t total = 1;
  for (index_t extent : shape) {
    require(extent >= 1 && extent <= index_t{1} << 30, "shape: found an extent ", extent, ", expected 1 to 2^30");
    require(!__builtin_mul_overflow(total, extent, &total) && total < index_t{1} << 56, "shape: too large to hold");
  }
  const auto extent = [&](int from_last) { return shape[shape.size() - static_cast<std::size_t>(from_last)]; };
  p->shape.assign(shape.begin(), shape.end());
  p->n = extent(1);
  if (axes > 1) p->n1 = extent(2);
  if (axes > 2) p->n0 = extent(3);
  p->batch = total / (p->n0 * p->n1 * p->n);
  p->m = kind == Kind::real ? p->n / 2 + 1 : p->n;
  p->spectrum = p->shape;
  p->spectrum.back() = p->m;
  p->rows = std::make_unique<Rows>(p->n, kind == Kind::real, lanes);
  index_t work = p->rows->work();
  const auto column_axis = [&](index_t n) {
    auto axis = std::make_unique<Lanes>(n);
    work = std::max(work, axis->table().work);
    return axis;
  };
  if (axes > 1) p->axis1 = column_axis(p->n1);
  if (axes > 2) p->axis0 = column_axis(p->n0);
  p->part = scratch_bytes(lanes, work);
  data_ = std::move(p);
}

Plan::Plan(Plan&&) noexcept = default;
Plan& Plan::operator=(Plan&&) noexcept = default;
Plan::~Plan() = default;

const std::vector<index_t>& Plan::shape() const { return data_->shape; }
const std::vector<index_t>& Plan::spectrum() const { return data_->spectrum; }
index_t Plan::count() const { return data_->n0 * data_->n1 * data_->n; }

}  // namespace cryolith::fft
