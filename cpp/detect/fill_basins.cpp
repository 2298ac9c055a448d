// SPDX-License-Identifier: BSD-3-Clause
#include "detect/fill_basins.hpp"

#include <algorithm>
#include <queue>
#include <utility>
#include <vector>

namespace cryolith::detect {
namespace {

constexpr index_t kWatch = index_t{1} << 18;  // voxels between two looks at the caller: some 20 ms

class Flood {
 public:
  Flood(View3<const float> values, View3<float> filled)
      : values_(values), filled_(filled), seen_(static_cast<std::size_t>(values.size())) {}

  // An outlet; one amid outlets (`amid`) need not be sorted.
  void start(index_t at, bool amid) {
    seen_[static_cast<std::size_t>(at)] = 1;
    if (!amid) rising_.emplace(values_.data[at], at);
  }

  void run(const Cpu& cpu) {
    index_t done = 0;
    while (!level_.empty() || !rising_.empty()) {
      if (++done % kWatch == 0) watch(cpu);
      index_t at;
      if (!level_.empty()) {  // at or below the water: no need to sort
        at = level_.back();
        level_.pop_back();
      } else {
        at = rising_.top().second;
        rising_.pop();
      }
      spread(at);
    }
  }

 private:
  using Rising = std::pair<float, index_t>;

  static void watch(const Cpu& cpu) {
    if (cpu.cancel && cpu.cancel->cancelled()) throw Cancelled();
    if (cpu.poll) cpu.poll();
  }

  // Water at height `water` arrives; the voxel holds it back when it is higher.
  void reach(index_t at, float water) {
    if (seen_[static_cast<std::size_t>(at)]) return;
    seen_[static_cast<std::size_t>(at)] = 1;
    const float own = values_.data[at];
    filled_.data[at] = std::max(own, water);
    if (own <= water)
      level_.push_back(at);
    else
      rising_.emplace(filled_.data[at], at);
  }

  void spread(index_t at) {
    const index_t nx = values_.extent[2], ny = values_.extent[1];
    const index_t x = at % nx, y = at / nx % ny, z = at / nx / ny;
    const float water = filled_.data[at];
    if (x > 0) reach(at - 1, water);
    if (x + 1 < nx) reach(at + 1, water);
    if (y > 0) reach(at - nx, water);
    if (y + 1 < ny) reach(at + nx, water);
    if (z > 0) reach(at - nx * ny, water);
    if (z + 1 < values_.extent[0]) reach(at + nx * ny, water);
  }

  View3<const float> values_;
  View3<float> filled_;
  std::vector<std::uint8_t> seen_;
  std::vector<index_t> level_;
  std::priority_queue<Rising, std::vector<Rising>, std::greater<>> rising_;
};

// Which voxels are outlets, the faces of the volume included.
class Outlets {
 public:
  explicit Outlets(View3<const std::uint8_t> given) : given_(given) {}

  bool at(index_t z, index_t y, index_t x) const {
    const index_t place[3] = {z, y, x};
    for (int i = 0; i < 3; ++i) {
      const index_t n = given_.extent[i];
      if (place[i] < 0 || place[i] >= n || (n > 1 && (place[i] == 0 || place[i] == n - 1))) return true;
    }
    return given_.data[(z * given_.extent[1] + y) * given_.extent[2] + x] != 0;
  }
  bool amid(index_t z, index_t y, index_t x) const {
    return at(z - 1, y, x) && at(z + 1, y, x) && at(z, y - 1, x) && at(z, y + 1, x) && at(z, y, x - 1) &&
           at(z, y, x + 1);
  }

 private:
  View3<const std::uint8_t> given_;
};

}  // namespace

void fill_basins(const Cpu& cpu, View3<const float> values, View3<const std::uint8_t> outlet, View3<float> filled) {
  for (int i = 0; i < 3; ++i)
    require(values.extent[i] == outlet.extent[i] && values.extent[i] == filled.extent[i], "outlet, filled: found ",
            outlet.extent[i], " and ", filled.extent[i], " elements along axis ", i, ", expected ", values.extent[i],
            " as in values");
  std::copy(values.data, values.data + values.size(), filled.data);  // a single voxel has no outlet
  Flood flood(values, filled);
  const Outlets outlets(outlet);
  index_t i = 0;
  for (index_t z = 0; z < values.extent[0]; ++z)
    for (index_t y = 0; y < values.extent[1]; ++y)
      for (index_t x = 0; x < values.extent[2]; ++x, ++i)
        if (outlets.at(z, y, x)) flood.start(i, outlets.amid(z, y, x));
  flood.run(cpu);
}

}  // namespace cryolith::detect
