// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/parallel.hpp"
#include "core/view.hpp"
#include "cuda/device_tensor.hpp"

namespace cryolith {

// Some rows of an image.
struct ImageRows {
  index_t image, first, count;
};

// A stack's rows, in parts for whoever is free.
class RowJob {
 public:
  RowJob(const Cpu& cpu, View3<const float> in, View3<float> out, index_t rows)
      : cpu_(cpu), in_(in), out_(out), rows_(rows) {}
  std::unique_ptr<ImageRows> take();  // null when there is none left, or it was stopped; throws where it was cancelled
  void gather(const ImageRows& part, float* to) const;
  void scatter(const ImageRows& part, const float* from) const;
  void stop();

 private:
  Cpu cpu_;
  View3<const float> in_;
  View3<float> out_;
  index_t rows_;
  std::mutex mutex_;
  index_t next_ = 0;
  bool stopped_ = false;
};

// Filters along rows of `width` pixels, with transforms of one length and a spectrum for each image: filter_images() on
// a device. `slots`: parts of up to `rows` rows that are under way at once.
struct ImageFilterSizes {
  index_t rows, width, length;
  int slots;
  index_t slot_bytes() const { return (rows * (width + 2 * length + 2)) * index_t{sizeof(float)}; }
};
class DeviceImageFilter {
 public:
  virtual ~DeviceImageFilter() = default;
  virtual void run(RowJob& job) = 0;  // until no part is left
  // A stack in the memory of the device.
  virtual void filter_there(View3<const float> images, View3<float> out) = 0;
};

// Of this thread's device.
namespace emulated {
std::unique_ptr<DeviceImageFilter> make_device_image_filter(const ImageFilterSizes& sizes, View2<const float> gains);
}
namespace cuda {
std::unique_ptr<DeviceImageFilter> make_device_image_filter(const ImageFilterSizes& sizes, View2<const float> gains);
}

// filter_images() on one or several devices by their names, to the rounding of transforms, the same bits for any
// devices and memory. gains as RowFilter's, for one length. `max_bytes`: of each device, 0: what is free. A device has
// filtered small images as the CPU does before its first; DeviceError where it does not, where there is no such device
// or no FFT library for it, and where its memory does not take one row.
void filter_images(const Cpu& cpu, const std::vector<std::string>& devices, index_t max_bytes, index_t length,
                   View2<const float> gains, View3<const float> images, View3<float> out);
// The same where the images lie.
void filter_images_there(index_t length, View2<const float> gains, const DeviceTensor& images, const DeviceTensor& out);

}  // namespace cryolith
