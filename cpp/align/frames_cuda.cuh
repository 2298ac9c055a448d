// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include "align/correlation_cuda.cuh"

namespace cryolith::CRYOLITH_DEVICE {

// total = before + factor times the part of a spectrum (rows, columns) of an image that is moved by what the phases
// say. Grid (columns, rows).
struct AddMoved {
  static constexpr int kThreads = 128, kBlocks = 8;
  BandShape band;
  BandPart part;
  const Wave *spectrum, *along, *across;  // phases of columns and of rows
  float factor;
  const Wave* before;
  Wave* total;

  CRYOLITH_DEVICE_CODE void operator()() const {
    const auto x = static_cast<int>(block_index().x * kThreads + thread_index().x);
    const auto y = static_cast<int>(block_index().y);
    if (x >= part.columns || band.line(y) > part.lines) return;
    const index_t at = index_t{y} * band.columns + x;
    const Wave moved = moved_wave(load_constant<Wave>(spectrum + at), load_constant<Wave>(along + x),
                                  load_constant<Wave>(across + y), factor);
    const Wave was = load<Wave>(before + at);
    store<Wave>(total + at, {was.re + moved.re, was.im + moved.im});
  }
};

// A band of a spectrum to an array of its own. Grid (columns, rows).
struct CropSpectrum {
  static constexpr int kThreads = 128, kBlocks = 8;
  BandShape band;
  Coefficients from;
  Wave* to;  // (rows, columns)

  CRYOLITH_DEVICE_CODE void operator()() const {
    const auto x = static_cast<int>(block_index().x * kThreads + thread_index().x);
    const auto y = static_cast<int>(block_index().y);
    if (x >= band.columns) return;
    store<Wave>(to + index_t{y} * band.columns + x, load_constant<Wave>(from.data + from.row(band, y) + x));
  }
};

}  // namespace cryolith::CRYOLITH_DEVICE
