// SPDX-License-Identifier: BSD-3-Clause
#include "detect/label_kernels.hpp"

#include "detect/compare.hpp"
#include "detect/piece.hpp"

namespace cryolith::detect::CRYOLITH_VARIANT {
namespace {

template <class T>
index_t list(const T* row, index_t nx, LabelRun* runs) {
  index_t count = 0, from = 0;
  std::int32_t label = 0;
  const auto close = [&](index_t x) __attribute__((always_inline)) {
    if (label != 0) runs[count++] = {from, x, label, 0};
  };
  for (index_t w = 0; 64 * w < nx; ++w)
    for (word_t changes = ~same64(row + 64 * w, row + 64 * w - 1, 0); changes; changes &= changes - 1) {
      const index_t x = 64 * w + first_one(changes);
      if (x >= nx) break;
      close(x);
      from = x;
      label = static_cast<std::int32_t>(row[x]);
    }
  close(nx);
  return count;
}

// For each direction: the voxels of word w whose neighbour there has another label.
template <class T>
CRYOLITH_HD void find_exits(const T* own, const T* const* other, index_t w, word_t* exits) {
  const T* at = own + 64 * w;
  exits[0] = ~same64(at, at + 1, 0);
  for (int s = 0; s < 4; ++s)
    for (int d = 0; d < 3; ++d) exits[3 * s + d + 1] = ~same64(at, other[s] + 64 * w + d - 1, 0);
}

// Splits `met`, voxels of word w that have a neighbour of another label in direction d, by that label.
template <class T>
void list_contacts(const T* neighbour, word_t met, std::int32_t label, int d, Contact*& end, Contact** last) {
  for (; met; met &= met - 1) {
    const auto other = static_cast<std::int32_t>(neighbour[first_one(met)]);
    if (other == 0) continue;
    if (last[d] && last[d]->a == label && last[d]->b == other) {
      ++last[d]->count;
      continue;
    }
    last[d] = end;
    *end++ = {label, other, d, 1};
  }
}

void add_border(const LabelRow& row, const LabelRun& run, Exits& exits) {
  const auto n = static_cast<std::uint32_t>(run.x1 - run.x0);
  exits.border[0] += n * ((row.z == 0) + static_cast<std::uint32_t>(row.z == row.extent[0] - 1));
  exits.border[1] += n * ((row.y == 0) + static_cast<std::uint32_t>(row.y == row.extent[1] - 1));
  exits.border[2] += (run.x0 == 0) + static_cast<std::uint32_t>(run.x1 == row.extent[2]);
}

template <class T>
index_t add(const LabelRow& row) {
  const T* own = static_cast<const T*>(row.own);
  const T* other[4];
  for (int s = 0; s < 4; ++s) other[s] = static_cast<const T*>(row.other[s]);
  const RegionSums& sums = row.sums;
  word_t exits[kDirections] = {};
  index_t known = -1;
  Contact* end = row.contacts;
  Contact* last[kDirections] = {};
  for (index_t i = 0; i < row.count; ++i) {
    const LabelRun& run = row.runs[i];
    for (index_t w = run.x0 / 64; 64 * w < run.x1; ++w) {
      const int x0 = static_cast<int>(run.x0 > 64 * w ? run.x0 - 64 * w : 0);
      const word_t mask = bits_below(static_cast<int>(run.x1 < 64 * w + 64 ? run.x1 - 64 * w : 64)) & ~bits_below(x0);
      if (sums.extent) {
        Extent& extent = sums.extent[run.region];
        const bool fresh = extent.voxels == 0;
        add_piece<1, 1>(row.z, row.y, w, &mask, mask, extent, sums.moments ? sums.moments + run.region : nullptr);
        if (sums.intensity) {
          Intensity& into = sums.intensity[run.region];
          if (fresh) into.centre = static_cast<double>(row.intensity[run.x0]);
          const float* values = row.intensity + 64 * w;
          add_values<1>(&values, &mask, into);
        }
      }
      if (!sums.exits && !row.contacts) continue;
      if (w != known) find_exits(own, other, w, exits);
      known = w;
      if (sums.exits)
        for (int d = 0; d < kDirections; ++d)
          sums.exits[run.region].count[d] += static_cast<std::uint32_t>(count_ones(exits[d] & mask));
      if (row.contacts) {
        list_contacts(own + 64 * w + 1, exits[0] & mask, run.label, 0, end, last);
        for (int d = 1; d < kDirections; ++d)
          list_contacts(other[(d - 1) / 3] + 64 * w + kDirection[d][2], exits[d] & mask, run.label, d, end, last);
      }
    }
    if (sums.exits) add_border(row, run, sums.exits[run.region]);
  }
  return end - row.contacts;
}

}  // namespace

index_t list_runs(Element element, const void* row, index_t nx, LabelRun* runs) {
  if (element == Element::u8) return list(static_cast<const std::uint8_t*>(row), nx, runs);
  if (element == Element::u16) return list(static_cast<const std::uint16_t*>(row), nx, runs);
  return list(static_cast<const std::int32_t*>(row), nx, runs);
}

index_t add_row(const LabelRow& row) {
  if (row.element == Element::u8) return add<std::uint8_t>(row);
  if (row.element == Element::u16) return add<std::uint16_t>(row);
  return add<std::int32_t>(row);
}

}  // namespace cryolith::detect::CRYOLITH_VARIANT
