// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <map>
#include <mutex>

#include "align/overlap.hpp"

namespace cryolith {

// Tables for the spectra of pairs of images of one size, made once; bands up to a frequency as they are needed.
class PairPlan {
 public:
  PairPlan(index_t ny, index_t nx);
  // The smallest of a few bands that reaches `top` [cycles/px].
  const Band& band(double top) const;

  index_t ny, nx, py, px;
  fft::BandPlan fft;

 private:
  mutable std::mutex mutex_;
  mutable std::map<int, Band> bands_;
};

// Spectra of what two images have in common, up to a frequency.
class PairSpectra {
 public:
  explicit PairSpectra(const PairPlan& plan);

  // Under the windows of `overlap`, up to the band that reaches `top`.
  void load(const Frame* const (&frames)[2], const Overlap& overlap, bool stabilise, double top);
  // The highest frequency beyond the band, along rows or columns, at which the images agree, the second moved back by
  // `part` of a pixel; 0 where there is none. Lines of a spectrum are means over all frequencies across them, so this
  // sees less than rings do: it is for what stands alone at high frequencies, as reflections of a crystal.
  double agree_beyond(const Vec2& part);

  const Band& band() const { return *band_; }
  bool whole() const;  // whether no higher frequency is to be had
  const Spectrum& operator[](std::size_t i) const { return spectra_[i]; }
  Spectrum& product() { return spectra_[2]; }          // memory for a third one
  double independent() const { return independent_; }  // part of py px coefficients
  const Vec2& bend() const { return bend_; }           // of the windows

 private:
  void provide();
  double agree_along_rows(const Vec2& part) const;
  double agree_along_columns(const Vec2& part);

  const PairPlan& plan_;
  fft::BandPlan::Scratch scratch_[2];
  std::vector<float> row_sums_, line_sums_;
  // All in one piece: the allocator keeps one for the next pair, but gives many large ones back to the system.
  std::unique_ptr<float[]> memory_;
  index_t floats_ = 0;
  fft::LaneColumns lanes_[2];
  const Band* band_ = nullptr;
  Spectrum spectra_[3];
  double independent_ = 0;
  Vec2 bend_;
};

}  // namespace cryolith
