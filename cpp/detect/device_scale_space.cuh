// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// Scale space for the device that this file is compiled for.
#include <bit>

#include "core/device_fft.hpp"
#include "detect/device_scale_space.hpp"
#include "detect/scale_space.hpp"
#include "detect/scale_space_cuda.cuh"

namespace cryolith::CRYOLITH_DEVICE {

class ScaleFields {
 public:
  explicit ScaleFields(const DeviceScaleSpace& space)
      : space_(space),
        nz_(space.base.extent[0]),
        ny_(space.base.extent[1]),
        terms_(space.base.extent[2]),
        base_(2 * space.base.size()),
        spectrum_(2 * space.base.size()),
        transform_({nz_, ny_, space.nx}, 1) {
    base_.write(0, reinterpret_cast<const float*>(space.base.data), base_.size());
    for (index_t i = 0; i < std::min<index_t>(3, space.decays.extent[0]); ++i) fields_.emplace_back(voxels());
  }
  index_t voxels() const { return nz_ * ny_ * space_.nx; }

  // Makes the field of scale i, in place of that of scale i - 3.
  void fill(index_t i) {
    const double decay = space_.decays.data[i];
    auto z = detect::axis_gaussian(nz_, nz_, decay);
    const auto gain = static_cast<float>(space_.gains.data[i] / static_cast<double>(voxels()));
    for (float& g : z) g *= gain;
    const DeviceArray<float> along_z(z), along_y(detect::axis_gaussian(ny_, ny_, decay)),
        along_x(detect::axis_gaussian(space_.nx, terms_, decay));
    launch({blocks_for(terms_, ScaleSpectrum::kThreads), static_cast<unsigned>(ny_), static_cast<unsigned>(nz_)}, 0,
           ScaleSpectrum{base_.data(), along_z.data(), along_y.data(), along_x.data(), spectrum_.data(),
                         static_cast<int>(terms_), static_cast<int>(ny_)});
    transform_.inverse(spectrum_, field(i));
  }

  // Appends the peaks of scale i; returns how many voxels that may be peaks lie within `middle` of 0.
  index_t peaks(index_t i, std::vector<detect::Peak>& peaks) {
    const auto margin = static_cast<int>(space_.margin);
    const detect::ScaleCells cells{some(i - 1), some(i), some(i + 1), ny_ * space_.nx, space_.nx};
    const InnerRows inner{static_cast<int>(ny_), static_cast<int>(space_.nx), margin,
                          static_cast<int>((nz_ - 2 * margin) * (ny_ - 2 * margin))};
    const int words = (inner.across() + kWarp - 1) / kWarp;
    const DeviceArray<unsigned> marks(index_t{inner.rows} * words);
    const DeviceArray<int> counts(inner.rows);
    const auto bits = [](float v) { return std::bit_cast<int>(v) & 0x7fffffff; };
    launch({blocks_for(inner.rows, MarkPeaks::kRows)}, 0,
           MarkPeaks{cells, inner, words, bits(space_.threshold), bits(space_.middle), marks.data(), counts.data()});
    append(i, cells, places_of(inner, words, marks), peaks);
    index_t within = 0;
    for (const int count : read(counts)) within += count;
    return within;
  }

 private:
  template <class T>
  static std::vector<T> read(const DeviceArray<T>& array) {
    std::vector<T> out(static_cast<std::size_t>(array.size()));
    array.read(0, out.data(), array.size());
    return out;
  }
  DeviceArray<float>& field(index_t i) { return fields_[static_cast<std::size_t>(i % 3)]; }
  const float* some(index_t i) { return i < 0 || i >= space_.decays.extent[0] ? nullptr : field(i).data(); }

  // The voxels of all marks, in raster order.
  static std::vector<index_t> places_of(const InnerRows& inner, int words, const DeviceArray<unsigned>& marks) {
    std::vector<index_t> out;
    const std::vector<unsigned> found = read(marks);
    for (std::size_t k = 0; k < found.size(); ++k)
      for (unsigned word = found[k]; word != 0; word &= word - 1) {
        const auto row = static_cast<int>(k) / words, x = static_cast<int>(k) % words * kWarp;
        out.push_back(inner.first_voxel(row) + x + std::countr_zero(word));
      }
    return out;
  }
  void append(index_t scale, const detect::ScaleCells& cells, const std::vector<index_t>& places,
              std::vector<detect::Peak>& peaks) const {
    if (places.empty()) return;
    const auto count = static_cast<index_t>(places.size());
    const DeviceArray<index_t> at(places);
    DeviceArray<float> around(count * 3 * detect::kCells);
    around.clear();
    launch({static_cast<unsigned>(count)}, 0, CopyCells{cells, at.data(), around.data()});
    std::vector<detect::PeakCells> found(places.size());
    around.read(0, found[0].of[0], around.size());
    for (std::size_t k = 0; k < places.size(); ++k) {
      const index_t x = places[k] % space_.nx, y = places[k] / space_.nx % ny_, z = places[k] / space_.nx / ny_;
      peaks.push_back(detect::refined_peak(found[k], cells.below != nullptr, cells.above != nullptr,
                                           static_cast<double>(scale), z, y, x));
    }
  }

  const DeviceScaleSpace& space_;
  index_t nz_, ny_, terms_;
  DeviceArray<float> base_, spectrum_;
  DeviceFft transform_;
  std::vector<DeviceArray<float>> fields_;
};

std::vector<detect::Peak> scale_space_maxima(const DeviceScaleSpace& space, View1<double> share) {
  const index_t scales = space.decays.extent[0], edge = 2 * space.margin;
  const auto inner =
      static_cast<double>((space.base.extent[0] - edge) * (space.base.extent[1] - edge) * (space.nx - edge));
  ScaleFields fields(space);
  std::vector<detect::Peak> peaks;
  fields.fill(0);
  for (index_t i = 0; i < scales; ++i) {
    if (i + 1 < scales) fields.fill(i + 1);
    share.data[i] = static_cast<double>(fields.peaks(i, peaks)) / inner;
  }
  return peaks;
}

}  // namespace cryolith::CRYOLITH_DEVICE
