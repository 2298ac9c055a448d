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
      : terms_(nx / 2 + 1),
        shape_(shape_of(Band(ny, nx, 0.5))),  // all frequencies
        transform_({ny, nx}, 1),
        pixels_(ny * nx),
        spectrum_(2 * ny * terms_),
        total_(2 * ny * terms_),
        along_(terms_),
        across_(ny) {
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

  void add_moved(const DeviceArray<float>& from, const Vec2& shift, float factor, DeviceArray<float>& to) {
    launch({blocks_for(shape_.columns + shape_.rows, FillPhases::kThreads)}, 0,
           FillPhases{shape_, shift.y, shift.x, along_.data(), across_.data()});
    launch({blocks_for(terms_, AddMoved::kThreads), static_cast<unsigned>(shape_.rows)}, 0,
           AddMoved{shape_,
                    {shape_.rows, shape_.columns},
                    waves(from),
                    along_.data(),
                    across_.data(),
                    factor,
                    waves(to),
                    waves(to)});
  }

  index_t terms_;
  BandShape shape_;
  DeviceFft transform_;
  DeviceArray<float> pixels_, spectrum_, total_;
  DeviceArray<Wave> along_, across_;
};

std::unique_ptr<DeviceFrameSum> make_device_frame_sum(index_t ny, index_t nx) {
  return std::make_unique<FrameSumHere>(ny, nx);
}

}  // namespace cryolith::CRYOLITH_DEVICE
