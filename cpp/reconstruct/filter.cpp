// SPDX-License-Identifier: BSD-3-Clause
#include "reconstruct/filter.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/error.hpp"
#include "projection/backproject.hpp"

namespace cryolith {
namespace {

constexpr index_t kLongest = index_t{1} << 30;  // passes count in 32 bits

// 4 first: fewest operations per sample.
std::vector<int> radices(index_t n) {
  require(n >= 1 && n <= kLongest, "filter: found a length of ", n, ", expected 1 to ", kLongest);
  std::vector<int> out;
  for (int radix : {4, 2, 3, 5})
    while (n % radix == 0) {
      out.push_back(radix);
      n /= radix;
    }
  require(n == 1, "filter: a length must have prime factors 2, 3 and 5 only");
  return out;
}

}  // namespace

index_t filter_length(index_t count) {
  require(count >= 1 && count <= kLongest / 4, "filter_length: found ", count, " samples, expected 1 to ",
          kLongest / 4);
  for (index_t n = std::max<index_t>(2, 2 * count - 1);; ++n) {
    index_t rest = n;
    for (index_t radix : {2, 3, 5})
      while (rest % radix == 0) rest /= radix;
    if (rest == 1) return n;
  }
}

RowFilter::RowFilter(index_t n, View2<const float> gains, int workers) : gains_(gains) {
  require(gains.extent[1] == n / 2 + 1, "gains: found ", gains.extent[1], " frequencies, expected ", n / 2 + 1);
  const std::vector<int> order = radices(n);
  index_t length = n;
  std::vector<index_t> first;
  for (int radix : order) {
    first.push_back(static_cast<index_t>(twiddles_.size()));
    passes_.push_back({radix, static_cast<std::int32_t>(length), nullptr});
    for (index_t j = 0; j < length / radix; ++j)
      for (int q = 1; q < radix; ++q) {
        const double turn = -2.0 * std::numbers::pi * static_cast<double>(j * q) / static_cast<double>(length);
        twiddles_.push_back(static_cast<float>(std::cos(turn)));
        twiddles_.push_back(static_cast<float>(std::sin(turn)));
      }
    length /= radix;
  }
  for (std::size_t i = 0; i < passes_.size(); ++i) passes_[i].twiddles = twiddles_.data() + first[i];
  for (index_t p = 0; p < n; ++p) {  // part q of a pass holds the frequencies that are q modulo its radix
    index_t k = 0, weight = 1, rest = p, part = n;
    for (int radix : order) {
      part /= radix;
      k += rest / part * weight;
      weight *= radix;
      rest %= part;
    }
    frequency_.push_back(static_cast<std::int32_t>(std::min(k, n - k)));
  }
  for (int i = 0; i < workers; ++i) work_.emplace_back(0);
  tables_ = {n, static_cast<std::int32_t>(passes_.size()), passes_.data(), frequency_.data()};
}

void RowFilter::apply(int worker, index_t tilt, index_t count, float* a, float* b) {
  Buffer<float>& work = work_[static_cast<std::size_t>(worker)];
  if (work.size() == 0) work = Buffer<float>(2 * kLanes * tables_.n);
  require(2 * count - 1 <= tables_.n, "filter: ", count, " samples need a longer transform than ", tables_.n);
  CRYOLITH_SELECT(filter_rows)(tables_, gains_.data + tilt * gains_.extent[1], count, a, b, work.data());
}

index_t longest_row(const ProjectionPlan& plan) {
  index_t longest = 1;
  for (index_t tilt = 0; tilt < plan.tilts(); ++tilt)
    for (index_t block = 0; block < plan.blocks(); block += 2) {
      const bool pair = block + 1 < plan.blocks();
      const Range r = united(plan.samples(tilt, block), pair ? plan.samples(tilt, block + 1) : Range{0, 0});
      longest = std::max(longest, r.end - r.begin);
    }
  return longest;
}

void filter_images(const Cpu& cpu, RowFilter& filter, View3<const float> images, View3<float> out) {
  const index_t height = images.extent[1], width = images.extent[2], jobs = (height + 2 * kLanes - 1) / (2 * kLanes);
  std::vector<Buffer<float>> scratch(static_cast<std::size_t>(resolve_threads(cpu)));
  parallel_for(cpu, images.extent[0] * jobs, [&](index_t job, int worker) {
    Buffer<float>& rows = scratch[static_cast<std::size_t>(worker)];
    if (rows.size() == 0) rows = Buffer<float>(2 * width * kLanes);
    const index_t tilt = job / jobs, y = job % jobs * 2 * kLanes;
    const index_t lanes_a = std::min<index_t>(kLanes, height - y),
                  lanes_b = std::min<index_t>(kLanes, height - y - lanes_a);
    float *a = rows.data(), *b = lanes_b > 0 ? a + width * kLanes : nullptr;
    const index_t start = (tilt * height + y) * width, next = start + kLanes * width;
    CRYOLITH_SELECT(to_lanes)(images.data + start, width, width, lanes_a, 0, a, kLanes);
    if (b != nullptr) CRYOLITH_SELECT(to_lanes)(images.data + next, width, width, lanes_b, 0, b, kLanes);
    filter.apply(worker, tilt, width, a, b);
    CRYOLITH_SELECT(from_lanes)(a, width, lanes_a, out.data + start, width);
    if (b != nullptr) CRYOLITH_SELECT(from_lanes)(b, width, lanes_b, out.data + next, width);
  });
}

void filtered_backproject(const Cpu& cpu, const ProjectionPlan& plan, RowFilter& filter, View3<const float> images,
                          View3<float> volume) {
  const auto stage = [&](int worker, index_t tilt, Range range, float* a, float* b) {
    const index_t skip = range.begin * kLanes;
    filter.apply(worker, tilt, range.end - range.begin, a + skip, b == nullptr ? nullptr : b + skip);
  };
  backproject(cpu, plan, images, volume, stage);
}

}  // namespace cryolith
