// SPDX-License-Identifier: BSD-3-Clause
#include "reconstruct/device_image_filter.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/error.hpp"
#include "cuda/devices.hpp"
#include "cuda/self_test.hpp"
#include "reconstruct/filter.hpp"

namespace cryolith {
namespace {

std::unique_ptr<DeviceImageFilter> make(const std::string& device, const ImageFilterSizes& sizes,
                                        View2<const float> gains) {
  return is_emulated(device) ? emulated::make_device_image_filter(sizes, gains)
                             : cuda::make_device_image_filter(sizes, gains);
}

// Parts of several sizes, the last of an image smaller.
void test_filter(const std::string& device) {
  constexpr index_t kImages = 2, kHeight = 7, kWidth = 37, kRows = 3;
  const index_t length = filter_length(kWidth), frequencies = length / 2 + 1;
  std::vector<float> spectrum(static_cast<std::size_t>(kImages * frequencies));
  for (std::size_t k = 0; k < spectrum.size(); ++k)
    spectrum[k] = static_cast<float>(k % static_cast<std::size_t>(frequencies));
  const auto pixels = scattered(kImages * kHeight * kWidth);
  std::vector<float> found(pixels.size(), NAN), wanted(pixels.size());
  const View2<const float> gains{spectrum.data(), {kImages, frequencies}};
  const View3<const float> images{pixels.data(), {kImages, kHeight, kWidth}};
  RowFilter rows(std::vector<index_t>(kImages, length), gains, 1);
  filter_images(Cpu{1}, rows, images, {wanted.data(), {kImages, kHeight, kWidth}});
  RowJob job(Cpu{1}, images, {found.data(), {kImages, kHeight, kWidth}}, kRows);
  make(device, {kRows, kWidth, length, 2}, gains)->run(job);
  require_near(found, wanted, 2e-6, "a filtered image");  // transforms of two libraries
}

SelfTest self_test(const std::string& device) {
  return {"image filter", [device] { test_filter(device); }};
}

constexpr index_t kMostRows = 65535;  // of a launch
// The link takes 0.3 ms for so much, a few launches less; to lock so much of the host's memory takes 6 ms
// (docs/gpu.md).
constexpr index_t kPartBytes = index_t{16} << 20;

// Whole images where they are not large and there are enough of them.
index_t wanted_rows(const View3<const float>& images, index_t devices) {
  const index_t height = images.extent[1], bytes = height * images.extent[2] * index_t{sizeof(float)};
  const index_t parts = std::max((devices + images.extent[0] - 1) / images.extent[0], bytes / kPartBytes + 1);
  return std::clamp<index_t>((height + parts - 1) / parts, 1, kMostRows);
}

// The most rows of which two parts fit, or one: the sizes for it, in no more than `bytes` besides the gains.
ImageFilterSizes sizes_that_fit(ImageFilterSizes sizes, index_t bytes) {
  while (sizes.slots * sizes.slot_bytes() > bytes) {
    if (sizes.rows > 1)
      sizes.rows = (sizes.rows + 1) / 2;
    else if (sizes.slots > 1)
      sizes.slots = 1;
    else
      throw DeviceOutOfMemory("device memory: filtering one row of " + std::to_string(sizes.width) + " pixels takes " +
                              std::to_string(sizes.slot_bytes()) + " bytes, found " + std::to_string(bytes) +
                              "; bin the images, or use the CPU");
  }
  return sizes;
}

}  // namespace

std::unique_ptr<ImageRows> RowJob::take() {
  if (cpu_.cancel != nullptr && cpu_.cancel->cancelled()) throw Cancelled();
  const index_t height = in_.extent[1], parts = (height + rows_ - 1) / rows_;
  const std::lock_guard<std::mutex> lock(mutex_);
  if (stopped_ || next_ >= in_.extent[0] * parts) return nullptr;
  const index_t number = next_++, first = number % parts * rows_;
  return std::make_unique<ImageRows>(ImageRows{number / parts, first, std::min(rows_, height - first)});
}

void RowJob::stop() {
  const std::lock_guard<std::mutex> lock(mutex_);
  stopped_ = true;
}

void RowJob::gather(const ImageRows& part, float* to) const {
  const index_t width = in_.extent[2];
  std::copy_n(in_.data + (part.image * in_.extent[1] + part.first) * width, part.count * width, to);
}

void RowJob::scatter(const ImageRows& part, const float* from) const {
  const index_t width = out_.extent[2];
  std::copy_n(from, part.count * width, out_.data + (part.image * out_.extent[1] + part.first) * width);
}

void filter_images(const Cpu& cpu, const std::vector<std::string>& devices, index_t max_bytes, index_t length,
                   View2<const float> gains, View3<const float> images, View3<float> out) {
  const std::vector<std::string> names = device_names(devices);
  if (images.size() == 0) return;
  const index_t count = std::ssize(names), held = gains.size() * index_t{sizeof(float)};
  index_t bytes = max_bytes > 0 ? max_bytes : std::numeric_limits<index_t>::max();
  for (const std::string& name : names) bytes = std::min(bytes, free_device_memory(name) / 10 * 9);
  ImageFilterSizes sizes =
      sizes_that_fit({wanted_rows(images, count), images.extent[2], length, 2}, std::max<index_t>(0, bytes - held));
  std::vector<std::unique_ptr<DeviceImageFilter>> filters(names.size());
  for (;;) try {  // memory that was free may be so no more: then smaller parts
      for (std::size_t i = 0; i < names.size(); ++i)
        with_device(names[i], self_test(names[i]), [&] { filters[i] = make(names[i], sizes, gains); });
      break;
    } catch (const DeviceOutOfMemory&) {
      for (auto& filter : filters) filter.reset();
      if (sizes.rows == 1 && sizes.slots == 1) throw;
      sizes = sizes_that_fit(sizes, sizes.slots * sizes.slot_bytes() - 1);
    }
  RowJob job(cpu, images, out, sizes.rows);
  run_on_each(
      cpu, count, [&job] { job.stop(); },
      [&](index_t i) {
        const auto device = static_cast<std::size_t>(i);
        with_device(names[device], [&] { filters[device]->run(job); });
      });
}

void filter_images_there(index_t length, View2<const float> gains, const DeviceTensor& images,
                         const DeviceTensor& out) {
  const auto in = images.view<const float, 3>("stack");
  const auto to = out.view<float, 3>("out");
  if (in.size() == 0) return;
  const ImageFilterSizes sizes{std::min<index_t>(in.extent[1], wanted_rows(in, 1)), in.extent[2], length, 0};
  with_device(images.device(), self_test(images.device()),
              [&] { make(images.device(), sizes, gains)->filter_there(in, to); });
}

}  // namespace cryolith
