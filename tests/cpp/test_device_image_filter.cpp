// SPDX-License-Identifier: BSD-3-Clause
// Filters of images as CUDA runs them, in the emulation, against the CPU's.
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "cuda/emulate.hpp"
#include "cuda/emulated_devices.hpp"
#include "reconstruct/device_image_filter.hpp"
#include "reconstruct/filter.hpp"

namespace cryolith {
namespace {

constexpr index_t kImages = 3, kHeight = 21, kWidth = 37;

struct Case {
  Case() : length(filter_length(kWidth)), spectrum(static_cast<std::size_t>(kImages * (length / 2 + 1))) {
    std::mt19937 random(6);
    std::normal_distribution<float> normal;
    pixels.resize(static_cast<std::size_t>(kImages * kHeight * kWidth));
    for (float& v : pixels) v = normal(random);
    for (float& v : spectrum) v = normal(random) / static_cast<float>(length);
  }
  View2<const float> gains() const { return {spectrum.data(), {kImages, length / 2 + 1}}; }
  View3<const float> images() const { return {pixels.data(), {kImages, kHeight, kWidth}}; }
  std::vector<float> on(const std::vector<std::string>& devices, index_t max_bytes = 0) const {
    std::vector<float> out(pixels.size(), NAN);
    filter_images(Cpu{2}, devices, max_bytes, length, gains(), images(), {out.data(), {kImages, kHeight, kWidth}});
    return out;
  }
  index_t length;
  std::vector<float> spectrum, pixels;
};

double distance(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += std::pow(static_cast<double>(a[i]) - b[i], 2);
  return std::sqrt(sum);
}

TEST(DeviceImageFilter, IsTheCpusInPartsOfAnySize) {
  const Case c;
  std::vector<float> wanted(c.pixels.size());
  RowFilter rows(std::vector<index_t>(kImages, c.length), c.gains(), 1);
  filter_images(Cpu{1}, rows, c.images(), {wanted.data(), {kImages, kHeight, kWidth}});
  const std::vector<float> whole = c.on({"emulated"});
  // Two transforms of either, each with an rms error below 5e-7 (core/fft.hpp).
  EXPECT_LT(distance(whole, wanted), 1e-6 * distance(wanted, std::vector<float>(wanted.size())));
  const index_t gains = c.gains().size() * 4, row = ImageFilterSizes{1, kWidth, c.length, 1}.slot_bytes();
  for (index_t fit : {1, 2, 3, 9, 20}) EXPECT_EQ(c.on({"emulated"}, gains + fit * row), whole) << fit;
  EXPECT_EQ(c.on({"emulated:3", "emulated", "emulated:1", "emulated:2"}), whole);
  EXPECT_THROW(c.on({"emulated"}, gains + row - 1), DeviceOutOfMemory);
  const DeviceTensor in("emulated:1", element_type<float>(), {kImages, kHeight, kWidth}),
      out("emulated:1", element_type<float>(), {kImages, kHeight, kWidth});
  in.write(c.pixels.data());
  filter_images_there(c.length, c.gains(), in, out);
  std::vector<float> there(c.pixels.size());
  out.read(there.data());
  EXPECT_EQ(there, whole);
}

TEST(DeviceImageFilter, TakesTheMemoryThatIsPlannedAndSmallerParts) {
  const Case c;
  const std::vector<float> whole = c.on({"emulated"});
  const ImageFilterSizes sizes{5, kWidth, c.length, 2};
  const index_t before = emulated::free_memory();
  const auto filter = emulated::make_device_image_filter(sizes, c.gains());
  EXPECT_EQ(before - emulated::free_memory(), c.gains().size() * 4 + 2 * sizes.slot_bytes());
  const index_t largest = 3 * (c.length + 2) * 4;  // of three rows
  emulated::set_memory(14, emulated::kMemoryBytes, largest);
  EXPECT_EQ(c.on({"emulated:14"}), whole);
  emulated::set_memory(14, emulated::kMemoryBytes, 8);
  EXPECT_THROW(c.on({"emulated:14"}), DeviceOutOfMemory);
  emulated::set_memory(14, emulated::kMemoryBytes);
}

// Wherever a device breaks, all end with an error.
TEST(DeviceImageFilter, EndsWithAnErrorWhereADeviceIsLostOrWorkIsCancelled) {
  const Case c;
  c.on({"emulated"});  // the self-test, which counts operations too
  int number = 7;
  for (index_t operations : {0, 3, 9, 14, 25}) {
    const std::string device = "emulated:" + std::to_string(number);
    emulated::lose_after(number++, operations);
    EXPECT_THROW(c.on({device, "emulated:1"}, 5000), DeviceLost) << operations;
    EXPECT_THROW(c.on({device}), DeviceError) << operations;
  }
  CancelToken token;
  token.cancel();
  std::vector<float> out(c.pixels.size());
  EXPECT_THROW(filter_images({1, &token}, {"emulated"}, 0, c.length, c.gains(), c.images(),
                             {out.data(), {kImages, kHeight, kWidth}}),
               Cancelled);
}

}  // namespace
}  // namespace cryolith
