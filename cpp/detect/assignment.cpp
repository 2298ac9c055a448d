// SPDX-License-Identifier: BSD-3-Clause
#include "detect/assignment.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <queue>
#include <utility>
#include <vector>

namespace cryolith::detect {
namespace {

constexpr double kFar = std::numeric_limits<double>::infinity();

class Assigner {
 public:
  Assigner(const PairCosts& pairs, View1<const double> alone, index_t n_columns)
      : pairs_(pairs),
        alone_(alone),
        price_(size(n_columns), 0.0),
        distance_(size(n_columns), kFar),
        row_of_(size(n_columns), -1),
        from_(size(n_columns), -1),
        settled_(size(n_columns), 0),
        paid_(size(alone.extent[0]), 0.0),
        column_of_(size(alone.extent[0]), -1) {}

  // Brings one more row in: along the shortest path of exchanges to a free column, or to a row that rather stays alone.
  void add(index_t row) {
    start();
    reach(row, 0.0);
    while (!heap_.empty()) {
      const auto [d, column] = heap_.top();
      heap_.pop();
      if (d >= end_) break;
      if (at(settled_, column) || d > at(distance_, column)) continue;  // reached nearer since
      if (at(row_of_, column) < 0) {
        end_ = d;
        last_ = column;
        break;
      }
      at(settled_, column) = 1;
      scanned_.push_back(column);
      const index_t held = at(row_of_, column);
      reach(held, d - (at(paid_, held) - at(price_, column)));
    }
    for (index_t column : scanned_) at(price_, column) += at(distance_, column) - end_;
    exchange(row);
  }

  const std::vector<index_t>& partners() const { return column_of_; }

 private:
  using Step = std::pair<double, index_t>;

  static std::size_t size(index_t n) { return static_cast<std::size_t>(n); }
  template <class T>
  static T& at(std::vector<T>& values, index_t i) {
    return values[static_cast<std::size_t>(i)];
  }

  void start() {
    for (index_t column : touched_) {
      at(distance_, column) = kFar;
      at(settled_, column) = 0;
    }
    touched_.clear();
    scanned_.clear();
    heap_ = {};
    end_ = kFar;
    last_ = -1;
    stays_ = -1;
  }

  // Offers what a row, itself reached at `d`, could take instead.
  void reach(index_t row, double d) {
    if (d + alone_.data[row] < end_) {
      end_ = d + alone_.data[row];
      stays_ = row;
    }
    for (index_t k = pairs_.begins.data[row]; k < pairs_.begins.data[row + 1]; ++k) {
      const index_t column = pairs_.columns.data[k];
      const double next = d + pairs_.costs.data[k] - at(price_, column);
      // Rounding must not lead back to a column on the path: a row's own would be its own predecessor.
      if (at(settled_, column) || next >= at(distance_, column) || next >= end_) continue;
      if (at(distance_, column) == kFar) touched_.push_back(column);
      at(distance_, column) = next;
      at(from_, column) = row;
      heap_.emplace(next, column);
    }
  }

  // Goes the path back from its end: every row on it takes the column that it reached.
  void exchange(index_t first) {
    index_t column = last_;
    if (column < 0) {
      column = at(column_of_, stays_);
      at(column_of_, stays_) = -1;
      if (stays_ == first) return;
    }
    for (;;) {
      const index_t row = at(from_, column);
      const index_t given_up = at(column_of_, row);
      at(column_of_, row) = column;
      at(row_of_, column) = row;
      at(paid_, row) = cost(row, column);
      if (row == first) return;
      column = given_up;
    }
  }

  double cost(index_t row, index_t column) const {
    index_t k = pairs_.begins.data[row];
    while (pairs_.columns.data[k] != column) ++k;
    return pairs_.costs.data[k];
  }

  const PairCosts& pairs_;
  View1<const double> alone_;
  std::vector<double> price_, distance_;  // of columns
  std::vector<index_t> row_of_, from_;    // of columns
  std::vector<char> settled_;             // columns whose distance is final
  std::vector<double> paid_;              // cost of a row's pair
  std::vector<index_t> column_of_;
  std::vector<index_t> touched_, scanned_;
  std::priority_queue<Step, std::vector<Step>, std::greater<>> heap_;
  double end_ = kFar;
  index_t last_ = -1, stays_ = -1;
};

void check(const PairCosts& pairs, View1<const double> alone, index_t n_columns, View1<index_t> partner) {
  const index_t rows = alone.extent[0], count = pairs.columns.extent[0];
  require(pairs.begins.extent[0] == rows + 1 && partner.extent[0] == rows, "begins, partner: found ",
          pairs.begins.extent[0], " and ", partner.extent[0], ", expected ", rows + 1, " and ", rows);
  require(pairs.costs.extent[0] == count, "costs: found ", pairs.costs.extent[0], ", expected ", count,
          ", one per pair");
  require(pairs.begins.data[0] == 0 && pairs.begins.data[rows] == count, "begins: expected 0 to ", count);
  for (index_t row = 0; row < rows; ++row) {
    require(std::isfinite(alone.data[row]), "alone: found a value that is not finite at row ", row);
    require(pairs.begins.data[row] <= pairs.begins.data[row + 1], "begins: expected ascending numbers");
    for (index_t k = pairs.begins.data[row]; k < pairs.begins.data[row + 1]; ++k) {
      require(pairs.columns.data[k] >= 0 && pairs.columns.data[k] < n_columns, "columns: found ", pairs.columns.data[k],
              ", expected 0 to ", n_columns - 1);
      require(k == pairs.begins.data[row] || pairs.columns.data[k - 1] < pairs.columns.data[k],
              "columns: expected ascending numbers in each row");
      require(std::isfinite(pairs.costs.data[k]), "costs: found a value that is not finite");
    }
  }
}

}  // namespace

void assign(const Cpu& cpu, const PairCosts& pairs, View1<const double> alone, index_t n_columns,
            View1<index_t> partner) {
  check(pairs, alone, n_columns, partner);
  Assigner assigner(pairs, alone, n_columns);
  constexpr index_t kRows = 256;  // between looks at the cancel token
  const index_t rows = alone.extent[0];
  for (index_t begin = 0; begin < rows; begin += kRows)
    parallel_for(Cpu{1, cpu.cancel, cpu.poll}, 1, [&](index_t, int) {
      for (index_t row = begin; row < std::min(begin + kRows, rows); ++row) assigner.add(row);
    });
  std::copy(assigner.partners().begin(), assigner.partners().end(), partner.data);
}

}  // namespace cryolith::detect
