// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// FrameArrays for the device that this file is compiled for.
#include "align/device_stack.hpp"
#include "align/frames_cuda.cuh"
#include "align/search_here.cuh"

namespace cryolith::CRYOLITH_DEVICE {

class FramesHere : public FrameArrays {
 public:
  FramesHere(std::size_t n, const Search& search, const Band& band)
      : search_(search),
        band_(band),
        transform_({band.py, band.px}, 1),
        pixels_(band.py * band.px),
        spectrum_(2 * band.py * (band.px / 2 + 1)),
        total_(samples()),
        rest_(samples()),
        coarse_(n),
        spectra_(n) {}

  // What is done in this thread is done on its device.
  Cpu workers(const Cpu&) const override { return Cpu{1}; }

  bool look(std::size_t frame, const PlacedImage& image) override {
    const index_t binning = search_.search().binning();
    patches_.see(image, binning, seen_);
    search_.load(patches_, patches_.binned(seen_, binning), coarse_[frame]);
    return seen_.frame.counts;
  }
  Peaks correlate(std::size_t a, std::size_t b) override { return search_.correlate(coarse_[a], coarse_[b]); }

  double place(std::size_t frame, const PlacedImage& image, const Patch& patch, bool stabilise, int) override {
    const Band& band = band_.band();
    patches_.see(image, 0, seen_);
    const double independent =
        patches_.window(seen_.pixels, image.pixels.extent[1], patch, stabilise, band.py, band.px, pixels_.data());
    transform_.forward(pixels_, spectrum_);
    if (!spectra_[frame]) spectra_[frame].emplace(samples());
    launch({blocks_for(shape().columns, CropSpectrum::kThreads), static_cast<unsigned>(shape().rows)}, 0,
           CropSpectrum{shape(), band_.in_spectrum(waves(spectrum_)), spectra_[frame]->data()});
    return independent;
  }
  std::vector<double> power(std::size_t frame) override { return band_.ring_power(of(frame)); }

  std::vector<double> add_up(const std::vector<Vec2>& shifts) override {
    total_.clear();
    for (std::size_t i = 0; i < spectra_.size(); ++i)
      add_moved(Part(band_.band()), i, shifts[i], 1.0f, total_.data(), total_.data());
    return band_.ring_power(band_.alone(total_.data()));
  }
  Against against_others(std::size_t frame, const RingWeights& weights, const Vec2& shift, int) override {
    const Part used(band_.band(), weights.top);
    const Coefficients rest = band_.alone(rest_.data());
    add_moved(used, frame, shift, -1.0f, total_.data(), rest_.data());
    Against out{band_.ring_sums(used, rest, of(frame), shift), {}};
    out.top = band_.maximum(used, rest, of(frame), weights.weight, shift);
    return out;
  }

 private:
  const BandShape& shape() const { return band_.shape(); }
  index_t samples() const { return index_t{shape().rows} * shape().columns; }
  Coefficients of(std::size_t frame) const { return band_.alone(spectra_[frame]->data()); }

  void add_moved(const Part& used, std::size_t frame, const Vec2& shift, float factor, const Wave* before,
                 Wave* total) {
    const BandPart part = band_.part(used);
    band_.fill_phases(shift);
    launch({blocks_for(part.columns, AddMoved::kThreads), static_cast<unsigned>(shape().rows)}, 0,
           AddMoved{shape(), part, spectra_[frame]->data(), band_.along(), band_.across(), factor, before, total});
  }

  Patches patches_;
  SearchHere search_;
  BandHere band_;
  DeviceFft transform_;
  DeviceArray<float> pixels_, spectrum_;
  DeviceArray<Wave> total_, rest_;
  FrameHere seen_;
  std::vector<CoarseHere> coarse_;
  std::vector<std::optional<DeviceArray<Wave>>> spectra_;
};

std::unique_ptr<FrameArrays> make_device_frames(std::size_t n, const Search& search, const Band& band) {
  return std::make_unique<FramesHere>(n, search, band);
}

}  // namespace cryolith::CRYOLITH_DEVICE
