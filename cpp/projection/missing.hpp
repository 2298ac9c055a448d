// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include "core/parallel.hpp"
#include "core/view.hpp"

namespace cryolith {

// Number of pixels that are NaN or infinite: rays that were not measured.
index_t count_missing(const Cpu& cpu, View1<const float> pixels);

}  // namespace cryolith
