// SPDX-License-Identifier: BSD-3-Clause
#include "detect/trace_branches.hpp"

#include "core/buffer.hpp"
#include "detect/neighbourhood.hpp"

namespace cryolith::detect {
namespace {

class Tracer {
 public:
  explicit Tracer(View3<const std::uint8_t> skeleton)
      : extent_{skeleton.extent[0], skeleton.extent[1], skeleton.extent[2]},
        lines_(skeleton.extent),
        node_(skeleton.size()) {
    for (index_t i = 0; i < skeleton.size(); ++i)
      if (skeleton.data[i] != 0) {
        voxels_.push_back(i);
        lines_.set(i / extent_[2] / extent_[1], i / extent_[2] % extent_[1], i % extent_[2]);
      }
  }

  BranchTrace run() {
    out_.first.push_back(0);
    out_.node_first.push_back(0);
    for (index_t i : voxels_)
      if (node_[i] == 0 && count(i) != 2) gather(i);
    for (std::size_t k = 0; k < out_.node_places.size(); ++k) leave(out_.node_places[k]);
    for (index_t i : voxels_)
      if (node_[i] == 0) {  // a loop
        gather(i);
        leave(i);
      }
    return std::move(out_);
  }

 private:
  static constexpr std::int32_t kWalked = -1;

  Cube around(index_t i) const {
    return lines_.around(i / extent_[2] / extent_[1], i / extent_[2] % extent_[1], i % extent_[2]) & ~kCentre;
  }
  int count(index_t i) const { return std::popcount(around(i)); }
  index_t beside(index_t i, Cube bits) const {
    const int bit = std::countr_zero(bits);
    return i + ((bit / 9 - 1) * extent_[1] + bit / 3 % 3 - 1) * extent_[2] + bit % 3 - 1;
  }

  // Makes a node of a voxel, and of all with three or more neighbours that are joined to it if it is one of those.
  void gather(index_t i) {
    const auto number = static_cast<std::int32_t>(out_.node_first.size());
    const auto from = out_.node_places.size();
    node_[i] = number;
    out_.node_places.push_back(i);
    for (std::size_t k = from; k < out_.node_places.size(); ++k) {
      if (count(out_.node_places[k]) < 3) continue;
      for (Cube left = around(out_.node_places[k]); left != 0; left &= left - 1) {
        const index_t to = beside(out_.node_places[k], left);
        if (node_[to] != 0 || count(to) < 3) continue;
        node_[to] = number;
        out_.node_places.push_back(to);
      }
    }
    out_.node_first.push_back(static_cast<index_t>(out_.node_places.size()));
  }

  // Walks all branches that leave a voxel of a node and were not walked from their other end.
  void leave(index_t i) {
    for (Cube left = around(i); left != 0; left &= left - 1) {
      index_t before = i, to = beside(i, left);
      if (node_[to] == kWalked || (node_[to] > 0 && node_[to] <= node_[i])) continue;
      out_.places.push_back(i);
      while (node_[to] == 0) {
        node_[to] = kWalked;
        out_.places.push_back(to);
        const Cube both = around(to);
        const index_t one = beside(to, both);
        const index_t next = one != before ? one : beside(to, both & (both - 1));
        before = to;
        to = next;
      }
      out_.places.push_back(to);
      out_.first.push_back(static_cast<index_t>(out_.places.size()));
      out_.start.push_back(node_[i]);
      out_.end.push_back(node_[to]);
    }
  }

  index_t extent_[3];
  BitCube lines_;
  Buffer<std::int32_t> node_;  // of each voxel: 0 for none yet
  std::vector<index_t> voxels_;
  BranchTrace out_;
};

}  // namespace

BranchTrace trace_branches(View3<const std::uint8_t> skeleton) { return Tracer(skeleton).run(); }

}  // namespace cryolith::detect
