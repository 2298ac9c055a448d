// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// What band.hpp does with spectra, for spectra in the memory of the device that this file is compiled for.
#include <optional>

#include "align/band.hpp"
#include "align/correlation_cuda.cuh"
#include "align/weights.hpp"
#include "core/device_array.hpp"

namespace cryolith::CRYOLITH_DEVICE {

// An array that is kept, and made anew where more is asked for; what it then holds is not specified.
template <class T>
class Room {
 public:
  DeviceArray<T>& of(index_t count) {
    if (!array_ || array_->size() < count) {
      array_.reset();
      array_.emplace(count);
    }
    return *array_;
  }
  DeviceArray<T>& of(const std::vector<T>& values) {
    of(static_cast<index_t>(values.size())).write(0, values.data(), static_cast<index_t>(values.size()));
    return *array_;
  }
  T* data() const { return array_->data(); }

 private:
  std::optional<DeviceArray<T>> array_;
};

template <class T>
std::vector<T> read_first(const DeviceArray<T>& array, index_t count) {
  std::vector<T> out(static_cast<std::size_t>(count));
  array.read(0, out.data(), count);
  return out;
}

// A band's tables on the device, and memory for what is made of its coefficients.
class BandHere {
 public:
  explicit BandHere(const Band& band)
      : band_(band),
        shape_(shape_of(band)),
        rings_(static_cast<int>(band.rings)),
        ring_(index_t{shape_.upper} * shape_.columns),
        begins_(index_t{shape_.upper} * (rings_ + 1)),
        along_(shape_.columns),
        across_(shape_.rows) {
    require(band.rings < 65536, "images: found ", band.py, " x ", band.px,
            " pixels with what is put around them, expected at most 131068 for a device");
    fill_tables();
  }

  const Band& band() const { return band_; }
  const BandShape& shape() const { return shape_; }
  const Wave* along() const { return along_.data(); }
  const Wave* across() const { return across_.data(); }
  // In a whole half spectrum, and in an array of its own.
  Coefficients in_spectrum(const Wave* data) const { return {data, shape_.px / 2 + 1, shape_.py - shape_.rows}; }
  Coefficients alone(const Wave* data) const { return {data, shape_.columns, 0}; }
  BandPart part(const Part& used) const {
    int lines = 0;
    used.each_row([&](index_t y) { lines = std::max(lines, shape_.line(static_cast<int>(y))); });
    return {lines, static_cast<int>(std::min(used.columns, band_.columns))};
  }

  void fill_phases(const Vec2& shift) {
    launch({blocks_for(shape_.columns + shape_.rows, FillPhases::kThreads)}, 0,
           FillPhases{shape_, shift.y, shift.x, along_.data(), across_.data()});
  }
  std::vector<double> ring_power(const Coefficients& a) { return rings<1>(part(Part(band_)), a, a); }
  RingSums ring_sums(const Part& used, const Coefficients& a, const Coefficients& b, const Vec2& shift) {
    fill_phases(shift);
    const std::vector<double> sums = rings<3>(part(used), a, b);
    const auto of = [&](std::ptrdiff_t kind) {
      return std::vector<double>(sums.begin() + kind * rings_, sums.begin() + (kind + 1) * rings_);
    };
    return {of(0), of(1), of(2)};
  }
  void cross(const BandPart& part, const Coefficients& a, const Coefficients& b, const std::vector<float>& weight,
             bool whole_plane, Wave* out) {
    launch({blocks_for(part.columns, CrossSpectra::kThreads), static_cast<unsigned>(shape_.rows)}, 0,
           CrossSpectra{shape_, part, a, b, ring_.data(), weight_.of(weight).data(), whole_plane, out});
  }
  // The maximum of the weighted correlation near `start`.
  Top maximum(const Part& used, const Coefficients& a, const Coefficients& b, const std::vector<float>& weight,
              const Vec2& start) {
    const BandPart p = part(used);
    Wave* product = product_.of(index_t{shape_.rows} * shape_.columns).data();
    cross(p, a, b, weight, true, product);
    return correlation_top([&](const Vec2& s) { return slopes(p, product, s); }, start);
  }
  // The sums of each of `count` numbers over `parts` arrays of them.
  std::vector<double> total(const float* in, index_t parts, index_t count) {
    DeviceArray<double>& out = totals_.of(count);
    launch({blocks_for(count, AddParts::kThreads)}, 0,
           AddParts{in, static_cast<int>(parts), static_cast<int>(count), out.data()});
    return read_first(out, count);
  }
  Room<float>& parts() { return parts_; }
  Room<double>& totals() { return totals_; }

 private:
  void fill_tables() {
    std::vector<std::uint16_t> ring(static_cast<std::size_t>(ring_.size())),
        begins(static_cast<std::size_t>(begins_.size()));
    auto to = ring.begin(), begin = begins.begin();
    for (int y = 0; y < shape_.upper; ++y) {
      const std::uint32_t* row = band_.ring_row(y);
      std::transform(row, row + shape_.columns, to, [](std::uint32_t r) { return static_cast<std::uint16_t>(r); });
      to += shape_.columns;
      int x = 0, end = y == 0 ? 1 : 0;  // the mean has no ring, and corners have none
      while (end < shape_.columns && row[end] > 0) ++end;
      for (int r = 0; r <= rings_; ++r) {
        while (x < end && static_cast<int>(row[x]) < r) ++x;
        *begin++ = static_cast<std::uint16_t>(x);
      }
    }
    ring_.write(0, ring.data(), ring_.size());
    begins_.write(0, begins.data(), begins_.size());
  }

  template <int kKinds>
  std::vector<double> rings(const BandPart& part, const Coefficients& a, const Coefficients& b) {
    const unsigned chunks = blocks_for(shape_.rows, SumRings<kKinds>::kRows);
    const index_t count = index_t{kKinds} * rings_;
    float* sums = parts_.of(chunks * count).data();
    launch({blocks_for(rings_, SumRings<kKinds>::kThreads), chunks}, 0,
           SumRings<kKinds>{shape_, part, a, b, along_.data(), across_.data(), begins_.data(), rings_, sums});
    std::vector<double> out = total(sums, chunks, count);
    for (int k = 0; k < kKinds; ++k) out[static_cast<std::size_t>(k) * static_cast<std::size_t>(rings_)] = 0;
    return out;
  }

  Slopes slopes(const BandPart& part, const Wave* product, const Vec2& shift) {
    constexpr int kinds = SumSlopes::kSums;
    fill_phases(shift);
    const unsigned blocks = blocks_for(shape_.rows, SumSlopes::kWarps);
    DeviceArray<double>& sums = totals_.of(index_t{blocks} * kinds);
    launch({blocks}, SumSlopes::kWarps * kinds * index_t{sizeof(double)},
           SumSlopes{shape_, part, product, along_.data(), across_.data(), sums.data()});
    double all[kinds] = {};
    const std::vector<double> found = read_first(sums, index_t{blocks} * kinds);
    for (std::size_t i = 0; i < found.size(); ++i) all[i % kinds] += found[i];
    const double fx = 1 / static_cast<double>(shape_.px);
    return {all[0], -all[1], -fx * all[2], {all[3], fx * all[4], fx * fx * all[5]}};
  }

  const Band& band_;
  BandShape shape_;
  int rings_;
  DeviceArray<std::uint16_t> ring_, begins_;
  DeviceArray<Wave> along_, across_;
  Room<Wave> product_;
  Room<float> weight_, parts_;
  Room<double> totals_;
};

}  // namespace cryolith::CRYOLITH_DEVICE
