// SPDX-License-Identifier: BSD-3-Clause
#include "projection/shear_tables.hpp"

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <limits>
#include <numeric>
#include <utility>

#include "projection/plan.hpp"

namespace cryolith {
namespace {

std::size_t at(index_t i) { return static_cast<std::size_t>(i); }

// Output row r receives (1 - weight) in[r + start] + weight in[r + start + 1].
struct Step {
  std::int32_t start;
  float weight;
};
struct Stored {
  std::int32_t base, start, rows;
};
using StepOf = std::function<Step(int output, int input)>;
using StoredOf = std::function<Stored(int input)>;

ShearPairTap pair_tap(const Step& first, const Step& second, int low, int columns) {
  const std::int32_t apart = second.start - first.start;
  const std::int32_t which = std::abs(apart) <= kMostTogether ? apart + kMostTogether : kApart;
  return {(first.start - low) * columns,
          apart * columns + which,
          {},
          {1.0f - first.weight, 1.0f - second.weight},
          {first.weight, second.weight}};
}

// rows_of: of a group, from the least and the largest start of its outputs.
using RowsOf = std::function<ShearGroup(std::int32_t low, std::int32_t high)>;

ShearTables make_tables(int outputs, int inputs, ShearTile tile, const StepOf& step, const StoredOf& stored,
                        const RowsOf& rows_of) {
  ShearTables out;
  out.inputs = inputs;
  const auto kept = [&](int group, int o) {
    return std::min(outputs - 1, group * tile.outputs + o);
  };  // or the last again
  for (int g = 0; g * tile.outputs < outputs; ++g) {
    std::int32_t least = 0, most = 0;
    for (int i = 0; i < inputs; ++i) {
      std::int32_t low = std::numeric_limits<std::int32_t>::max(), high = std::numeric_limits<std::int32_t>::min();
      for (int o = 0; o < tile.outputs; ++o) {
        low = std::min(low, step(kept(g, o), i).start);
        high = std::max(high, step(kept(g, o), i).start);
      }
      least = std::min(least, low);
      most = std::max(most, high);
      const Stored s = stored(i);
      out.windows.push_back({s.base, s.start + low, high - low + tile.rows + 1, s.rows});
      out.window_rows = std::max(out.window_rows, out.windows.back().rows);
      for (int o = 0; o < tile.outputs; o += 2) {
        const bool some = g * tile.outputs + o < outputs;
        out.taps.push_back(some ? pair_tap(step(kept(g, o), i), step(kept(g, o + 1), i), low, tile.columns)
                                : ShearPairTap{0, kNothing, {}, {}, {}});
      }
    }
    out.windows.resize(out.windows.size() + at(tile.ahead));
    out.groups.push_back(rows_of(least, most));
  }
  return out;
}

// A place for an output of projection: its tilt, or nobody's, which sums what the one before it does and writes
// nothing.
struct OutputPlace {
  int tilt;
  bool used;
};

// Tilts in the order of what they move the last line by against the first. Where the two of a pair would move by more
// than `most_apart` different amounts, the first stays alone, as long as that fills places which the last group has
// left.
std::vector<OutputPlace> by_shear(int tilts, const std::function<std::int32_t(int tilt)>& moved, double most_apart,
                                  int places_of_group) {
  std::vector<int> order(at(tilts));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return moved(a) < moved(b); });
  std::vector<OutputPlace> out;
  int left = (places_of_group - tilts % places_of_group) % places_of_group;
  for (int i = 0; i < tilts; ++i) {
    const int tilt = order[at(i)];
    out.push_back({tilt, true});
    const bool first = out.size() % 2 == 1, followed = i + 1 < tilts;
    if (!first || !followed || left == 0 || moved(order[at(i + 1)]) - moved(tilt) <= most_apart) continue;
    out.push_back({tilt, false});
    --left;
  }
  return out;
}

}  // namespace

int ShearTables::most_row_tiles() const {
  int most = 0;
  for (const ShearGroup& g : groups) most = std::max(most, g.row_tiles);
  return most;
}

