// SPDX-License-Identifier: BSD-3-Clause
#include "core/statistics.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/row_sums.hpp"

namespace cryolith {
namespace {

constexpr index_t kPart = index_t{1} << 18;  // elements of a part, about 0.1 ms
void add_lanes(const RowSums::Lanes& lanes, ExactSum& to) {
  double high = 0.0, low = 0.0;
  for (int i = 0; i < kRowLanes; ++i) {  // Knuth's two-sum again
    const double x = lanes.high[i], sum = high + x, back = sum - high;
    low += (high - (sum - back)) + (x - back) + lanes.low[i];
    high = sum;
  }
  to += high, to += low;
}

void add_row(const float* values, index_t length, Statistics& to) {
  RowSums row;
  CRYOLITH_SELECT(row_sums)(values, length, row);
  for (int i = 0; i < kRowLanes; ++i) {
    to.low = std::min(to.low, row.lowest[i]), to.high = std::max(to.high, row.highest[i]);
    to.count += row.count[i];
  }
  add_lanes(row.sum, to.sum), add_lanes(row.squares, to.squares);
}

void add_part(const Statistics& part, Statistics& to) {
  to.low = std::min(to.low, part.low), to.high = std::max(to.high, part.high);
  to.count += part.count;
  to.sum += part.sum, to.squares += part.squares;
}

}  // namespace

Statistics statistics(const Cpu& cpu, View3<const float> volume) {
  const index_t length = volume.extent[2], rows = volume.extent[0] * volume.extent[1];
  const index_t per_part = std::max<index_t>(1, kPart / std::max<index_t>(1, length));
  const index_t parts = (rows + per_part - 1) / per_part;
  std::vector<Statistics> found(static_cast<std::size_t>(parts));
  parallel_for(cpu, parts, [&](index_t part, int) {
    Statistics mine;  // on this thread's stack: neighbours in the vector share cache lines
    for (index_t row = part * per_part; row < std::min(rows, (part + 1) * per_part); ++row)
      add_row(volume.data + row * length, length, mine);
    found[static_cast<std::size_t>(part)] = std::move(mine);
  });
  Statistics total;
  for (const Statistics& part : found) add_part(part, total);
  return total;
}

template <class T>
void halve(const Cpu& cpu, View3<const T> volume, View3<T> half) {
  const index_t nz = volume.extent[0], ny = volume.extent[1], nx = volume.extent[2], columns = half.extent[2];
  const index_t rows = half.extent[0] * half.extent[1];
  const index_t per_part = std::max<index_t>(1, kPart / std::max<index_t>(1, 4 * nx));
  parallel_for(cpu, (rows + per_part - 1) / per_part, [&](index_t part, int) {
    for (index_t row = part * per_part; row < std::min(rows, (part + 1) * per_part); ++row) {
      const index_t z = 2 * (row / half.extent[1]), y = 2 * (row % half.extent[1]);
      const T* lines[4];
      int count = 0;
      for (index_t dz = 0; dz < 2 && z + dz < nz; ++dz)
        for (index_t dy = 0; dy < 2 && y + dy < ny; ++dy) lines[count++] = volume.data + ((z + dz) * ny + y + dy) * nx;
      for (index_t column = 0; column < columns; ++column) {
        double sum = 0.0;
        int seen = 0;
        for (int line = 0; line < count; ++line)
          for (index_t x = 2 * column; x < std::min(nx, 2 * column + 2); ++x) {
            const T value = lines[line][x];
            const bool is = std::isfinite(value);
            sum += is ? static_cast<double>(value) : 0.0;
            seen += is;
          }
        half.data[row * columns + column] = static_cast<T>(seen ? sum / seen : std::nan(""));
      }
    }
  });
}

template void halve(const Cpu&, View3<const float>, View3<float>);
template void halve(const Cpu&, View3<const double>, View3<double>);

}  // namespace cryolith
