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
constexpr index_t kLeast = 16;                  // two passes of radix 4

// 4 first: fewest operations per sample.
std::vector<int> radices(index_t n) {
  require(n >= kLeast && n <= kLongest && n % kLeast == 0, "filter: found a length of ", n, ", expected a multiple of ",
          kLeast, " to ", kLongest);
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
  for (index_t n = (2 * count + kLeast - 1) / kLeast * kLeast;; n += kLeast) {
    index_t rest = n;
    for (index_t radix : {2, 3, 5})
      while (rest % radix == 0) rest /= radix;
    if (rest == 1) return n;
  }
}

FftLength::FftLength(index_t n) {
  const std::vector<int> order = radices(n);
  std::vector<float> roots(static_cast<std::size_t>(2 * n));
  for (index_t k = 0; k < n; ++k) {
    const double turn = -2.0 * std::numbers::pi * static_cast<double>(k) / static_cast<double>(n);
    roots[static_cast<std::size_t>(2 * k)] = static_cast<float>(std::cos(turn));
    roots[static_cast<std::size_t>(2 * k + 1)] = static_cast<float>(std::sin(turn));
  }
  index_t length = n;
  std::vector<std::size_t> first;
  for (int radix : order) {
    first.push_back(twiddles_.size());
    passes_.push_back({radix, static_cast<std::int32_t>(length), nullptr});
    for (index_t j = 0; j < length / radix; ++j)
      for (int q = 1; q < radix; ++q) {
        const auto root = roots.begin() + 2 * (j * q * (n / length) % n);
        twiddles_.insert(twiddles_.end(), root, root + 2);
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
  tables_ = {n, static_cast<std::int32_t>(passes_.size()), passes_.data(), frequency_.data()};
}

RowFilter::RowFilter(const std::vector<index_t>& lengths, View2<const float> gains, int workers)
    : lengths_(lengths), gains_(gains), work_(static_cast<std::size_t>(workers)) {
  require(gains.extent[0] == static_cast<index_t>(lengths.size()), "gains: found ", gains.extent[0], " rows, expected ",
          lengths.size());
  for (index_t n : lengths) {
    require(n / 2 + 1 <= gains.extent[1], "gains: found ", gains.extent[1], " frequencies, expected ", n / 2 + 1);
    if (!plans_.contains(n)) plans_.emplace(n, std::make_unique<FftLength>(n));
  }
}

void RowFilter::apply(int worker, index_t tilt, index_t count, float* a, float* b) {
  const FftTables& tables = plans_.at(lengths_[static_cast<std::size_t>(tilt)])->tables();
  Buffer<float>& work = work_[static_cast<std::size_t>(worker)];
  if (work.size() == 0) work = Buffer<float>(2 * kLanes * std::ranges::max(lengths_));
  require(2 * count <= tables.n, "filter: ", count, " samples need a longer transform than ", tables.n);
  CRYOLITH_SELECT(filter_rows)(tables, gains_.data + tilt * gains_.extent[1], count, a, b, work.data());
}

std::vector<index_t> filter_lengths(const ProjectionPlan& whole) {
  const ProjectionPlan& plan = whole.turned() != nullptr ? *whole.turned() : whole;  // whose rows the filter sees
  std::vector<index_t> lengths;
  for (index_t tilt = 0; tilt < plan.tilts(); ++tilt) {
    index_t longest = 1;
    for (index_t block = 0; block < plan.blocks(); block += 2) {
      const bool pair = block + 1 < plan.blocks();
      const Range r = united(plan.samples(tilt, block), pair ? plan.samples(tilt, block + 1) : Range{0, 0});
      longest = std::max(longest, r.end - r.begin);
    }
    lengths.push_back(filter_length(longest));
  }
  return lengths;
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
                          View3<float> volume, Precision precision) {
  const auto stage = [&](int worker, index_t tilt, Range range, float* a, float* b) {
    const index_t skip = range.begin * kLanes;
    filter.apply(worker, tilt, range.end - range.begin, a + skip, b == nullptr ? nullptr : b + skip);
  };
  backproject(cpu, plan, images, volume, stage, precision);
}

}  // namespace cryolith
