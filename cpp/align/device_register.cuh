// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// DeviceRegister for the device that this file is compiled for.
#include <numbers>

#include "align/device_register.hpp"
#include "align/search_here.cuh"

namespace cryolith::CRYOLITH_DEVICE {

// What pairs of one size share.
struct PlanHere {
  explicit PlanHere(const PairPlan& plan)
      : terms(plan.px / 2 + 1),
        transform({plan.py, plan.px}, 2),
        pixels(2 * plan.py * plan.px),
        spectra(2 * 2 * plan.py * terms) {}
  const Wave* spectrum(std::size_t i, index_t py) const {
    return waves(spectra) + static_cast<index_t>(i) * py * terms;
  }

  index_t terms;
  DeviceFft transform;
  DeviceArray<float> pixels, spectra;
  std::map<const Band*, BandHere> bands;
};

class PairSpectraHere : public PairSpectra {
 public:
  PairSpectraHere(const PairPlan& plan, PlanHere& here, Patches& patches, const FrameHere* const (&frames)[2],
                  const float* const (&pixels)[2], bool counts)
      : PairSpectra(plan),
        here_(here),
        patches_(patches),
        frames_{&frames[0]->frame, &frames[1]->frame},
        pixels_{pixels[0], pixels[1]},
        counts_(counts) {}

  void load(const Overlap& overlap, double top) override {
    band_ = &plan_.band(top);
    at_ = &here_.bands.try_emplace(band_, *band_).first->second;
    const std::vector<float> weight = overlap.weight({frames_[0], frames_[1]});
    for (std::size_t i = 0; i < 2; ++i) {
      Patch patch = overlap.patch(i);
      bend_ = window_bend(patch);
      if (!weight.empty()) patch.weight = weight.data();
      independent_ = patches_.window(pixels_[i], plan_.nx, patch, counts_, plan_.py, plan_.px,
                                     here_.pixels.data() + static_cast<index_t>(i) * plan_.py * plan_.px);
    }
    here_.transform.forward(here_.pixels, here_.spectra);
  }
  RingSums sums(const Vec2& part) override { return at_->ring_sums(Part(*band_), of(0), of(1), part); }
  Top maximum(const RingWeights& weights, const Vec2& start) override {
    return at_->maximum(Part(*band_, weights.top), of(0), of(1), weights.weight, start);
  }

 private:
  Coefficients of(std::size_t i) const { return at_->in_spectrum(here_.spectrum(i, plan_.py)); }

  LineSums sums_of_columns(index_t first, const Vec2& part) override {
    const index_t kept = plan_.kept_columns(), columns = kept - first, half = plan_.py / 2;
    LineSums out(static_cast<std::size_t>(kept));
    if (columns <= 0) return out;
    constexpr int kinds = SumColumns::kSums;
    const unsigned chunks = blocks_for(half, SumColumns::kRows);
    float* sums = at_->parts().of(chunks * kinds * columns).data();
    launch({blocks_for(columns, SumColumns::kThreads), chunks}, 0,
           SumColumns{here_.spectrum(0, plan_.py), here_.spectrum(1, plan_.py), static_cast<int>(half),
                      static_cast<int>(here_.terms), static_cast<int>(first), static_cast<int>(columns), sums});
    const std::vector<double> found = at_->total(sums, chunks, kinds * columns);
    const double scale = 1 / (2 * static_cast<double>(plan_.py));  // of the rows' power
    for (index_t k = 0; k < columns; ++k)
      out.add(static_cast<std::size_t>(first + k), found, static_cast<std::size_t>(columns),
              static_cast<std::size_t>(k),
              2 * std::numbers::pi * static_cast<double>(first + k) / static_cast<double>(plan_.px) * part.x, scale);
    return out;
  }

  LineSums sums_of_rows(index_t first, index_t width, const Vec2& part) override {
    const index_t lines = plan_.py / 2 / width, groups = lines - first;
    LineSums out(static_cast<std::size_t>(lines));
    if (groups <= 0) return out;
    constexpr int kinds = SumLines::kSums;
    at_->fill_phases(part);
    DeviceArray<double>& sums = at_->totals().of(2 * groups * kinds);
    launch(
        {static_cast<unsigned>(groups), 2}, kSumWarps * kinds * index_t{sizeof(double)},
        SumLines{here_.spectrum(0, plan_.py), here_.spectrum(1, plan_.py), at_->along(), static_cast<int>(here_.terms),
                 static_cast<int>(plan_.py), static_cast<int>(first), static_cast<int>(width),
                 static_cast<int>(band_->columns), part.y, sums.data(), static_cast<int>(groups)});
    const std::vector<double> found = read_first(sums, 2 * groups * kinds);
    for (index_t k = 0; k < 2 * groups; ++k) {
      const auto line = static_cast<std::size_t>(first + k % groups), at = static_cast<std::size_t>(k * kinds);
      out.aa[line] += found[at], out.bb[line] += found[at + 1], out.ab[line] += found[at + 2];
    }
    return out;
  }

  PlanHere& here_;
  Patches& patches_;
  const Frame* frames_[2];
  const float* pixels_[2];
  bool counts_;
  BandHere* at_ = nullptr;
};

class RegisterHere : public DeviceRegister {
 public:
  std::unique_ptr<PairImages> see(const PlacedImage& a, const PlacedImage& b, index_t binning) override {
    patches_.see(a, binning, frames_[0]);
    patches_.see(b, binning, frames_[1]);
    return std::make_unique<Images>(*this, binning);
  }

 private:
  class Images : public PairImages {
   public:
    Images(RegisterHere& at, index_t binning) : at_(at), binning_(binning) {}
    std::unique_ptr<PairSpectra> binned(const PairPlan& plan) override {
      const FrameHere* const frames[2] = {&at_.plain_, &at_.plain_};
      const float* const pixels[2] = {at_.small(0, binning_), at_.small(1, binning_)};
      return std::make_unique<PairSpectraHere>(plan, at_.plan(plan), at_.patches_, frames, pixels, false);
    }
    std::unique_ptr<PairSpectra> whole(const PairPlan& plan) override {
      const FrameHere *const a = &at_.frames_[0], *const b = &at_.frames_[1], *const frames[2] = {a, b};
      const float* const pixels[2] = {a->pixels, b->pixels};
      return std::make_unique<PairSpectraHere>(plan, at_.plan(plan), at_.patches_, frames, pixels,
                                               a->frame.counts && b->frame.counts);
    }
    Peaks find(const Search& search, bool& flat) override {
      SearchHere& here = at_.searches_.try_emplace(&search, search).first->second;
      for (std::size_t i = 0; i < 2; ++i) here.load(at_.patches_, at_.small(i, search.binning()), at_.coarse_[i]);
      flat = at_.coarse_[0].rings.flat || at_.coarse_[1].rings.flat;
      return here.correlate(at_.coarse_[0], at_.coarse_[1]);
    }

   private:
    RegisterHere& at_;
    index_t binning_;
  };

  PlanHere& plan(const PairPlan& plan) { return plans_.try_emplace(&plan, plan).first->second; }
  const float* small(std::size_t i, index_t binning) { return patches_.binned(frames_[i], binning); }

  Patches patches_;
  FrameHere frames_[2], plain_;  // plain: what binned images are, whose missing pixels are filled
  CoarseHere coarse_[2];
  std::map<const PairPlan*, PlanHere> plans_;
  std::map<const Search*, SearchHere> searches_;
};

std::unique_ptr<DeviceRegister> make_device_register() { return std::make_unique<RegisterHere>(); }

}  // namespace cryolith::CRYOLITH_DEVICE
