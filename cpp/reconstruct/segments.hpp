// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <cstdint>

#include "core/parallel.hpp"
#include "core/view.hpp"

namespace cryolith {

// What DART does to a volume of few grey levels between its SIRT steps (Batenburg & Sijbers 2011, sections II and III).

// labels <- how many of the ascending thresholds lie below the voxel.
void segment(const Cpu& cpu, View1<const float> volume, View1<const float> thresholds, View1<std::uint8_t> labels);

// free <- 1 where one of the 26 neighbours has another label, and at voxels drawn with probability `chance` (a hash of
// `seed` and the voxel: the same draw for any number of threads); else 0.
void free_voxels(const Cpu& cpu, View3<const std::uint8_t> labels, double chance, std::uint64_t seed,
                 View3<float> free);

// smoothed <- (1 - share) volume + share (mean over the 26 neighbours inside the volume) where free > 0, else volume.
void smooth_free(const Cpu& cpu, View3<const float> volume, View3<const float> free, float share,
                 View3<float> smoothed);

}  // namespace cryolith
