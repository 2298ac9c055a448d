// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <map>
#include <mutex>

#include "align/overlap.hpp"
#include "align/weights.hpp"

namespace cryolith {

// Tables for the spectra of pairs of images of one size, made once; bands up to a frequency as they are needed.
class PairPlan {
 public:
  PairPlan(index_t ny, index_t nx);
  // The smallest of a few bands that reaches `top` [cycles/px].
  const Band& band(double top) const;
  index_t kept_columns() const;  // of the half spectrum, up to the highest frequency of use

  index_t ny, nx, py, px;
  fft::BandPlan fft;

 private:
  mutable std::mutex mutex_;
  mutable std::map<int, Band> bands_;
};

// Sums of |a|^2, |b|^2 and Re(conj(a) b), b moved back, over lines of one frequency along an axis.
struct LineSums {
  std::vector<double> aa, bb, ab;
  explicit LineSums(std::size_t n) : aa(n), bb(n), ab(n) {}
  // Column k of sums[4][n], |a|^2, |b|^2, real and imaginary part of conj(a) b; phase: 2 pi frequency shift.
  template <class T>
  void add(std::size_t line, const std::vector<T>& sums, std::size_t n, std::size_t k, double phase, double scale = 1) {
    const auto at = [&](std::size_t kind) { return scale * static_cast<double>(sums[kind * n + k]); };
    aa[line] += at(0), bb[line] += at(1), ab[line] += at(2) * std::cos(phase) - at(3) * std::sin(phase);
  }
  // The last line that agrees, of those from `first` on that were summed, each of so many independent complex
  // coefficients; 0: none.
  std::size_t last(std::size_t first, double coefficients) const;
};

// Spectra of what two images have in common, up to a frequency, wherever they lie: what is decided from them is the
// same code everywhere (register.cpp).
class PairSpectra {
 public:
  explicit PairSpectra(const PairPlan& plan) : plan_(plan) {}
  virtual ~PairSpectra() = default;

  // Under the windows of `overlap`, up to the band that reaches `top`.
  virtual void load(const Overlap& overlap, double top) = 0;
  // Of all rings of the band, the second image moved back by `part` of a pixel.
  virtual RingSums sums(const Vec2& part) = 0;
  // The maximum of the weighted correlation near `start`.
  virtual Top maximum(const RingWeights& weights, const Vec2& start) = 0;
  // The highest frequency beyond the band, along rows or columns, at which the images agree, the second moved back by
  // `part` of a pixel; 0 where there is none. Lines of a spectrum are means over all frequencies across them, so this
  // sees less than rings do: it is for what stands alone at high frequencies, as reflections of a crystal.
  double agree_beyond(const Vec2& part);

  const Band& band() const { return *band_; }
  bool whole() const { return band_->columns >= plan_.kept_columns(); }  // whether no higher frequency is to be had
  double independent() const { return independent_; }                    // part of py px coefficients
  const Vec2& bend() const { return bend_; }                             // of the windows

 protected:
  // Columns `first` to kept_columns() of the spectrum, of every second row of the images.
  virtual LineSums sums_of_columns(index_t first, const Vec2& part) = 0;
  // Groups of `width` rows of the spectrum and of their twins at frequencies below 0, from group `first` on.
  virtual LineSums sums_of_rows(index_t first, index_t width, const Vec2& part) = 0;

  const PairPlan& plan_;
  const Band* band_ = nullptr;
  double independent_ = 0;
  Vec2 bend_;
};

class HostPairSpectra : public PairSpectra {
 public:
  HostPairSpectra(const PairPlan& plan, const Frame* const (&frames)[2], bool stabilise);
  void load(const Overlap& overlap, double top) override;
  RingSums sums(const Vec2& part) override;
  Top maximum(const RingWeights& weights, const Vec2& start) override;

 private:
  void provide();
  LineSums sums_of_columns(index_t first, const Vec2& part) override;
  LineSums sums_of_rows(index_t first, index_t width, const Vec2& part) override;

  const Frame* frames_[2];
  bool stabilise_;
  fft::BandPlan::Scratch scratch_[2];
  std::vector<float> row_sums_, line_sums_;
  // All in one piece: the allocator keeps one for the next pair, but gives many large ones back to the system.
  std::unique_ptr<float[]> memory_;
  index_t floats_ = 0;
  fft::LaneColumns lanes_[2];
  Spectrum spectra_[3];  // the third is the product
};

}  // namespace cryolith
