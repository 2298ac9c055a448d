// SPDX-License-Identifier: BSD-3-Clause
#include "align/register.hpp"

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstdint>
#include <limits>
#include <numbers>
#include <vector>

#include "core/error.hpp"
#include "core/fft.hpp"

namespace cryolith {
namespace {

using Complex = std::complex<float>;
constexpr double kTwoPi = 2 * std::numbers::pi;
constexpr double kTopFrequency = 0.45;  // cycles/px; beyond, interpolation and aliasing of real images spoil the phase
constexpr double kMostCoherent = 0.9999;  // keeps g / (1 - g) finite for two equal images
// Power below the strongest ring's at which a ring counts as noise: there the window, alike in both images, is left of
// a smooth scene, and would pull the shift to a whole number (by 0.4 px for noiseless blobs).
constexpr double kNoiseFloor = 1e-4;
constexpr double kFlat = 1e-10;   // of the squared values: below, float32 rounding is all the contrast there is
constexpr int kPolishRounds = 2;  // coherence at the shift found, shift with that coherence
constexpr int kNewtonSteps = 8;

struct Region {
  index_t y, x, ny, nx;
};

struct Vec2 {
  double y = 0, x = 0;
};

std::vector<double> edge_window(index_t n, double fraction) {
  std::vector<double> w(static_cast<std::size_t>(n), 1.0);
  const index_t m =
      std::min(n / 2, std::max<index_t>(2, static_cast<index_t>(fraction * static_cast<double>(n) + 0.5)));
  for (index_t i = 0; i < m; ++i) {
    const double r = 0.5 - 0.5 * std::cos(std::numbers::pi * (static_cast<double>(i) + 0.5) / static_cast<double>(m));
    w[static_cast<std::size_t>(i)] *= r;
    w[static_cast<std::size_t>(n - 1 - i)] *= r;
  }
  return w;
}

// Everything one worker needs for a pair; sized once.
class Pair {
 public:
  Pair(const fft::Plan& plan, index_t py, index_t px, const RegisterOptions& options, double max_shift)
      : plan_(plan), py_(py), px_(px), half_(px / 2 + 1), options_(options), max_shift_(max_shift) {
    padded_.resize(static_cast<std::size_t>(py * px));
    a_.resize(static_cast<std::size_t>(py * half_));
    b_.resize(a_.size());
    cross_.resize(a_.size());
    for (index_t k = 0; k < py; ++k)
      fy_.push_back(static_cast<double>(k <= py / 2 ? k : k - py) / static_cast<double>(py));
    for (index_t k = 0; k < half_; ++k) fx_.push_back(static_cast<double>(k) / static_cast<double>(px));
    rings_ = std::max(py, px) / 2 + 1;
    ring_.resize(a_.size());
    for (index_t ky = 0; ky < py; ++ky)
      for (index_t kx = 0; kx < half_; ++kx) ring_[static_cast<std::size_t>(ky * half_ + kx)] = ring_of(ky, kx);
  }

  void run(const float* reference, const float* moving, index_t ny, index_t nx, double* out) {
    const Region whole{0, 0, ny, nx};
    flat_ = false;
    load(reference, nx, whole, a_);
    load(moving, nx, whole, b_);
    std::fill(out, out + kRegisterColumns, 0.0);
    if (flat_) {
      out[kVarRow] = out[kVarColumn] = std::numeric_limits<double>::infinity();
      return;
    }
    Vec2 shift = search(out[kRunnerUp]);
    const auto sy = static_cast<index_t>(std::lround(shift.y)), sx = static_cast<index_t>(std::lround(shift.x));
    Region r{std::max<index_t>(0, -sy), std::max<index_t>(0, -sx), ny - std::abs(sy), nx - std::abs(sx)};
    if (r.ny >= ny / 4 && r.nx >= nx / 4 && r.ny > 2 && r.nx > 2) {
      load(reference, nx, r, a_);
      load(moving, nx, Region{r.y + sy, r.x + sx, r.ny, r.nx}, b_);
      shift = Vec2{shift.y - static_cast<double>(sy), shift.x - static_cast<double>(sx)};
      for (int round = 0; round < kPolishRounds; ++round) shift = polish(shift);
      shift = Vec2{shift.y + static_cast<double>(sy), shift.x + static_cast<double>(sx)};
    } else {
      for (int round = 0; round < kPolishRounds; ++round) shift = polish(shift);
    }
    out[kShiftRow] = shift.y;
    out[kShiftColumn] = shift.x;
    out[kPeak] = peak_;
    variance(out);
  }

