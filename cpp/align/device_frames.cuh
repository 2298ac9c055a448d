// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// DeviceFrameSum for the device that this file is compiled for.
#include "align/device_frames.hpp"
#include "align/frame.hpp"
#include "align/frames_cuda.cuh"
#include "core/device_fft.hpp"

namespace cryolith::CRYOLITH_DEVICE {

class FrameSumHere : public DeviceFrameSum {
 public:
  FrameSumHere(index_t ny, index_t nx)
      : ny_(ny),
        terms_(nx / 2 + 1),
        band_(ny, nx, 0.5),
        transform_({ny, nx}, 1),
        pixels_(ny * nx),
        spectrum_(2 * ny * terms_),
        total_(2 * ny * terms_) {
    total_.clear();
  }

  void add(const Cpu&, View2<const float> frame, const Vec2& shift) override {
    const Frame seen = look(frame, 0);  // what is missing is filled
    pixels_.write(0, seen.image.data, pixels_.size());
    transform_.forward(pixels_, spectrum_);
    add_moved(spectrum_, shift, 1.0f, total_);
  }

  void write(const Cpu&, View2<float> out) override {
    spectrum_.clear();
    add_moved(total_, {}, 1.0f / static_cast<float>(pixels_.size()), spectrum_);
    transform_.inverse(spectrum_, pixels_);
    pixels_.read(0, out.data, pixels_.size());
  }

 private:
  static Wave* waves(const DeviceArray<float>& spectrum) { return reinterpret_cast<Wave*>(spectrum.data()); }

  void add_moved(const DeviceArray<float>& from, const Vec2& shift, float factor, DeviceArray<float>& to) const {
    const Phases phases(Part(band_), shift);
    std::vector<Wave> along(static_cast<std::size_t>(terms_)), across(static_cast<std::size_t>(ny_));
    const RowPhase first = phases.row(0);
    for (std::size_t x = 0; x < along.size(); ++x) along[x] = {first.cx[x], first.sx[x]};
    for (index_t y = 0; y < band_.rows; ++y) {
      const RowPhase row = phases.row(y);
      across[static_cast<std::size_t>(band_.source[static_cast<std::size_t>(y)])] = {row.cy, row.sy};
    }
    const DeviceArray<Wave> along_x(along), along_y(across);
    launch({blocks_for(terms_, AddMoved::kThreads), static_cast<unsigned>(ny_)}, 0,
           AddMoved{waves(from), along_x.data(), along_y.data(), waves(to), static_cast<int>(terms_), factor});
  }

  index_t ny_, terms_;
  Band band_;
  DeviceFft transform_;
  DeviceArray<float> pixels_, spectrum_, total_;
};

std::unique_ptr<DeviceFrameSum> make_device_frame_sum(index_t ny, index_t nx) {
  return std::make_unique<FrameSumHere>(ny, nx);
}

}  // namespace cryolith::CRYOLITH_DEVICE
