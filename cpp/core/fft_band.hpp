// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <memory>

#include "core/fft.hpp"
#include "core/fft_tables.hpp"

namespace cryolith::fft {

// The low frequencies of a real image (py, px) whose rows are made as they are needed: neither the image nor its whole
// spectrum is written, and only the columns that are asked for are transformed. First rows() for all rows that are not
// 0, then columns(). The coefficients lie in `LaneColumns`: sample i of column k is that of frequency i along rows'
// axis and k along columns'. Conventions and accuracy are those of Plan; each worker has its own Scratch.
// O(py px log px + py log py columns).
class BandPlan {
 public:
  BandPlan(index_t py, index_t px);
  ~BandPlan();

  index_t group() const;                  // rows to give at once
  index_t whole() const { return all_; }  // columns of the half spectrum, rounded up
  // Columns as they are stored: n rounded up to a multiple of 16, those beyond px / 2 + 1 are 0.
  static index_t rounded(index_t n) { return (n + 15) / 16 * 16; }
  // Floats for n columns, aligned to 64 bytes, and how they lie. One line more than needed: blocks do not share a cache
  // set.
  index_t floats(index_t n) const { return rounded(n) / lanes_ * block(); }
  LaneColumns view(float* data) const { return {data, block()}; }

  // Rows of one image: the caller fills row(0) ... row(group() - 1), px samples each, zeros at the end included.
  class Scratch {
   public:
    explicit Scratch(const BandPlan& plan);
    float* row(index_t k) { return rows_.data() + k * px_; }

   private:
    friend class BandPlan;
    std::vector<float> rows_, spectra_;
    index_t px_;
    Workspace work_;
  };
  // Transforms the first `count` rows of `scratch`: samples first ... of the first n columns.
  void rows(index_t first, index_t count, index_t n, Scratch& scratch, const LaneColumns& to) const;
  // After it: sums[4][whole() - from] += |a|^2, |b|^2, real and imaginary part of conj(a) b of row k, columns from
  // `from`, a multiple of 16, on.
  void add_cross(const Scratch& a, const Scratch& b, index_t k, index_t from, float* sums) const;
  // Transforms the first n columns, of which the first `rows` samples are given.
  void columns(index_t n, index_t rows, Scratch& scratch, const LaneColumns& data) const;

  // The first n columns (a multiple of 16) at sample i: planar, and the sums of two as in add_cross.
  static void planar(const LaneColumns& from, index_t n, index_t i, float* re, float* im);
  static void add_cross(const LaneColumns& a, const LaneColumns& b, index_t n, index_t i, float* sums);

 private:
  struct Tables;
  index_t block() const { return 2 * lanes_ * (py_ + 1); }
  fft::Scratch<float> arrays(Workspace& ws) const;

  index_t py_, px_, lanes_, all_;
  std::unique_ptr<const Tables> tables_;
};

}  // namespace cryolith::fft
