// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "detect/assignment.hpp"
#include "detect/random_walker.hpp"

namespace cryolith::detect {
namespace {

template <class T>
View3<T> view(std::vector<T>& data, index_t nz, index_t ny, index_t nx) {
  return {data.data(), {nz, ny, nx}};
}

TEST(RandomWalker, ChancesAddUpToOneAndDoNotDependOnThreads) {
  const index_t nz = 9, ny = 17, nx = 13;
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<std::size_t>(nz * ny * nx));
  std::vector<std::int32_t> seeds(values.size(), 0);
  for (float& v : values) v = normal(random);
  for (std::size_t i = 0; i < seeds.size(); ++i)
    if (random() % 20 == 0) seeds[i] = 1 + static_cast<std::int32_t>(random() % 2);
  for (std::size_t i = 5; i < 40; ++i) seeds[i] = -1;
  std::vector<float> chance[3];
  for (auto& c : chance) c.resize(values.size());
  const View3<float> data = view(values, nz, ny, nx);
  const View3<std::int32_t> marks = view(seeds, nz, ny, nx);
  RandomWalker one(Cpu{1}, data, marks, 1.0);
  EXPECT_GT(one.solve(Cpu{1}, 1, 1e-6, view(chance[0], nz, ny, nx)), 1);
  one.solve(Cpu{3}, 2, 1e-6, view(chance[1], nz, ny, nx));
  one.solve(Cpu{3}, 1, 1e-6, view(chance[2], nz, ny, nx));
  EXPECT_EQ(chance[0], chance[2]);
  for (std::size_t i = 0; i < values.size(); ++i)
    EXPECT_NEAR(chance[0][i] + chance[1][i], seeds[i] < 0 ? 0.0 : 1.0, 1e-3);
}

TEST(RandomWalker, EqualStepsAreALineBetweenItsEnds) {
  std::vector<float> values(9, 0.0f), chance(9);
  std::vector<std::int32_t> seeds = {1, 0, 0, 0, 0, 0, 0, 0, 2};
  const View3<float> data = view(values, 1, 1, 9);
  const View3<std::int32_t> marks = view(seeds, 1, 1, 9);
  RandomWalker walker(Cpu{1}, data, marks, 4.0);
  walker.solve(Cpu{1}, 2, 1e-7, view(chance, 1, 1, 9));
  for (std::size_t i = 0; i < 9; ++i) EXPECT_NEAR(chance[i], static_cast<double>(i) / 8, 1e-5);
}

// Of all orders of columns, some of which stand for staying alone.
double cheapest(const std::vector<double>& costs, const std::vector<double>& alone, index_t columns) {
  const auto rows = static_cast<index_t>(alone.size());
  std::vector<index_t> order(static_cast<std::size_t>(columns + rows));
  std::iota(order.begin(), order.end(), index_t{0});
  double best = std::numeric_limits<double>::infinity();
  do {
    double sum = 0;
    for (index_t i = 0; i < rows; ++i) {
      const index_t j = order[static_cast<std::size_t>(i)];
      sum += j < columns ? costs[static_cast<std::size_t>(i * columns + j)] : alone[static_cast<std::size_t>(i)];
    }
    best = std::min(best, sum);
  } while (std::next_permutation(order.begin(), order.end()));
  return best;
}

TEST(Assignment, IsTheCheapestOfAll) {
  std::mt19937 random(5);
  std::uniform_real_distribution<double> uniform(-1, 2);
  for (int round = 0; round < 20; ++round) {
    const index_t rows = 1 + round % 3, columns = 1 + round % 4;
    std::vector<double> costs, alone;
    std::vector<index_t> begins = {0}, listed;
    for (index_t i = 0; i < rows; ++i) {
      for (index_t j = 0; j < columns; ++j) {
        costs.push_back(uniform(random));
        listed.push_back(j);
      }
      begins.push_back(static_cast<index_t>(listed.size()));
      alone.push_back(uniform(random));
    }
    std::vector<index_t> partner(static_cast<std::size_t>(rows));
    const PairCosts pairs{
        {begins.data(), {rows + 1}}, {listed.data(), {rows * columns}}, {costs.data(), {rows * columns}}};
    assign(Cpu{1}, pairs, {alone.data(), {rows}}, columns, {partner.data(), {rows}});
    double sum = 0;
    for (index_t i = 0; i < rows; ++i) {
      const index_t j = partner[static_cast<std::size_t>(i)];
      sum += j < 0 ? alone[static_cast<std::size_t>(i)] : costs[static_cast<std::size_t>(i * columns + j)];
    }
    EXPECT_NEAR(sum, cheapest(costs, alone, columns), 1e-12);
  }
}

TEST(Assignment, RefusesColumnsThatDoNotExist) {
  const std::vector<index_t> begins = {0, 1}, columns = {2};
  const std::vector<double> costs = {1.0}, alone = {1.0};
  std::vector<index_t> partner(1);
  const PairCosts pairs{{begins.data(), {2}}, {columns.data(), {1}}, {costs.data(), {1}}};
  EXPECT_THROW(assign(Cpu{1}, pairs, {alone.data(), {1}}, 2, {partner.data(), {1}}), ArgumentError);
}

}  // namespace
}  // namespace cryolith::detect