 private:
  // Windows a region of an image (its weighted mean removed), pads it with zeros and transforms it.
  void load(const float* image, index_t nx, const Region& r, std::vector<Complex>& to) {
    const std::vector<double> wy = edge_window(r.ny, options_.taper), wx = edge_window(r.nx, options_.taper);
    double sum = 0, weight = 0, squares = 0, fourths = 0;
    for (index_t y = 0; y < r.ny; ++y)
      for (index_t x = 0; x < r.nx; ++x) {
        const double w = wy[static_cast<std::size_t>(y)] * wx[static_cast<std::size_t>(x)];
        sum += w * image[(r.y + y) * nx + r.x + x];
        weight += w;
        squares += w * w;
        fourths += w * w * w * w;
      }
    const double mean = sum / weight;
    independent_ = squares * squares / fourths / (static_cast<double>(py_) * static_cast<double>(px_));
    std::fill(padded_.begin(), padded_.end(), 0.0f);
    double kept = 0, all = 0;
    for (index_t y = 0; y < r.ny; ++y)
      for (index_t x = 0; x < r.nx; ++x) {
        const double p = image[(r.y + y) * nx + r.x + x];
        kept += (p - mean) * (p - mean), all += p * p;
      }
    flat_ = flat_ || kept <= kFlat * all;
    for (index_t y = 0; y < r.ny; ++y)
      for (index_t x = 0; x < r.nx; ++x)
        padded_[static_cast<std::size_t>(y * px_ + x)] =
            static_cast<float>(wy[static_cast<std::size_t>(y)] * wx[static_cast<std::size_t>(x)] *
                               (image[(r.y + y) * nx + r.x + x] - mean));
    plan_.forward(Cpu{1, nullptr, {}}, padded_.data(), to.data(), workspace_);
  }

  double band(double f2) const {
    return std::exp(-f2 / (2 * options_.high * options_.high)) *
           (1 - std::exp(-f2 / (2 * options_.low * options_.low)));
  }

  // Multiplicity of a coefficient of the half spectrum in the whole one.
  double times(index_t kx) const { return kx == 0 || (px_ % 2 == 0 && kx == half_ - 1) ? 1.0 : 2.0; }

  Vec2 search(double& runner_up) {
    for (index_t ky = 0; ky < py_; ++ky)
      for (index_t kx = 0; kx < half_; ++kx) {
        const auto k = static_cast<std::size_t>(ky * half_ + kx);
        const double f2 = fy_[static_cast<std::size_t>(ky)] * fy_[static_cast<std::size_t>(ky)] +
                          fx_[static_cast<std::size_t>(kx)] * fx_[static_cast<std::size_t>(kx)];
        cross_[k] = std::conj(a_[k]) * b_[k] * static_cast<float>(band(f2));
      }
    plan_.inverse(Cpu{1, nullptr, {}}, cross_.data(), padded_.data(), 1.0f, workspace_);
    const auto reach = static_cast<index_t>(max_shift_);
    const index_t ry = std::min(reach, py_ / 2 - 1), rx = std::min(reach, px_ / 2 - 1);
    index_t best_y = 0, best_x = 0;
    float best = -std::numeric_limits<float>::infinity();
    for (index_t y = -ry; y <= ry; ++y)
      for (index_t x = -rx; x <= rx; ++x)
        if (at(y, x) > best) best = at(best_y = y, best_x = x);
    float second = 0;
    for (index_t y = -ry; y <= ry; ++y)
      for (index_t x = -rx; x <= rx; ++x)
        if ((y != best_y || x != best_x) && at(y, x) > second && is_top(y, x)) second = at(y, x);
    runner_up = best > 0 ? static_cast<double>(second) / best : 0;
    return {static_cast<double>(best_y) + vertex(at(best_y - 1, best_x), best, at(best_y + 1, best_x)),
            static_cast<double>(best_x) + vertex(at(best_y, best_x - 1), best, at(best_y, best_x + 1))};
  }

  float at(index_t y, index_t x) const {
    return padded_[static_cast<std::size_t>((y + py_) % py_ * px_ + (x + px_) % px_)];
  }

  bool is_top(index_t y, index_t x) const {
    for (index_t j = -1; j <= 1; ++j)
      for (index_t i = -1; i <= 1; ++i)
        if ((j != 0 || i != 0) && at(y + j, x + i) >= at(y, x)) return false;
    return true;
  }

