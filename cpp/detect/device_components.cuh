// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// DeviceComponents for the device that this file is compiled for.
#include "core/device_array.hpp"
#include "detect/components_cuda.cuh"
#include "detect/device_components.hpp"

namespace cryolith::CRYOLITH_DEVICE {

class LabelledMask : public DeviceComponents {
 public:
  LabelledMask(View3<const std::uint8_t> mask, int connectivity)
      : shape_{static_cast<int>(mask.extent[0]), static_cast<int>(mask.extent[1]), static_cast<int>(mask.extent[2]),
               static_cast<int>((mask.extent[2] + kWarp - 1) / kWarp), connectivity},
        words_(mask.extent[0] * mask.extent[1] * shape_.words),
        voxels_(mask.size()),
        bits_(words_),
        parents_(voxels_) {
    join(mask);
    number();
  }
  index_t count() const override { return count_; }
  void write(View3<std::int32_t> labels) const override {
    DeviceArray<int> out(voxels_);
    launch({blocks_for(words_, WriteLabels::kWords)}, 0,
           WriteLabels{shape_, bits_.data(), parents_.data(), out.data()});
    out.read(0, labels.data, voxels_);
  }

 private:
  void join(View3<const std::uint8_t> mask) {
    DeviceArray<unsigned char> in(voxels_);
    in.write(0, mask.data, voxels_);
    launch({static_cast<unsigned>(shape_.words), blocks_for(shape_.ny, kTileRows), blocks_for(shape_.nz, kTileDepth)},
           LabelTiles::kSharedBytes, LabelTiles{shape_, in.data(), bits_.data(), parents_.data()});
    launch({blocks_for(words_, kWordThreads)}, 0, JoinTiles{shape_, bits_.data(), parents_.data()});
  }
  void number() {
    const unsigned n = blocks_for(words_, kWordThreads);
    DeviceArray<int> counts(index_t{n} + 1);
    launch({n}, kSumBytes, CountRoots{shape_, bits_.data(), parents_.data(), counts.data()});
    launch({1}, kSumBytes, SumCounts{counts.data(), static_cast<int>(n)});
    launch({n}, kSumBytes, NumberRoots{shape_, bits_.data(), counts.data(), parents_.data()});
    int total = 0;
    counts.read(n, &total, 1);
    count_ = total;
  }

  MaskShape shape_;
  index_t words_, voxels_, count_ = 0;
  DeviceArray<unsigned> bits_;
  DeviceArray<int> parents_;  // of voxels that begin a run; the others are never written
};

std::unique_ptr<DeviceComponents> make_device_components(View3<const std::uint8_t> mask, int connectivity) {
  return std::make_unique<LabelledMask>(mask, connectivity);
}

}  // namespace cryolith::CRYOLITH_DEVICE
