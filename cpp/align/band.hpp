// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <cmath>
#include <complex>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "align/band_kernels.hpp"
#include "core/fft_band.hpp"

namespace cryolith {

struct Vec2 {
  double y = 0, x = 0;
};

// Symmetric 2 x 2 matrix.
struct Sym2 {
  double yy = 0, yx = 0, xx = 0;
};

// The coefficients with |frequency| <= top along each axis of the half spectrum (py, px / 2 + 1) of a real image, and
// the ring of each: round(|f| max(py, px)). Ring 0 holds what is not used: the mean, corners beyond `top`, padding.
class Band {
 public:
  Band(index_t py, index_t px, double top);

  index_t py, px, rows, columns, stride, rings;
  std::vector<index_t> source;   // of each row, in the half spectrum
  std::vector<double> fy;        // cycles/px
  std::vector<float> fx, times;  // times: multiplicity of a coefficient in the whole spectrum, 0 in the padding
  std::vector<std::uint32_t> ring;
  std::vector<double> counts;  // of ring, multiplicities included

  const std::uint32_t* ring_row(index_t y) const { return ring.data() + y * stride; }
  index_t samples() const { return rows * stride; }
};

// The part of a band up to a frequency: most of a noisy spectrum is worth nothing, and costs time.
struct Part {
  explicit Part(const Band& band_, double top_ = 1.0);
  // Calls body(y) for each row.
  template <class Body>
  void each_row(const Body& body) const {
    for (index_t y = 0; y < band.rows; ++y)
      if (std::abs(band.fy[static_cast<std::size_t>(y)]) <= top) body(y);
  }

  const Band& band;
  double top;
  index_t columns;  // a multiple of kBandLanes
};

// Coefficients of a band.
class Spectrum {
 public:
  // In the caller's memory, for 2 band.samples() floats.
  void use(const Band& band, float* memory);
  // Of the band's size; what it holds is not specified, but 0 in the padding.
  void reset(const Band& band);
  void copy(const Band& band, const Spectrum& from);
  // From columns in blocks (fft::BandPlan), at least those of the band.
  void crop(const Band& band, const fft::LaneColumns& columns);
  // From a half spectrum (py, px / 2 + 1).
  void crop(const Band& band, const std::complex<float>* half);
  PlanarRow row(const Band& b, index_t y) { return {re_ + y * b.stride, im_ + y * b.stride}; }
  ConstPlanarRow row(const Band& b, index_t y) const { return {re_ + y * b.stride, im_ + y * b.stride}; }

 private:
  index_t samples_ = 0;
  float *re_ = nullptr, *im_ = nullptr;
  std::unique_ptr<float[]> own_;
};

// exp(2 pi i f shift) for all coefficients of a part of a band: multiplies the spectrum of an image to move it back by
// `shift`.
class Phases {
 public:
  Phases(const Part& part, const Vec2& shift);
  RowPhase row(index_t y) const {
    const auto k = static_cast<std::size_t>(y);
    return {cx_.data(), sx_.data(), cy_[k], sy_[k]};
  }

 private:
  std::vector<float> cx_, sx_, cy_, sy_;
};

// Power of each ring, a sum, not a mean.
std::vector<double> ring_power(const Part& part, const Spectrum& a);

// Power of two spectra in each ring, and Re(conj(a) b) with b moved back by `shift`: sums.
struct RingSums {
  std::vector<double> aa, bb, ab;
};
RingSums ring_sums(const Part& part, const Spectrum& a, const Spectrum& b, const Vec2& shift);

// to += sign * f moved back by `shift`.
void add_moved(const Part& part, const Spectrum& f, const Vec2& shift, float sign, Spectrum& to);

// to = conj(a) b, each coefficient times the weight of its ring and its multiplicity.
void weighted_cross(const Part& part, const Spectrum& a, const Spectrum& b, const std::vector<float>& weight,
                    Spectrum& to);

// A maximum of the correlation sum of Re(cross exp(2 pi i f s)) over s.
struct Top {
  Vec2 shift;
  bool found;
  double value;
  Sym2 bend;  // minus the second derivatives [1/px^2]
};
// Value, slopes / (2 pi) and minus the second derivatives / (2 pi)^2 of the correlation at a shift.
struct Slopes {
  double value = 0, y = 0, x = 0;
  Sym2 bend;
};
// The maximum near `start`, by Newton steps on what `slopes` says of a shift; not found where they lead nowhere or more
// than 3 px away.
Top correlation_top(const std::function<Slopes(const Vec2&)>& slopes, const Vec2& start);
Top correlation_top(const Part& part, const Spectrum& cross, const Vec2& start);

// Sum over the band of information[ring] (2 pi f)^2 / 2: the Fisher information of one component of a shift.
double fisher(const Band& band, const std::vector<double>& information);

// Covariance of a maximum whose slope has this variance in each direction: bend^-1 variance bend^-1, bend that of the
// correlation, times `scale`, less `windows`, what windows that are put where the shift is found bend it.
// Where structure has no direction bend is the variance itself, and this its inverse; along fringes it grows.
Sym2 covariance_of(const Top& top, const Vec2& windows, double scale, double slope_variance);
// Infinite where there is none.
Sym2 inverse(const Sym2& m);

}  // namespace cryolith
