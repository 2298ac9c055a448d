// SPDX-License-Identifier: BSD-3-Clause
#include "projection/free_sheets.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

#include "projection/scatter_lines.hpp"

namespace cryolith {
namespace {

constexpr index_t kBlocksPerJob = 8;
constexpr index_t kBand = 64;  // image rows with one owner

index_t longest_row(const FreePlan& plan) {
  index_t longest = 0;
  for (index_t view = 0; view < plan.views(); ++view) longest = std::max(longest, plan.sheet(view).lanes);
  return longest;
}

struct Job {
  index_t view, first;
};

std::vector<Job> block_jobs(const FreePlan& plan, const FreePlan::Group& group) {
  std::vector<Job> jobs;
  for (index_t view = group.begin; view < group.end; ++view)
    for (index_t block = 0; block < plan.blocks(view); block += kBlocksPerJob) jobs.push_back({view, block});
  return jobs;
}

template <class T>
View2<T> image_of(View3<T> images, index_t view) {
  return {images.data + view * images.extent[1] * images.extent[2], {images.extent[1], images.extent[2]}};
}

}  // namespace

void sample_sheets(const Cpu& cpu, const FreePlan& plan, const FreePlan::Group& group, View3<const float> images,
                   float* sheets) {
  const std::vector<Job> jobs = block_jobs(plan, group);
  std::vector<Buffer<float>> rows(static_cast<std::size_t>(resolve_threads(cpu)));
  const index_t longest = longest_row(plan);
  parallel_for(cpu, static_cast<index_t>(jobs.size()), [&](index_t job, int worker) {
    Buffer<float>& buffer = rows[static_cast<std::size_t>(worker)];
    if (buffer.size() == 0) buffer = Buffer<float>(longest * kLanes);
    const auto [view, first] = jobs[static_cast<std::size_t>(job)];
    const FreePlan::Sheet& sheet = plan.sheet(view);
    float* out = sheets + group.first[static_cast<std::size_t>(view - group.begin)];
    for (index_t block = first; block < std::min(plan.blocks(view), first + kBlocksPerJob); ++block) {
      const index_t count = plan.block_rows(view, block);
      const Range range = plan.samples(view, block, {0, plan.image().height});
      float* to = out + block * kLanes * sheet.stride;
      std::memset(to, 0, static_cast<std::size_t>(count * sheet.stride) * sizeof(float));
      CRYOLITH_SELECT(gather_rows)
      (plan.table(), image_of(images, view), plan.grid(view, block), range, count, buffer.data());
      CRYOLITH_SELECT(from_lanes)
      (buffer.data() + range.begin * kLanes, range.end - range.begin, count, to + range.begin, sheet.stride);
    }
  });
}

void scatter_sheets(const Cpu& cpu, const FreePlan& plan, const FreePlan::Group& group, const float* sheets,
                    View3<float> images) {
  const index_t height = plan.image().height, bands = (height + kBand - 1) / kBand;
  parallel_for(cpu, (group.end - group.begin) * bands, [&](index_t job, int) {
    const index_t view = group.begin + job / bands, first = job % bands * kBand;
    const Range band{first, std::min(height, first + kBand)};
    const FreePlan::Sheet& sheet = plan.sheet(view);
    const float* in = sheets + group.first[static_cast<std::size_t>(view - group.begin)];
    for (index_t block = 0; block < plan.blocks(view); ++block) {
      const Range range = plan.samples(view, block, band);
      if (range.begin < range.end)
        CRYOLITH_SELECT(scatter_lines)(plan.table(), image_of(images, view), band, plan.grid(view, block), range,
                                       plan.block_rows(view, block), in + block * kLanes * sheet.stride, sheet.stride);
    }
  });
}

index_t sheet_scratch_bytes(const FreePlan& plan) {
  return longest_row(plan) * kLanes * static_cast<index_t>(sizeof(float));
}

}  // namespace cryolith
