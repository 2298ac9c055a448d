// SPDX-License-Identifier: BSD-3-Clause
#include "detect/label.hpp"

#include <limits>

#include "detect/run_labels.hpp"

namespace cryolith::detect {

index_t label(const Cpu& cpu, View3<const std::uint8_t> mask, int connectivity, View3<std::int32_t> labels) {
  require(connectivity == 6 || connectivity == 18 || connectivity == 26, "connectivity: found ", connectivity,
          ", expected 6, 18 or 26");
  for (int i = 0; i < 3; ++i)
    require(mask.extent[i] == labels.extent[i], "labels: found ", labels.extent[i], " elements along axis ", i,
            ", expected ", mask.extent[i], " as in mask");
  if (mask.size() == 0) return 0;
  const BitVolume bits(cpu, mask);
  RunLabels runs(bits, connectivity);
  parallel_for(cpu, runs.chunks(), [&](index_t chunk, int) { runs.label_chunk(chunk); });
  const index_t count = runs.join_chunks();
  require(count <= std::numeric_limits<std::int32_t>::max(), "mask: found ", count,
          " components, expected fewer than 2^31; label parts of the volume");
  parallel_for(cpu, runs.chunks(), [&](index_t chunk, int) { runs.write_chunk(chunk, labels); });
  return count;
}

}  // namespace cryolith::detect