  static double vertex(double before, double here, double after) {
    const double bend = before - 2 * here + after;
    return bend < 0 ? std::clamp(0.5 * (before - after) / bend, -0.5, 0.5) : 0.0;
  }

  // exp(2 pi i f s) along one axis.
  static std::vector<std::complex<double>> phases(const std::vector<double>& f, double s) {
    std::vector<std::complex<double>> out;
    for (double v : f) out.push_back(std::polar(1.0, kTwoPi * v * s));
    return out;
  }

  std::size_t ring(index_t ky, index_t kx) const { return ring_[static_cast<std::size_t>(ky * half_ + kx)]; }

  std::uint32_t ring_of(index_t ky, index_t kx) const {
    const double f = std::hypot(fy_[static_cast<std::size_t>(ky)], fx_[static_cast<std::size_t>(kx)]);
    return f > kTopFrequency ? 0 : static_cast<std::uint32_t>(f * static_cast<double>(2 * (rings_ - 1)) + 0.5);
  }

  // Coherence g of each ring at a shift, and with it the weights of the correlation and the Fisher information.
  void weigh(const Vec2& s) {
    struct Sums {
      double aa = 0, bb = 0, ab = 0, count = 0;
    };
    std::vector<Sums> sums(static_cast<std::size_t>(rings_));
    const auto ey = phases(fy_, s.y), ex = phases(fx_, s.x);
    double band_ab = 0, band_aa = 0, band_bb = 0;
    for (index_t ky = 0; ky < py_; ++ky)
      for (index_t kx = 0; kx < half_; ++kx) {
        const auto k = static_cast<std::size_t>(ky * half_ + kx);
        const double m = times(kx), aa = m * std::norm(a_[k]), bb = m * std::norm(b_[k]);
        const std::complex<double> c = std::conj(std::complex<double>(a_[k])) * std::complex<double>(b_[k]) *
                                       ey[static_cast<std::size_t>(ky)] * ex[static_cast<std::size_t>(kx)];
        Sums& r = sums[ring(ky, kx)];
        r.aa += aa, r.bb += bb, r.ab += m * c.real(), r.count += m;
        const double fy = fy_[static_cast<std::size_t>(ky)], fx = fx_[static_cast<std::size_t>(kx)];
        const double w = band(fy * fy + fx * fx);
        band_ab += w * m * c.real(), band_aa += w * aa, band_bb += w * bb;
      }
    peak_ = band_aa > 0 && band_bb > 0 ? band_ab / std::sqrt(band_aa * band_bb) : 0;
    weight_.assign(sums.size(), 0.0);
    information_.assign(sums.size(), 0.0);
    double strongest_a = 0, strongest_b = 0;
    for (std::size_t r = 1; r < sums.size(); ++r) {
      if (sums[r].count == 0) continue;
      strongest_a = std::max(strongest_a, sums[r].aa / sums[r].count);
      strongest_b = std::max(strongest_b, sums[r].bb / sums[r].count);
    }
    for (std::size_t r = 1; r < sums.size(); ++r) {
      Sums q = sums[r];
      q.aa += kNoiseFloor * strongest_a * q.count;
      q.bb += kNoiseFloor * strongest_b * q.count;
      if (q.ab <= 0 || q.aa <= 0 || q.bb <= 0) continue;
      // The square of a mean over K independent values is 1/K too large where nothing is coherent.
      const double bias = 1 / std::max(2.0, q.count * independent_ / 2);
      const double g = std::min(kMostCoherent, (q.ab * q.ab / (q.aa * q.bb) - bias) / (1 - bias));
      if (g <= 0) continue;
      weight_[r] = std::sqrt(g) / (1 - g) / std::sqrt(q.aa * q.bb) * q.count;
      information_[r] = g / (1 - g);
    }
  }

