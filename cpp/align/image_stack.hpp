// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include "core/view.hpp"

namespace cryolith {

// An image (ny, nx) in the host's memory or, resident, in that of the device that works on it.
struct PlacedImage {
  View2<const float> pixels;
  bool resident = false;
};

// Images (n, ny, nx) alike.
struct ImageStack {
  View3<const float> images;
  bool resident = false;
  PlacedImage operator[](index_t i) const {
    const index_t ny = images.extent[1], nx = images.extent[2];
    return {{images.data + i * ny * nx, {ny, nx}}, resident};
  }
};

}  // namespace cryolith
