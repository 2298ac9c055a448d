// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// Rows of images <-> lines that a Fourier transform takes: zeros after the pixels. What multiplies their spectra is
// MultiplyGains.
#include "core/kernel.hpp"

namespace cryolith::CRYOLITH_DEVICE {

// Sets lines [line][sample]. grid: parts of the samples; lines.
struct PadRows {
  static constexpr int kThreads = 256, kBlocks = 4;
  const float* pixels;  // [row][width]
  float* lines;
  int rows, width, length;  // rows of pixels; there may be more lines, zeros

  CRYOLITH_DEVICE_CODE void operator()() const {
    const int sample = static_cast<int>(block_index().x) * kThreads + static_cast<int>(thread_index().x);
    const auto line = static_cast<index_t>(block_index().y);
    if (sample >= length) return;
    const bool inside = line < rows && sample < width;
    store<float>(lines + line * length + sample, inside ? load<float>(pixels + line * width + sample) : 0.0f);
  }
};

// Sets the pixels. grid: parts of a row; rows.
struct CropLines {
  static constexpr int kThreads = 256, kBlocks = 4;
  const float* lines;
  float* pixels;
  int width, length;

  CRYOLITH_DEVICE_CODE void operator()() const {
    const int column = static_cast<int>(block_index().x) * kThreads + static_cast<int>(thread_index().x);
    const auto row = static_cast<index_t>(block_index().y);
    if (column < width) store<float>(pixels + row * width + column, load<float>(lines + row * length + column));
  }
};

}  // namespace cryolith::CRYOLITH_DEVICE
