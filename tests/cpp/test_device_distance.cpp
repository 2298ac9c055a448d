// SPDX-License-Identifier: BSD-3-Clause
// Distances as CUDA measures them, in the emulation, against the CPU's: the same bytes.
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "cuda/emulate.hpp"
#include "detect/device_distance.hpp"

namespace cryolith {
namespace {

struct Case {
  std::string name;
  detect::DistanceOptions options;
};

template <class Value>
void expect_cpus(index_t nz, index_t ny, index_t nx, const std::vector<Value>& values, const Case& c) {
  const View3<const Value> in{values.data(), {nz, ny, nx}};
  std::vector<float> found(values.size(), -7.0f), wanted(values.size());
  detect::distance(Cpu{1}, in, c.options, {wanted.data(), {nz, ny, nx}});
  emulated::device_distance(in, detect::distance_plan<Value>(in.extent, c.options), {found.data(), {nz, ny, nx}});
  EXPECT_EQ(found, wanted) << nz << " x " << ny << " x " << nx;
}

// Values that change with a chance of `share` from voxel to voxel.
template <class Value>
std::vector<Value> noise(index_t n, double share, int labels, unsigned seed) {
  std::mt19937 random(seed);
  std::bernoulli_distribution changes(share);
  std::uniform_int_distribution<int> next(0, labels);
  std::vector<Value> out(static_cast<std::size_t>(n));
  int value = 1;
  for (Value& v : out) {
    if (changes(random)) value = next(random);
    v = static_cast<Value>(value);
  }
  return out;
}

class DeviceDistanceTest : public testing::TestWithParam<Case> {};

TEST_P(DeviceDistanceTest, IsTheCpus) {
  const Case& c = GetParam();
  unsigned seed = 0;
  for (double share : {0.002, 0.05, 0.6}) {
    expect_cpus(19, 21, 45, noise<std::uint8_t>(19 * 21 * 45, share, 1, ++seed), c);
    expect_cpus(17, 10, 33, noise<std::int32_t>(17 * 10 * 33, share, 3, ++seed), c);
  }
  expect_cpus(1, 1, 70, noise<std::int32_t>(70, 0.1, 2, 1), c);
  expect_cpus(40, 1, 1, noise<std::uint8_t>(40, 0.1, 1, 1), c);
  expect_cpus(5, 9, 7, std::vector<std::uint8_t>(315, 1), c);
  expect_cpus(5, 9, 7, std::vector<std::int32_t>(315, 0), c);
}

INSTANTIATE_TEST_SUITE_P(Options, DeviceDistanceTest,
                         testing::Values(Case{"cubes", {{1, 1, 1}, false, false}},
                                         Case{"whole_ratios", {{2, 1, 1}, true, false}},
                                         Case{"any_edges", {{1.3, 0.7, 0.45}, false, false}},
                                         Case{"signed_from_the_border", {{1, 0.7, 1}, true, true}},
                                         Case{"signed_cubes", {{0.34, 0.34, 0.34}, false, true}}),
                         [](const testing::TestParamInfo<Case>& info) { return info.param.name; });

TEST(DeviceDistance, DoesNotDependOnTheOrder) {
  for (unsigned schedule : {1u, 2u, 3u}) {
    emulated::set_schedule(schedule);
    expect_cpus(9, 17, 35, noise<std::uint8_t>(9 * 17 * 35, 0.05, 1, schedule), {"", {{1.3, 0.7, 0.45}, true, false}});
  }
  emulated::set_schedule(0);
}

}  // namespace
}  // namespace cryolith
