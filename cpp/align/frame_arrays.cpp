// SPDX-License-Identifier: BSD-3-Clause
#include "align/frame_arrays.hpp"

#include <algorithm>
#include <mutex>

namespace cryolith {
namespace {

class HostFrames : public FrameArrays {
 public:
  HostFrames(std::size_t n, const Search& search, const Band& band)
      : search_(search),
        band_(band),
        plan_(std::vector<index_t>{band.py, band.px}, 2, fft::Kind::real),
        coarse_(n),
        spectra_(n) {}

  Cpu workers(const Cpu& cpu) const override { return cpu; }

  bool look(std::size_t frame, const PlacedImage& image) override {
    const Frame seen = cryolith::look(image.pixels, search_.binning());
    Search::Scratch scratch;
    search_.load(seen, scratch, coarse_[frame]);
    return seen.counts;
  }
  Peaks correlate(std::size_t a, std::size_t b) override {
    Search::Scratch scratch;
    return search_.correlate(coarse_[a], coarse_[b], scratch);
  }
  double place(std::size_t frame, const PlacedImage& image, const Patch& patch, bool stabilise, int worker) override {
    const Frame seen = cryolith::look(image.pixels, 0);
    auto& [padded, half, fft, rest, product] = scratch(worker);
    padded.resize(static_cast<std::size_t>(band_.py * band_.px));
    half.resize(static_cast<std::size_t>(band_.py * (band_.px / 2 + 1)));
    const double independent = window_patch(seen, patch, stabilise, band_.py, band_.px, padded.data());
    plan_.forward(Cpu{1, nullptr, {}}, padded.data(), half.data(), fft);
    spectra_[frame].crop(band_, half.data());
    return independent;
  }
  std::vector<double> power(std::size_t frame) override { return ring_power(Part(band_), spectra_[frame]); }

  std::vector<double> add_up(const std::vector<Vec2>& shifts) override {
    total_.reset(band_);
    for (index_t y = 0; y < band_.rows; ++y) {
      const PlanarRow row = total_.row(band_, y);
      std::fill(row.re, row.re + band_.stride, 0.0f);
      std::fill(row.im, row.im + band_.stride, 0.0f);
    }
    const Part all(band_);
    for (std::size_t i = 0; i < spectra_.size(); ++i) add_moved(all, spectra_[i], shifts[i], 1.0f, total_);
    return ring_power(all, total_);
  }
  Against against_others(std::size_t frame, const RingWeights& weights, const Vec2& shift, int worker) override {
    const Part used(band_, weights.top);
    Scratch& own = scratch(worker);
    own.rest.copy(band_, total_);
    add_moved(used, spectra_[frame], shift, -1.0f, own.rest);
    Against out{ring_sums(used, own.rest, spectra_[frame], shift), {}};
    weighted_cross(used, own.rest, spectra_[frame], weights.weight, own.product);
    out.top = correlation_top(used, own.product, shift);
    return out;
  }

 private:
  // Of a worker, kept from frame to frame.
  struct Scratch {
    std::vector<float> padded;
    std::vector<std::complex<float>> half;
    fft::Workspace fft;
    Spectrum rest, product;
  };
  Scratch& scratch(int worker) {
    const std::lock_guard lock(mutex_);
    while (static_cast<int>(scratch_.size()) <= worker) scratch_.push_back(std::make_unique<Scratch>());
    return *scratch_[static_cast<std::size_t>(worker)];
  }

  const Search& search_;
  const Band& band_;
  fft::Plan plan_;
  std::vector<CoarseFrame> coarse_;
  std::vector<Spectrum> spectra_;
  Spectrum total_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Scratch>> scratch_;
};

}  // namespace

std::unique_ptr<FrameArrays> make_host_frames(std::size_t n, const Search& search, const Band& band) {
  return std::make_unique<HostFrames>(n, search, band);
}

}  // namespace cryolith
