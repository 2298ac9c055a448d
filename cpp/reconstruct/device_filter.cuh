// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// DeviceFilter for the device that this file is compiled for.
#include <algorithm>
#include <map>

#include "core/device_fft.hpp"
#include "core/error.hpp"
#include "projection/shear_sum_cuda.cuh"
#include "reconstruct/device_filter.hpp"
#include "reconstruct/filter_cuda.cuh"

namespace cryolith::CRYOLITH_DEVICE {

class RowFilterHere : public DeviceFilter {
 public:
  // plan: of which the pair sums rows; where images are turned, the one for those.
  RowFilterHere(const ProjectionPlan& plan, const std::vector<index_t>& lengths, View2<const float> gains)
      : lengths_(lengths),
        row_count_(plan.rows()),
        columns_((plan.volume().ny + kColumns - 1) / kColumns * kColumns),
        frequencies_(gains.extent[1]),
        gains_(gains.size()),
        ranges_(ranges_of(plan, columns_)),
        lines_(columns_ * std::ranges::max(lengths)),
        spectra_(columns_ * (std::ranges::max(lengths) + 2)) {
    require(gains.extent[0] == plan.tilts() && static_cast<index_t>(lengths.size()) == plan.tilts(), "gains: found ",
            gains.extent[0], " rows and ", lengths.size(), " lengths, expected ", plan.tilts());
    for (index_t tilt = 0; tilt < plan.tilts(); ++tilt) {
      const index_t n = lengths[static_cast<std::size_t>(tilt)];
      require(n % 2 == 0 && n / 2 + 1 <= frequencies_, "gains: found ", frequencies_, " frequencies, expected ",
              n / 2 + 1);
      first_row_.push_back(plan.first_row(tilt));
      transforms_.try_emplace(n, std::vector<index_t>{n}, columns_);
    }
    first_row_.push_back(plan.rows());
    gains_.write(0, gains.data, gains.size());
  }

  void apply(float* rows) override {
    for (std::size_t tilt = 0; tilt < lengths_.size(); ++tilt) filter(tilt, rows);
  }

 private:
  void filter(std::size_t tilt, float* rows) {
    const index_t n = lengths_[tilt], count = first_row_[tilt + 1] - first_row_[tilt];
    const FilterLines at{ranges_.data() + static_cast<index_t>(tilt) * columns_ / (2 * kLanes),
                         rows + first_row_[tilt] * kColumns,
                         lines_.data(),
                         row_count_,
                         static_cast<int>(count),
                         static_cast<int>(n)};
    const DeviceFft& transform = transforms_.at(n);
    launch({tiles(n), tiles(columns_)}, FilterLines::kSharedBytes, GatherLines<kColumns>{at});
    transform.forward(lines_, spectra_);
    const int frequencies = static_cast<int>(n / 2 + 1);
    launch({static_cast<unsigned>(columns_), blocks_for(frequencies, MultiplyGains::kThreads)}, 0,
           MultiplyGains{spectra_.data(), gains_.data() + static_cast<index_t>(tilt) * frequencies_, frequencies});
    transform.inverse(spectra_, lines_);
    launch({tiles(count), tiles(columns_)}, FilterLines::kSharedBytes, PutLines<kColumns>{at});
  }
  static unsigned tiles(index_t n) { return blocks_for(n, FilterLines::kTile); }
  // [tilt][pair of blocks]; nothing for columns beyond the volume.
  static std::vector<SampleRange> ranges_of(const ProjectionPlan& plan, index_t columns) {
    std::vector<SampleRange> out;
    for (index_t tilt = 0; tilt < plan.tilts(); ++tilt)
      for (index_t block = 0; block < columns / kLanes; block += 2) {
        Range both{0, 0};
        for (index_t b = block; b < std::min(block + 2, plan.blocks()); ++b) both = united(both, plan.samples(tilt, b));
        out.push_back({static_cast<std::int32_t>(both.begin), static_cast<std::int32_t>(both.end)});
      }
    return out;
  }

  std::vector<index_t> lengths_, first_row_;
  index_t row_count_, columns_, frequencies_;
  DeviceArray<float> gains_;
  DeviceArray<SampleRange> ranges_;
  DeviceArray<float> lines_, spectra_;
  std::map<index_t, DeviceFft> transforms_;
};

std::unique_ptr<DeviceFilter> make_device_filter(const ProjectionPlan& plan, const std::vector<index_t>& lengths,
                                                 View2<const float> gains) {
  return std::make_unique<RowFilterHere>(plan.turned() != nullptr ? *plan.turned() : plan, lengths, gains);
}

}  // namespace cryolith::CRYOLITH_DEVICE