ShearTables backproject_tables(const ProjectionPlan& plan, const Bank& bank, ShearTile tile) {
  const int tilts = static_cast<int>(bank.tilts.size()), lines = static_cast<int>(bank.across);
  const auto first = [&](int t) { return plan.first_row(bank.tilts[at(t)]); };
  const StepOf step = [&](int line, int t) {
    const Tap tap = bank.back[at(line * index_t{tilts} + t)];
    return Step{static_cast<std::int32_t>(tap.offset / kLanes - first(t)), tap.weight};
  };
  const StoredOf stored = [&](int t) {
    return Stored{static_cast<std::int32_t>(first(t)), 0, static_cast<std::int32_t>(plan.row_count(bank.tilts[at(t)]))};
  };
  const auto along = static_cast<std::int32_t>(bank.along);
  ShearTables out = make_tables(lines, tilts, tile, step, stored, [&](std::int32_t, std::int32_t) {
    return ShearGroup{0, (along + tile.rows - 1) / tile.rows};
  });
  for (int line = 0; line < lines; ++line) out.outputs.push_back({line * along, 0, along, 0});
  return out;
}

ShearTables project_tables(const ProjectionPlan& plan, const Bank& bank, ShearTile tile, Range lines) {
  const int tilts = static_cast<int>(bank.tilts.size()), count = static_cast<int>(lines.end - lines.begin);
  const auto along = static_cast<std::int32_t>(bank.along);
  const auto first = [&](int t) { return plan.first_row(bank.tilts[at(t)]); };
  // Voxel x of a line goes to row x + k with 1 - f and to x + k + 1 with f: row r takes f from r - k - 1, 1 - f from r
  // - k.
  const auto whole = [&](int t, index_t line) {
    const Tap tap = bank.back[at(line * tilts + t)];
    return static_cast<std::int32_t>(tap.offset / kLanes - first(t)) + (tap.weight == 0.0f ? 0 : 1);
  };
  const auto middle = [&](int t) { return whole(t, (lines.begin + lines.end - 1) / 2); };
  // Of most of the chunk's lines, two outputs that are farther apart over all lines cannot share rows.
  const double most_apart = static_cast<double>(4 * kMostTogether * bank.across) / static_cast<double>(count);
  const std::vector<OutputPlace> places =
      by_shear(tilts, [&](int t) { return whole(t, bank.across - 1) - whole(t, 0); }, most_apart, tile.outputs);
  const StepOf step = [&](int o, int i) {
    const int t = places[at(o)].tilt;
    const float f = bank.back[at((lines.begin + i) * tilts + t)].weight;
    return Step{middle(t) - whole(t, lines.begin + i), f == 0.0f ? 0.0f : 1.0f - f};
  };
  const StoredOf stored = [&](int i) { return Stored{static_cast<std::int32_t>(lines.begin + i) * along, 0, along}; };
  ShearTables out =
      make_tables(static_cast<int>(places.size()), count, tile, step, stored, [&](std::int32_t low, std::int32_t high) {
        const std::int32_t first = -high - 1;
        return ShearGroup{first, (along - low - first + tile.rows - 1) / tile.rows};
      });
  for (const auto& [t, used] : places) {
    const index_t rows = used ? plan.row_count(bank.tilts[at(t)]) : 0;
    out.outputs.push_back({static_cast<std::int32_t>(first(t)), middle(t), static_cast<std::int32_t>(rows), 0});
  }
  return out;
}

std::vector<ShearTables> project_chunks(const ProjectionPlan& plan, const Bank& bank, ShearTile tile,
                                        int most_window_rows) {
  std::vector<ShearTables> out;
  index_t lines = kProjectLines;
  for (index_t line = 0; line < bank.across;) {
    const Range part{line, std::min(bank.across, line + lines)};
    ShearTables tables = project_tables(plan, bank, tile, part);
    if (tables.window_rows > most_window_rows && part.end - part.begin > 1) {
      lines /= 2;
      continue;
    }
    out.push_back(std::move(tables));
    line = part.end;
  }
  return out;
}

}  // namespace cryolith
