// SPDX-License-Identifier: BSD-3-Clause
#include "detect/device_components.hpp"

#include <algorithm>
#include <limits>
#include <vector>

#include "core/error.hpp"
#include "cuda/devices.hpp"
#include "cuda/self_test.hpp"
#include "detect/components.hpp"

namespace cryolith {
namespace {

std::unique_ptr<DeviceComponents> make(const std::string& device, View3<const std::uint8_t> mask, int connectivity) {
  return is_emulated(device) ? emulated::make_device_components(mask, connectivity)
                             : cuda::make_device_components(mask, connectivity);
}

// Half of the voxels, of extents that fill no tile: every kernel joins, and meets ends of rows.
void test_components(const std::string& device) {
  const index_t nz = 11, ny = 13, nx = 70;
  std::vector<std::uint8_t> voxels(static_cast<std::size_t>(nz * ny * nx));
  Scatter scatter;
  for (std::uint8_t& v : voxels) v = scatter.bits() >> 30 == 0;
  const View3<const std::uint8_t> mask{voxels.data(), {nz, ny, nx}};
  std::vector<std::int32_t> found(voxels.size()), wanted(voxels.size());
  for (int connectivity : {6, 18, 26}) {
    detect::Components::Options options;
    options.connectivity = connectivity;
    detect::Components all(nz, ny, nx, options);
    all.add_mask(Cpu{1}, mask, {});
    const index_t count = all.finish();
    all.write(Cpu{1}, 0, nz, detect::Element::i32, wanted.data());
    const auto own = make(device, mask, connectivity);
    own->write({found.data(), {nz, ny, nx}});
    if (own->count() != count || found != wanted)
      throw DeviceError("labels of " + std::to_string(own->count()) + " components by " + std::to_string(connectivity) +
                        " neighbours are not the CPU's, of " + std::to_string(count));
  }
}

// Each call may come from another thread of the process, to which the device has to be named anew.
class NamedComponents : public DeviceComponents {
 public:
  NamedComponents(const std::string& device, View3<const std::uint8_t> mask, int connectivity)
      : device_(device), extent_{mask.extent[0], mask.extent[1], mask.extent[2]} {
    on_device([&] { components_ = make(device_, mask, connectivity); });
  }
  ~NamedComponents() override = default;
  index_t count() const override { return components_->count(); }
  void write(View3<std::int32_t> labels) const override {
    for (int i = 0; i < 3; ++i)
      require(labels.extent[i] == extent_[i], "labels: found ", labels.extent[i], " elements along axis ", i,
              ", expected ", extent_[i], " as in the mask");
    on_device([&] { components_->write(labels); });
  }

 private:
  void on_device(const std::function<void()>& body) const {
    with_device(device_, {"components", [&] { test_components(device_); }}, body);
  }
  std::string device_;
  index_t extent_[3];
  std::unique_ptr<DeviceComponents> components_;
};

}  // namespace

std::unique_ptr<DeviceComponents> make_device_components(const std::string& device, View3<const std::uint8_t> mask,
                                                         int connectivity) {
  require(connectivity == 6 || connectivity == 18 || connectivity == 26, "connectivity: found ", connectivity,
          ", expected 6, 18 or 26");
  require(mask.size() > 0 && mask.size() <= std::numeric_limits<std::int32_t>::max(), "mask: found ", mask.size(),
          " voxels, expected 1 to 2^31 - 1 on a device; label it on the CPU");
  return std::make_unique<NamedComponents>(device, mask, connectivity);
}

}  // namespace cryolith
