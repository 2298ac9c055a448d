// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include "align/band.kernel.hpp"
#include "core/kernel.hpp"

namespace cryolith::CRYOLITH_DEVICE {

// total += factor times a half spectrum whose image is moved by what the phases say. Grid (terms, rows).
struct AddMoved {
  static constexpr int kThreads = 128, kBlocks = 8;
  const Wave *spectrum, *along, *across;  // phases of columns and of rows
  Wave* total;
  int terms;
  float factor;

  CRYOLITH_DEVICE_CODE void operator()() const {
    const auto x = static_cast<int>(block_index().x * kThreads + thread_index().x);
    if (x >= terms) return;
    const auto y = static_cast<index_t>(block_index().y), at = y * terms + x;
    const Wave moved =
        moved_wave(load<Wave>(spectrum + at), load<Wave>(along + x), load<Wave>(across + y), factor);
    const Wave before = load<Wave>(total + at);
    store<Wave>(total + at, {before.re + moved.re, before.im + moved.im});
  }
};

}  // namespace cryolith::CRYOLITH_DEVICE
