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
  RowFilterHere(index_t volume_rows, const std::vector<index_t>& lengths, View2<const float> gains)
      : lengths_(lengths),
        columns_((volume_rows + kColumns - 1) / kColumns * kColumns),
        frequencies_(gains.extent[1]),
        gains_(gains.size()),
        ranges_here_(std::ssize(lengths) * columns_ / (2 * kLanes)),
        ranges_(ranges_here_.size()),
        lines_(columns_ * std::ranges::max(lengths)),
        spectra_(columns_ * (std::ranges::max(lengths) + 2)) {
    require(gains.extent[0] == std::ssize(lengths), "gains: found ", gains.extent[0], " rows, expected ",
            lengths.size());
    for (const index_t n : lengths) {
      require(n % 2 == 0 && n / 2 + 1 <= frequencies_, "gains: found ", frequencies_, " frequencies, expected ",
              n / 2 + 1);
      transforms_.try_emplace(n, std::vector<index_t>{n}, columns_);
    }
    gains_.write(0, gains.data, gains.size());
  }

  void apply(const ProjectionPlan& plan, float* rows) override {
    require(plan.tilts() == std::ssize(lengths_) && plan.volume().ny <= columns_, "rows: found ", plan.tilts(),
            " tilts and ", plan.volume().ny, " rows of the volume, expected ", lengths_.size(), " and up to ",
            columns_);
    set_ranges(plan);
    for (index_t tilt = 0; tilt < plan.tilts(); ++tilt) filter(plan, tilt, rows);
  }

 private:
  void filter(const ProjectionPlan& plan, index_t tilt, float* rows) {
    const index_t n = lengths_[static_cast<std::size_t>(tilt)], count = plan.row_count(tilt);
    // Of the slab alone: where there is less of it than of the largest, the others' lines are transformed for nothing.
    const index_t columns = (plan.volume().ny + kColumns - 1) / kColumns * kColumns;
    const FilterLines at{ranges_.data() + tilt * columns_ / (2 * kLanes),
                         rows + plan.first_row(tilt) * kColumns,
                         lines_.data(),
                         plan.rows(),
                         static_cast<int>(count),
                         static_cast<int>(n)};
    const DeviceFft& transform = transforms_.at(n);
    launch({tiles(n), tiles(columns_)}, FilterLines::kSharedBytes, GatherLines<kColumns>{at});
    transform.forward(lines_, spectra_);
    const int frequencies = static_cast<int>(n / 2 + 1);
    launch({static_cast<unsigned>(columns), blocks_for(frequencies, MultiplyGains::kThreads)}, 0,
           MultiplyGains{spectra_.data(), gains_.data() + tilt * frequencies_, frequencies});
    transform.inverse(spectra_, lines_);
    launch({tiles(count), tiles(columns)}, FilterLines::kSharedBytes, PutLines<kColumns>{at});
  }
  static unsigned tiles(index_t n) { return blocks_for(n, FilterLines::kTile); }
  // [tilt][pair of blocks]; nothing for columns beyond the volume.
  void set_ranges(const ProjectionPlan& plan) {
    SampleRange* to = ranges_here_.data();
    for (index_t tilt = 0; tilt < plan.tilts(); ++tilt)
      for (index_t block = 0; block < columns_ / kLanes; block += 2) {
        Range both{0, 0};
        for (index_t b = block; b < std::min(block + 2, plan.blocks()); ++b) both = united(both, plan.samples(tilt, b));
        *to++ = {static_cast<std::int32_t>(both.begin), static_cast<std::int32_t>(both.end)};
      }
    ranges_.begin_write(0, ranges_here_.data(), ranges_here_.size());
  }

  std::vector<index_t> lengths_;
  index_t columns_, frequencies_;
  DeviceArray<float> gains_;
  PinnedArray<SampleRange> ranges_here_;
  DeviceArray<SampleRange> ranges_;
  DeviceArray<float> lines_, spectra_;
  std::map<index_t, DeviceFft> transforms_;
};

std::unique_ptr<DeviceFilter> make_device_filter(index_t volume_rows, const std::vector<index_t>& lengths,
                                                 View2<const float> gains) {
  return std::make_unique<RowFilterHere>(volume_rows, lengths, gains);
}

}  // namespace cryolith::CRYOLITH_DEVICE