  // Newton steps to the maximum of the weighted correlation near s.
  Vec2 polish(Vec2 s) {
    weigh(s);
    const Vec2 start = s;
    for (int step = 0; step < kNewtonSteps; ++step) {
      const auto ey = phases(fy_, s.y), ex = phases(fx_, s.x);
      double gy = 0, gx = 0, hyy = 0, hyx = 0, hxx = 0;
      for (index_t ky = 0; ky < py_; ++ky)
        for (index_t kx = 0; kx < half_; ++kx) {
          const double w = weight_[ring(ky, kx)] * times(kx);
          if (w == 0) continue;
          const auto k = static_cast<std::size_t>(ky * half_ + kx);
          const std::complex<double> c = std::conj(std::complex<double>(a_[k])) * std::complex<double>(b_[k]) *
                                         ey[static_cast<std::size_t>(ky)] * ex[static_cast<std::size_t>(kx)];
          const double fy = fy_[static_cast<std::size_t>(ky)], fx = fx_[static_cast<std::size_t>(kx)];
          gy -= w * fy * c.imag(), gx -= w * fx * c.imag();
          hyy += w * fy * fy * c.real(), hyx += w * fy * fx * c.real(), hxx += w * fx * fx * c.real();
        }
      const double det = kTwoPi * (hyy * hxx - hyx * hyx);
      if (!(det > 0) || hyy <= 0) return start;  // no maximum here: the first search stands
      const double dy = (hxx * gy - hyx * gx) / det, dx = (hyy * gx - hyx * gy) / det;
      s = Vec2{s.y + dy, s.x + dx};
      if (std::hypot(s.y - start.y, s.x - start.x) > 3) return start;
      if (std::hypot(dy, dx) < 1e-5) break;
    }
    return s;
  }

  void variance(double* out) {
    double fyy = 0, fyx = 0, fxx = 0;
    for (index_t ky = 0; ky < py_; ++ky)
      for (index_t kx = 0; kx < half_; ++kx) {
        const double i = information_[ring(ky, kx)] * times(kx);
        const double fy = fy_[static_cast<std::size_t>(ky)], fx = fx_[static_cast<std::size_t>(kx)];
        fyy += i * fy * fy, fyx += i * fy * fx, fxx += i * fx * fx;
      }
    const double scale = kTwoPi * kTwoPi * independent_, det = scale * (fyy * fxx - fyx * fyx);
    const double none = std::numeric_limits<double>::infinity();
    out[kVarRow] = det > 0 ? fxx / det : none;
    out[kVarColumn] = det > 0 ? fyy / det : none;
    out[kCovariance] = det > 0 ? -fyx / det : 0;
  }

  const fft::Plan& plan_;
  index_t py_, px_, half_, rings_ = 0;
  RegisterOptions options_;
  double max_shift_, independent_ = 1, peak_ = 0;
  bool flat_ = false;
  std::vector<float> padded_;
  std::vector<Complex> a_, b_, cross_;
  std::vector<double> fy_, fx_, weight_, information_;
  std::vector<std::uint32_t> ring_;
  fft::Workspace workspace_;
};

}  // namespace

void register_pairs(const Cpu& cpu, View3<const float> reference, View3<const float> moving,
                    const RegisterOptions& options, View2<double> out) {
  const index_t n = reference.extent[0], ny = reference.extent[1], nx = reference.extent[2];
  require(moving.extent[0] == n && moving.extent[1] == ny && moving.extent[2] == nx, "moving: found shape (",
          moving.extent[0], ", ", moving.extent[1], ", ", moving.extent[2], "), expected (", n, ", ", ny, ", ", nx,
          ")");
  require(ny >= 4 && nx >= 4, "reference: found ", ny, " x ", nx, " pixels, expected at least 4 x 4");
  require(out.extent[0] == n && out.extent[1] == kRegisterColumns, "out: found shape (", out.extent[0], ", ",
          out.extent[1], "), expected (", n, ", ", static_cast<int>(kRegisterColumns), ")");
  require(options.low > 0 && options.high > options.low, "band: found ", options.low, " to ", options.high,
          " cycles/px, expected 0 < low < high");
  require(options.taper >= 0 && options.taper <= 0.5, "taper: found ", options.taper, ", expected 0 to 0.5");
  const auto smaller = static_cast<double>(std::min(ny, nx));
  const double reach = options.max_shift > 0 ? options.max_shift : smaller / 2;
  auto padded = [&](index_t size) {
    return fft::good_size(size + static_cast<index_t>(std::min(reach, static_cast<double>(size))) + 1);
  };
  const index_t shape[2] = {padded(ny), padded(nx)};
  const fft::Plan plan(shape, 2, fft::Kind::real);
  parallel_for(cpu, n, [&](index_t i, int) {
    Pair pair(plan, shape[0], shape[1], options, reach);
    pair.run(reference.data + i * ny * nx, moving.data + i * ny * nx, ny, nx, out.data + i * kRegisterColumns);
  });
}

}  // namespace cryolith
