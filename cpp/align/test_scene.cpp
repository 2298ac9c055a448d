// SPDX-License-Identifier: BSD-3-Clause
#include "align/test_scene.hpp"

#include <cmath>

#include "core/error.hpp"
#include "cuda/self_test.hpp"

namespace cryolith {

TestScene::TestScene(const std::vector<Vec2>& shifts) : n_(static_cast<index_t>(shifts.size())) {
  Scatter scatter;
  float waves[8][3];
  for (auto& wave : waves)
    for (float& v : wave) v = scatter.value();
  for (const Vec2& shift : shifts) {
    shifts_.push_back(shift.y), shifts_.push_back(shift.x);
    for (index_t y = 0; y < ny; ++y)
      for (index_t x = 0; x < nx; ++x) {
        const auto v = static_cast<float>(static_cast<double>(y) - shift.y),
                   u = static_cast<float>(static_cast<double>(x) - shift.x);
        float sum = 0;
        for (const auto& wave : waves) sum += std::sin(wave[0] * v + wave[1] * u + 6 * wave[2]);
        pixels_.push_back(std::round(50 + 5 * sum + 9 * scatter.value()));
      }
    pixels_[pixels_.size() - 3 * nx - 7] = NAN;
  }
}

void require_device_extent(const char* name, index_t ny, index_t nx) {
  for (const index_t n : {ny, nx})
    require(n <= 32767, name, ": found ", n, " pixels along an axis, expected at most 32767 on a device");
}

}  // namespace cryolith
