// SPDX-License-Identifier: BSD-3-Clause
// Components as CUDA finds them, in the emulation, against the CPU's.
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "cuda/emulate.hpp"
#include "detect/components.hpp"
#include "detect/device_components.hpp"

namespace cryolith {
namespace {

struct Mask {
  index_t nz, ny, nx;
  std::vector<std::uint8_t> voxels;
  View3<const std::uint8_t> view() const { return {voxels.data(), {nz, ny, nx}}; }
};

Mask noise(index_t nz, index_t ny, index_t nx, double share, unsigned seed) {
  std::mt19937 random(seed);
  std::bernoulli_distribution set(share);
  Mask out{nz, ny, nx, std::vector<std::uint8_t>(static_cast<std::size_t>(nz * ny * nx))};
  for (std::uint8_t& v : out.voxels) v = set(random);
  return out;
}

// One line that fills the volume without touching itself but at its ends: the longest way from a voxel to its root.
Mask winding(index_t nz, index_t ny, index_t nx) {
  Mask out{nz, ny, nx, std::vector<std::uint8_t>(static_cast<std::size_t>(nz * ny * nx))};
  for (index_t z = 0; z < nz; ++z)
    for (index_t y = 0; y < ny; ++y)
      for (index_t x = 0; x < nx; ++x) {
        const bool turn = y / 2 % 2 == 0 ? x == nx - 1 : x == 0, step = y == (z / 2 % 2 == 0 ? ny - 1 : 0) && x == 0;
        const bool row = y % 2 == 0 || turn;
        out.voxels[static_cast<std::size_t>((z * ny + y) * nx + x)] = z % 2 == 0 ? row : step;
      }
  return out;
}

void expect_cpus(const Mask& mask, int connectivity) {
  detect::Components::Options options;
  options.connectivity = connectivity;
  detect::Components all(mask.nz, mask.ny, mask.nx, options);
  all.add_mask(Cpu{1}, mask.view(), {});
  std::vector<std::int32_t> wanted(mask.voxels.size()), found(mask.voxels.size(), -1);
  const index_t count = all.finish();
  all.write(Cpu{1}, 0, mask.nz, detect::Element::i32, wanted.data());
  const auto own = emulated::make_device_components(mask.view(), connectivity);
  own->write({found.data(), {mask.nz, mask.ny, mask.nx}});
  EXPECT_EQ(own->count(), count);
  EXPECT_EQ(found, wanted);
}

class DeviceComponentsTest : public testing::TestWithParam<int> {};

TEST_P(DeviceComponentsTest, AreTheCpus) {
  unsigned seed = 0;
  for (double share : {0.02, 0.12, 0.3, 0.5, 0.9}) {
    expect_cpus(noise(17, 19, 67, share, ++seed), GetParam());
    expect_cpus(noise(9, 26, 32, share, ++seed), GetParam());
  }
  for (index_t n : {1, 2, 33}) expect_cpus(noise(1, n, 1, 0.5, ++seed), GetParam());
  expect_cpus(noise(3, 5, 129, 0.0, 1), GetParam());
  expect_cpus(noise(10, 9, 64, 1.0, 1), GetParam());
  expect_cpus(winding(11, 20, 40), GetParam());
}

// Blocks, warps and threads in any order, and taking turns in the middle of every join.
TEST_P(DeviceComponentsTest, DoNotDependOnTheOrder) {
  for (unsigned schedule : {1u, 2u, 3u, 4u, 5u}) {
    emulated::set_schedule(schedule);
    expect_cpus(noise(9, 10, 40, 0.1 * schedule, schedule), GetParam());
    expect_cpus(winding(9, 10, 35), GetParam());
  }
  emulated::set_schedule(0);
}

INSTANTIATE_TEST_SUITE_P(Connectivities, DeviceComponentsTest, testing::Values(6, 18, 26));

// Each barrier in turn: without it, the emulation has to notice.
TEST(DeviceComponentsWaits, AreAllNeeded) {
  const Mask mask = noise(9, 10, 40, 0.4, 1);
  emulated::visited_sites();
  expect_cpus(mask, 26);
  const auto sites = emulated::visited_sites();
  EXPECT_EQ(sites.size(), 3u);  // before joining a tile, before writing it, and within a sum over a block
  for (emulated::Site site : sites) {
    emulated::leave_out(site);
    EXPECT_THROW(emulated::make_device_components(mask.view(), 26), emulated::Fault) << site.file << ":" << site.line;
  }
  emulated::leave_out({"", 0});
}

}  // namespace
}  // namespace cryolith
