// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// DeviceImageFilter for the device that this file is compiled for.
#include <algorithm>
#include <utility>

#include "core/device_fft.hpp"
#include "core/stream_through.hpp"
#include "reconstruct/device_image_filter.hpp"
#include "reconstruct/filter_cuda.cuh"
#include "reconstruct/image_filter_cuda.cuh"

namespace cryolith::CRYOLITH_DEVICE {

// Memory for lines and their transforms: one part at a time.
class LineFilter {
 public:
  explicit LineFilter(const ImageFilterSizes& sizes)
      : sizes_(sizes),
        transform_({sizes.length}, sizes.rows),
        lines_(sizes.rows * sizes.length),
        spectra_(sizes.rows * (sizes.length + 2)) {}

  // `gains`: of these rows' image. Into this thread's stream.
  void filter(const float* pixels, index_t rows, const float* gains, float* out) {
    const int width = static_cast<int>(sizes_.width), length = static_cast<int>(sizes_.length);
    const unsigned all = static_cast<unsigned>(sizes_.rows), these = static_cast<unsigned>(rows);
    launch({blocks_for(length, PadRows::kThreads), all}, 0,
           PadRows{pixels, lines_.data(), static_cast<int>(rows), width, length});
    transform_.forward(lines_, spectra_);
    const int frequencies = length / 2 + 1;
    launch({these, blocks_for(frequencies, MultiplyGains::kThreads)}, 0,
           MultiplyGains{spectra_.data(), gains, frequencies});
    transform_.inverse(spectra_, lines_);
    launch({blocks_for(width, CropLines::kThreads), these}, 0, CropLines{lines_.data(), out, width, length});
  }

 private:
  ImageFilterSizes sizes_;
  DeviceFft transform_;
  DeviceArray<float> lines_, spectra_;
};

// One part that is under way, in a stream of its own.
class RowSlot {
 public:
  explicit RowSlot(const ImageFilterSizes& sizes)
      : width_(sizes.width), filter_(sizes), pixels_(sizes.rows * sizes.width), here_(sizes.rows * sizes.width) {}
  void begin(RowJob& job, std::unique_ptr<ImageRows> part, const DeviceArray<float>& gains, index_t frequencies) {
    part_ = std::move(part);
    job.gather(*part_, here_.data());
    const UseStream use(stream_);
    pixels_.begin_write(0, here_.data(), part_->count * width_);
    filter_.filter(pixels_.data(), part_->count, gains.data() + part_->image * frequencies, pixels_.data());
    pixels_.begin_read(0, here_.data(), part_->count * width_);
  }
  void finish(RowJob& job) {
    if (part_ == nullptr) return;
    stream_.wait();
    job.scatter(*part_, here_.data());
    part_ = nullptr;
  }

 private:
  index_t width_;
  LineFilter filter_;
  DeviceArray<float> pixels_;
  PinnedArray<float> here_;
  std::unique_ptr<ImageRows> part_;
  Stream stream_;  // ends first: until then it uses the others
};

class ImageFilterHere : public DeviceImageFilter {
 public:
  ImageFilterHere(const ImageFilterSizes& sizes, View2<const float> gains)
      : sizes_(sizes), frequencies_(gains.extent[1]), gains_(gains.size()) {
    gains_.write(0, gains.data, gains.size());
    for (int i = 0; i < sizes.slots; ++i) slots_.push_back(std::make_unique<RowSlot>(sizes));
  }
  void run(RowJob& job) override { stream_through(slots_, job, gains_, frequencies_); }
  void filter_there(View3<const float> images, View3<float> out) override {
    LineFilter filter(sizes_);
    const index_t height = images.extent[1], width = images.extent[2];
    for (index_t image = 0; image < images.extent[0]; ++image)
      for (index_t first = 0; first < height; first += sizes_.rows) {
        const index_t at = (image * height + first) * width;
        filter.filter(images.data + at, std::min(sizes_.rows, height - first), gains_.data() + image * frequencies_,
                      out.data + at);
      }
    wait_for_stream();
  }

 private:
  ImageFilterSizes sizes_;
  index_t frequencies_;
  DeviceArray<float> gains_;
  std::vector<std::unique_ptr<RowSlot>> slots_;
};

std::unique_ptr<DeviceImageFilter> make_device_image_filter(const ImageFilterSizes& sizes, View2<const float> gains) {
  return std::make_unique<ImageFilterHere>(sizes, gains);
}

}  // namespace cryolith::CRYOLITH_DEVICE
