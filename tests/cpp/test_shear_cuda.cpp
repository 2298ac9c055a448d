// SPDX-License-Identifier: BSD-3-Clause
// The sum of the projector pair as CUDA runs it, in the emulation, against its definition in double precision.
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <random>
#include <vector>

#include "core/device_array.hpp"
#include "projection/plan.hpp"
#include "projection/shear_sum_cuda.cuh"

namespace cryolith::emulated {
namespace {

std::size_t at(index_t i) { return static_cast<std::size_t>(i); }

template <class T>
std::vector<T> host(const DeviceArray<T>& array) {
  std::vector<T> out(static_cast<std::size_t>(array.size()));
  array.read(0, out.data(), array.size());
  return out;
}

std::vector<float> noise(index_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> out(at(n));
  for (float& v : out) v = normal(random);
  return out;
}

ProjectionPlan make_plan(int tilts, double most_degrees, VolumeShape volume) {
  std::vector<TiltPose> poses;
  for (int t = 0; t < tilts; ++t) {
    const double degrees = tilts == 1 ? 0.0 : -most_degrees + 2 * most_degrees * t / (tilts - 1);
    const double a = degrees * std::numbers::pi / 180;
    poses.push_back({std::cos(a), std::sin(a), 1.0, 0.0, 0.0, 0.0, 0.0});
  }
  return ProjectionPlan(poses, volume, {volume.ny, volume.nx});
}

template <class Shape, bool kAdd>
std::vector<float> run(const ShearTables& t, const std::vector<float>& in, index_t in_rows, index_t out_rows,
                       index_t blocks) {
  const DeviceArray<float> from(in), to(std::vector<float>(at(blocks * out_rows * Shape::kColumns), 0.0f));
  const DeviceArray<ShearWindow> windows(t.windows);
  const DeviceArray<ShearPairTap> taps(t.taps);
  const DeviceArray<ShearOutput> outputs(t.outputs);
  const DeviceArray<ShearGroup> groups(t.groups);
  const DeviceArray<float> zeros(std::vector<float>(at(t.window_rows * Shape::kColumns), 0.0f));
  const ShearSum<Shape, kAdd> kernel{from.data(),
                                     zeros.data(),
                                     to.data(),
                                     windows.data(),
                                     taps.data(),
                                     outputs.data(),
                                     groups.data(),
                                     in_rows,
                                     out_rows,
                                     t.inputs,
                                     static_cast<int>(t.outputs.size()),
                                     t.window_rows};
  const Dim3 grid{static_cast<unsigned>(t.groups.size()), static_cast<unsigned>(t.most_row_tiles()),
                  static_cast<unsigned>(blocks)};
  launch(grid, Shape::shared_bytes(t.window_rows), kernel);
  return host(to);
}

// Lines [across][along] of one bank by the plan's own words, rows of `columns`.
std::vector<double> reference(const ProjectionPlan& plan, const Bank& bank, const std::vector<float>& rows, int columns,
                              index_t blocks) {
  const index_t n = std::ssize(bank.tilts);
  std::vector<double> out(at(blocks * bank.across * bank.along * columns), 0.0);
  for (index_t b = 0; b < blocks; ++b)
    for (index_t line = 0; line < bank.across; ++line)
      for (index_t t = 0; t < n; ++t) {
        const Tap tap = bank.back[at(line * n + t)];
        for (index_t x = 0; x < bank.along; ++x)
          for (int y = 0; y < columns; ++y) {
            const index_t row = b * plan.rows() + tap.offset / kLanes + x;
            const double w = tap.weight, low = rows[at(row * columns + y)], high = rows[at((row + 1) * columns + y)];
            out[at(((b * bank.across + line) * bank.along + x) * columns + y)] += (1 - w) * low + w * high;
          }
      }
  return out;
}

double dot(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

template <class Shape>
void check_pair(const ProjectionPlan& plan, const Bank& bank, index_t shared_bytes = kMostSharedBytes) {
  const index_t blocks = (plan.volume().ny + Shape::kColumns - 1) / Shape::kColumns, lines = bank.across * bank.along;
  const std::vector<float> rows = noise(blocks * plan.rows() * Shape::kColumns, 1);
  const std::vector<float> voxels = noise(blocks * lines * Shape::kColumns, 2);
  const auto back = run<Shape, false>(backproject_tables(plan, bank, Shape::kTile), rows, plan.rows(), lines, blocks);
  const auto wanted = reference(plan, bank, rows, Shape::kColumns, blocks);
  // Two rounded sums for each of n tilts, none larger than n times the largest row.
  const double n = static_cast<double>(bank.tilts.size()), most = 6.0, bound = 2 * n * n * most * 6e-8;
  for (std::size_t i = 0; i < wanted.size(); ++i) ASSERT_NEAR(back[i], wanted[i], bound) << i;

  std::vector<float> projected(rows.size(), 0.0f);
  for (const ShearTables& t : project_chunks(plan, bank, Shape::kTile, Shape::most_window_rows(shared_bytes))) {
    EXPECT_LE(Shape::shared_bytes(t.window_rows), shared_bytes);
    const auto sums = run<Shape, true>(t, voxels, lines, plan.rows(), blocks);
    for (std::size_t i = 0; i < sums.size(); ++i) projected[i] += sums[i];
  }
  const double forth = dot(projected, rows), and_back = dot(back, voxels);
  EXPECT_NEAR(forth, and_back, 1e-6 * std::sqrt(dot(back, back) * dot(voxels, voxels)));
}

using Default = BackprojectShape;
using Wide = ShearShape<16, 2, 2, 8, 3, 1>;
using Small = ShearShape<8, 4, 1, 2, 2, 2>;
// As devices without bulk copies run them.
using DefaultInPieces = ShearShape<24, 2, 1, 4, 3, 4, false>;
using ForthInPieces = ShearShape<24, 2, 2, 4, 3, 2, false>;
using WideInPieces = ShearShape<16, 2, 2, 8, 3, 1, false>;

TEST(ShearSumCuda, EqualsItsDefinitionAndIsAdjoint) {
  const ProjectionPlan one = make_plan(5, 50, {37, 66, 50}), two = make_plan(7, 70, {19, 33, 45});
  check_pair<Default>(one, one.shallow());
  check_pair<ProjectShape>(one, one.shallow());
  check_pair<ProjectShape>(two, two.steep());
  check_pair<Wide>(two, two.shallow());
  check_pair<Wide>(two, two.steep());
  check_pair<Wide>(two, two.shallow(), 40 * 1024);  // in shorter chunks
  check_pair<Small>(two, two.steep());
  check_pair<DefaultInPieces>(one, one.shallow());
  check_pair<ForthInPieces>(one, one.shallow());
  check_pair<WideInPieces>(two, two.steep());
  const ProjectionPlan flat = make_plan(1, 0, {7, 5, 33});
  check_pair<Small>(flat, flat.shallow());
}

// What makes the sum fast: one stream of rows feeds two outputs. A thread reads kRows + 1 rows of two floats and a tap
// of 24 bytes for kRows x 2 x 2 updates, and one of them the next window; what design/028-cuda.md counts.
TEST(ShearSumCuda, ReadsSharedMemoryOnceForTwoOutputs) {
  const ProjectionPlan plan = make_plan(1, 0, {8, 64, 24});  // one block of threads
  const Bank& bank = plan.shallow();
  const std::vector<float> rows = noise(plan.rows() * Default::kColumns, 3);
  counts();
  run<Default, false>(backproject_tables(plan, bank, Default::kTile), rows, plan.rows(), bank.across * bank.along, 1);
  const Counts ran = counts();
  EXPECT_EQ(ran.blocks, 1);
  EXPECT_EQ(ran.barriers, 2);
  EXPECT_EQ(ran.shared_bytes_read, Default::kThreads * ((Default::kRows + 1) * 8 + 24) + 16);
  EXPECT_EQ(ran.global_bytes_written, index_t{4} * 8 * 64 * 24);
}

TEST(ShearSumCuda, HasTheSameBitsInEverySchedule) {
  const ProjectionPlan plan = make_plan(5, 60, {20, 40, 30});
  const Bank& bank = plan.shallow();
  const std::vector<float> rows = noise(plan.rows() * Wide::kColumns, 3);
  const ShearTables tables = backproject_tables(plan, bank, Wide::kTile);
  const auto once = run<Wide, false>(tables, rows, plan.rows(), bank.across * bank.along, 1);
  for (unsigned seed : {1u, 2u, 3u}) {
    set_schedule(seed);
    EXPECT_EQ((run<Wide, false>(tables, rows, plan.rows(), bank.across * bank.along, 1)), once);
  }
  set_schedule(0);
}

template <class Shape>
void expect_each_wait_needed(std::size_t waits) {
  const ProjectionPlan plan = make_plan(5, 40, {20, 40, 30});  // more tilts than stages
  const Bank& bank = plan.shallow();
  const std::vector<float> rows = noise(plan.rows() * Shape::kColumns, 3);
  const ShearTables tables = backproject_tables(plan, bank, Shape::kTile);
  const auto sum = [&] { run<Shape, false>(tables, rows, plan.rows(), bank.across * bank.along, 1); };
  visited_sites();
  sum();
  const std::vector<Site> sites = visited_sites();
  EXPECT_EQ(sites.size(), waits);
  for (Site site : sites) {
    leave_out(site);
    EXPECT_THROW(sum(), Fault) << site.file << ":" << site.line;
  }
  leave_out({"", 0});
}

TEST(ShearSumCuda, NoticesEachWaitThatIsLeftOut) {
  expect_each_wait_needed<Wide>(3);  // for the gates to be made, for a window, for all to be done with the last
  expect_each_wait_needed<WideInPieces>(2);
}

}  // namespace
}  // namespace cryolith::emulated
