// SPDX-License-Identifier: BSD-3-Clause
#include "core/statistics.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

namespace cryolith {
namespace {

constexpr index_t kLanes = 8;             // independent sums: the latency of an addition is hidden, and code vectorises
constexpr index_t kPart = index_t{1} << 18;  // elements of a part, about 0.1 ms

bool finite(float x) { return (std::bit_cast<std::uint32_t>(x) & 0x7f800000u) != 0x7f800000u; }

// A sum and the sum of its rounding errors (Knuth's two-sum).
struct Pair {
  double high = 0.0, low = 0.0;
  void add(double x) {
    const double sum = high + x, back = sum - high;
    low += (high - (sum - back)) + (x - back);
    high = sum;
  }
};

struct Lane {
  Pair sum, squares;
  float low = std::numeric_limits<float>::infinity(), high = -std::numeric_limits<float>::infinity();
  std::int64_t count = 0;
  void take(float value) {
    const bool is = finite(value);
    const double x = is ? static_cast<double>(value) : 0.0;
    sum.add(x);
    squares.add(x * x);
    low = std::min(low, is ? value : std::numeric_limits<float>::infinity());
    high = std::max(high, is ? value : -std::numeric_limits<float>::infinity());
    count += is;
  }
};

void add_row(const float* row, index_t length, Statistics& to) {
  Lane lanes[kLanes];
  index_t x = 0;
  for (; x + kLanes <= length; x += kLanes)
    for (index_t i = 0; i < kLanes; ++i) lanes[i].take(row[x + i]);
  for (index_t i = 0; x + i < length; ++i) lanes[i].take(row[x + i]);
  Pair sum, squares;
  for (const Lane& lane : lanes) {
    sum.add(lane.sum.high), sum.low += lane.sum.low;
    squares.add(lane.squares.high), squares.low += lane.squares.low;
    to.low = std::min(to.low, lane.low), to.high = std::max(to.high, lane.high);
    to.count += lane.count;
  }
  to.sum += sum.high, to.sum += sum.low;
  to.squares += squares.high, to.squares += squares.low;
}

void add_part(const Statistics& part, Statistics& to) {
  to.low = std::min(to.low, part.low) + 0.0f, to.high = std::max(to.high, part.high) + 0.0f;  // -0 + 0 is 0
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
