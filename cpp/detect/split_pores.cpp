// SPDX-License-Identifier: BSD-3-Clause
#include "detect/split_pores.hpp"

#include <algorithm>

#include "core/buffer.hpp"
#include "detect/by_distance.hpp"

namespace cryolith::detect {
namespace {

constexpr index_t kWatch = index_t{1} << 18;  // voxels between two looks at the caller

class Split {
 public:
  Split(const Cpu& cpu, View3<const float> distance, View3<const std::uint8_t> mask, View3<std::int32_t> labels)
      : cpu_(cpu), mask_(mask), labels_(labels), order_(by_distance(distance, mask)) {
    std::fill(labels.data, labels.data + labels.size(), 0);
  }

  // Basins of all maxima, merged where the lower one hardly stands out.
  void merge(double least, double share) {
    for (std::size_t k = order_.size(); k-- > 0;) {
      watch();
      const float level = order_[k].distance;
      const index_t at = order_[k].at;
      std::int32_t own = 0;
      for_faces(at, [&](index_t to) {
        if (labels_.data[to] == 0) return;
        std::int32_t other = root(labels_.data[to]);
        if (own == 0 || own == other) {
          own = other;
          return;
        }
        if (higher(other, own)) std::swap(own, other);
        const double top = static_cast<double>(basin(other).level);
        if (top - static_cast<double>(level) <= std::max(least, share * top)) basin(other).parent = own;
      });
      if (own == 0) {
        basins_.push_back({level, at, 0});
        own = basin(static_cast<std::int32_t>(basins_.size())).parent = static_cast<std::int32_t>(basins_.size());
      }
      labels_.data[at] = own;
    }
  }

  std::vector<index_t> peaks() {
    std::vector<index_t> out;
    for (std::size_t k = 0; k < basins_.size(); ++k)
      if (basins_[k].parent == static_cast<std::int32_t>(k + 1)) out.push_back(basins_[k].at);
    std::sort(out.begin(), out.end());
    return out;
  }

  void flood(const std::vector<index_t>& peaks) {
    std::fill(labels_.data, labels_.data + labels_.size(), 0);
    number_levels();
    for (std::size_t k = 0; k < peaks.size(); ++k) reach(peaks[k], static_cast<std::int32_t>(k + 1), count_ - 1);
    for (std::int32_t level = count_; level-- > 0;) {
      auto& queue = queues_[static_cast<std::size_t>(level)];
      for (std::size_t k = 0; k < queue.size(); ++k) {  // grows meanwhile
        watch();
        const std::int32_t own = labels_.data[queue[k]];
        for_faces(queue[k], [&](index_t to) { reach(to, own, level); });
      }
      queue = {};
    }
  }

 private:
  struct Basin {
    float level;
    index_t at;
    std::int32_t parent;
  };

  template <class Visit>
  void for_faces(index_t at, const Visit& visit) const {
    const index_t ny = mask_.extent[1], nx = mask_.extent[2];
    const index_t z = at / nx / ny, y = at / nx % ny, x = at % nx;
    const auto step = [&](bool there, index_t to) {
      if (there && mask_.data[to] != 0) visit(to);
    };
    step(z > 0, at - nx * ny);
    step(y > 0, at - nx);
    step(x > 0, at - 1);
    step(x + 1 < nx, at + 1);
    step(y + 1 < ny, at + nx);
    step(z + 1 < mask_.extent[0], at + nx * ny);
  }

  Basin& basin(std::int32_t number) { return basins_[static_cast<std::size_t>(number - 1)]; }
  std::int32_t root(std::int32_t number) {
    while (basin(number).parent != number)
      number = basin(number).parent = basin(basin(number).parent).parent;  // halves the way
    return number;
  }
  bool higher(std::int32_t a, std::int32_t b) {
    return basin(a).level != basin(b).level ? basin(a).level > basin(b).level : basin(a).at < basin(b).at;
  }

  void number_levels() {
    rank_ = Buffer<std::int32_t>(mask_.size());
    count_ = 0;
    for (std::size_t k = 0; k < order_.size(); ++k) {
      if (k == 0 || order_[k].distance != order_[k - 1].distance) ++count_;
      rank_[order_[k].at] = count_ - 1;
    }
    queues_.resize(static_cast<std::size_t>(count_));
  }
  void reach(index_t at, std::int32_t own, std::int32_t level) {
    if (labels_.data[at] != 0) return;
    labels_.data[at] = own;
    queues_[static_cast<std::size_t>(std::min(rank_[at], level))].push_back(at);
  }

  void watch() {
    if (++looked_ % kWatch != 0) return;
    if (cpu_.cancel && cpu_.cancel->cancelled()) throw Cancelled();
    if (cpu_.poll) cpu_.poll();
  }

  const Cpu& cpu_;
  View3<const std::uint8_t> mask_;
  View3<std::int32_t> labels_;
  std::vector<Ordered> order_;
  std::vector<Basin> basins_;
  Buffer<std::int32_t> rank_;
  std::vector<std::vector<index_t>> queues_;
  std::int32_t count_ = 0;
  index_t looked_ = 0;
};

}  // namespace

std::vector<index_t> split_pores(const Cpu& cpu, View3<const float> distance, View3<const std::uint8_t> mask,
                                 double least, double share, View3<std::int32_t> labels) {
  for (int i = 0; i < 3; ++i)
    require(distance.extent[i] == mask.extent[i] && distance.extent[i] == labels.extent[i], "mask, labels: found ",
            mask.extent[i], " and ", labels.extent[i], " elements along axis ", i, ", expected ", distance.extent[i],
            " as in distance");
  if (cpu.cancel && cpu.cancel->cancelled()) throw Cancelled();
  Split split(cpu, distance, mask, labels);
  split.merge(least, share);
  std::vector<index_t> peaks = split.peaks();
  split.flood(peaks);
  return peaks;
}

}  // namespace cryolith::detect
