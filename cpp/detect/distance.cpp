// SPDX-License-Identifier: BSD-3-Clause
#include "detect/distance.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include "detect/distance_scratch.hpp"

namespace cryolith::detect {
namespace {

// Near searches look at (kNear + 1)^2 times the square of an edge, which has to fit into 16 bits.
constexpr double kLargestWhole = 32;

DistancePlan plan_of(index_t ny, index_t nx, Kind kind, const DistanceOptions& options) {
  DistancePlan plan{};
  plan.ny = ny;
  plan.nx = nx;
  plan.kind = kind;
  plan.border = options.border;
  plan.negate = options.all_labels;
  const double unit = *std::min_element(options.spacing, options.spacing + 3);
  plan.unit = static_cast<float>(unit);
  bool whole = true;
  for (int i = 0; i < 3; ++i) {
    require(options.spacing[i] > 0 && std::isfinite(options.spacing[i]), "spacing: found ", options.spacing[i],
            ", expected a positive length");
    const double ratio = options.spacing[i] / unit, square = ratio * ratio;
    require(ratio < 1e6, "spacing: found edges in a ratio of ", ratio, ", expected at most 1e6");
    // Ratios such as 0.68 / 0.34 are whole but for the rounding of the decimals.
    const bool exact = std::abs(square - std::round(square)) < 1e-12 * square;
    plan.square[i] = static_cast<float>(exact ? std::round(square) : square);
    whole = whole && exact && square < kLargestWhole + 0.5;
  }
  for (int i = 0; i < 3; ++i) plan.whole[i] = whole ? static_cast<std::uint16_t>(plan.square[i]) : std::uint16_t{0};
  return plan;
}

}  // namespace

template <class Value>
DistancePlan distance_plan(const index_t* extent, const DistanceOptions& options) {
  for (int i = 0; i < 3; ++i)
    require(extent[i] > 0 && extent[i] < kNoEnd, "shape: found ", extent[i], " along axis ", i, ", expected 1 to ",
            kNoEnd - 1);
  const Kind kind = options.all_labels ? Kind::all_labels : sizeof(Value) == 1 ? Kind::mask : Kind::labels;
  return plan_of(extent[1], extent[2], kind, options);
}

template <class Value>
DistanceSlabs<Value>::DistanceSlabs(index_t nz, index_t ny, index_t nx, const DistanceOptions& options)
    : extent_{nz, ny, nx}, plan_(distance_plan<Value>(extent_, options)) {
  scanned_ = Buffer<std::uint8_t>(slabs());
  upper_ = Buffer<std::uint8_t>(slabs() * plane());
  lower_ = Buffer<std::uint8_t>(slabs() * plane());
  if (labelled()) {
    first_ = Buffer<Value>(slabs() * plane());
    last_ = Buffer<Value>(slabs() * plane());
  }
}

template <class Value>
void DistanceSlabs<Value>::check(index_t first, const index_t* extent) const {
  require(first >= 0 && first % kSlab == 0 && first < extent_[0], "first: found ", first, ", expected a multiple of ",
          kSlab, " below ", extent_[0]);
  require(extent[1] == extent_[1] && extent[2] == extent_[2], "slab: found slices of ", extent[1], " x ", extent[2],
          ", expected ", extent_[1], " x ", extent_[2]);
  const index_t end = first + extent[0];
  require(extent[0] > 0 && end <= extent_[0] && (end % kSlab == 0 || end == extent_[0]), "slab: found ", extent[0],
          " slices from ", first, ", expected a multiple of ", kSlab, " or all up to ", extent_[0]);
}

template <class Value>
void DistanceSlabs<Value>::scan(const Cpu& cpu, index_t first, View3<const Value> values) {
  check(first, values.extent);
  require(!joined_, "scan: found a slab after the first one was finished, expected all slabs scanned before");
  const index_t count = (values.extent[0] + kSlab - 1) / kSlab;
  parallel_for(cpu, count, [&](index_t i, int) { scan_slab(first / kSlab + i, values.data + i * kSlab * plane()); });
}

template <class Value>
void DistanceSlabs<Value>::scan_slab(index_t slab, const Value* values) {
  const index_t d = depth(slab), at = slab * plane();
  scanned_[slab] = 1;
  for (index_t y = 0; y < extent_[1]; ++y) {
    const index_t row = y * extent_[2];
    CRYOLITH_SELECT(slab_runs)
    (plan_.kind, static_cast<int>(sizeof(Value)), values + row, plane(), extent_[2], d, upper_.data() + at + row,
     lower_.data() + at + row);
  }
  if (!labelled()) return;
  const std::size_t bytes = static_cast<std::size_t>(plane()) * sizeof(Value);
  std::memcpy(first_.data() + at, values, bytes);
  std::memcpy(last_.data() + at, values + (d - 1) * plane(), bytes);
}

// What is known of a slice outside of the volume next to a voxel of `value`.
template <class Value>
std::uint16_t DistanceSlabs<Value>::beyond(Value value) const {
  return plan_.border && (plan_.kind != Kind::all_labels || value != 0) ? std::uint16_t{0} : kNoEnd;
}

template <class Value>
void DistanceSlabs<Value>::join_row(index_t y) {
  const index_t nx = extent_[2], last = slabs() - 1;
  const auto outside = [&](const Buffer<Value>& values, index_t at) {
    return labelled() ? beyond(values[at]) : beyond(Value{1});
  };
  // A slab that is one run through and through carries on what came before it.
  const auto carried = [](std::uint8_t run, index_t d, std::uint16_t before, bool same) {
    if (run < d) return std::uint16_t{run};
    if (!same) return static_cast<std::uint16_t>(d);
    return static_cast<std::uint16_t>(std::min<index_t>(kNoEnd, before + d));
  };
  const index_t low = y * nx, high = last * plane() + y * nx;
  for (index_t x = 0; x < nx; ++x) {
    before_[low + x] = outside(first_, low + x);
    after_[high + x] = outside(last_, high + x);
  }
  for (index_t slab = 1; slab <= last; ++slab)
    for (index_t at = (slab - 1) * plane() + low, x = 0; x < nx; ++x, ++at) {
      const bool same = !labelled() || slab == 1 || first_[at] == last_[at - plane()];
      before_[at + plane()] = carried(lower_[at], depth(slab - 1), before_[at], same);
    }
  for (index_t slab = last - 1; slab >= 0; --slab)
    for (index_t at = (slab + 1) * plane() + low, x = 0; x < nx; ++x, ++at) {
      const bool same = !labelled() || slab == last - 1 || last_[at] == first_[at + plane()];
      after_[at - plane()] = carried(upper_[at], depth(slab + 1), after_[at], same);
    }
}

template <class Value>
void DistanceSlabs<Value>::join(const Cpu& cpu) {
  for (index_t slab = 0; slab < slabs(); ++slab)
    require(scanned_[slab] != 0, "finish: found slices from ", slab * kSlab, " on that were not scanned, expected all");
  before_ = Buffer<std::uint16_t>(slabs() * plane());
  after_ = Buffer<std::uint16_t>(slabs() * plane());
  parallel_for(cpu, extent_[1], [&](index_t y, int) { join_row(y); });
  upper_ = Buffer<std::uint8_t>();
  lower_ = Buffer<std::uint8_t>();
  joined_ = true;
}

template <class Value>
SlabEnds DistanceSlabs<Value>::ends(index_t slab) const {
  const index_t at = slab * plane();
  SlabEnds ends{before_.data() + at, after_.data() + at, nullptr, nullptr};
  if (!labelled()) return ends;
  ends.last = slab > 0 ? last_.data() + at - plane() : first_.data() + at;
  ends.first = slab + 1 < slabs() ? first_.data() + at + plane() : last_.data() + at;
  return ends;
}

template <class Value>
void DistanceSlabs<Value>::finish(const Cpu& cpu, index_t first, View3<const Value> values, View3<float> out) {
  check(first, values.extent);
  for (int i = 0; i < 3; ++i)
    require(out.extent[i] == values.extent[i], "out: found ", out.extent[i], " elements along axis ", i, ", expected ",
            values.extent[i], " as in the slab");
  if (!joined_) join(cpu);
  struct Worker {
    Buffer<float> scratch;
    bool squares16 = true;
  };
  std::vector<Worker> workers(static_cast<std::size_t>(resolve_threads(cpu)));
  const index_t bytes = SlabScratch<float>::lay(extent_[1], extent_[2], nullptr).bytes;
  const index_t count = (values.extent[0] + kSlab - 1) / kSlab;
  parallel_for(cpu, count, [&](index_t i, int worker) {
    Worker& own = workers[static_cast<std::size_t>(worker)];
    if (own.scratch.size() == 0) own.scratch = Buffer<float>(bytes / 4);
    const index_t slab = first / kSlab + i, at = i * kSlab * plane();
    // Both kinds of squares give the same distances: which is tried first is a matter of speed alone.
    const bool squares16 = plan_.whole[0] != 0 && own.squares16;
    own.squares16 = CRYOLITH_SELECT(finish_slab)(plan_, static_cast<int>(sizeof(Value)), values.data + at, depth(slab),
                                                 ends(slab), squares16, own.scratch.data(), out.data + at);
  });
}

template <class Value>
void distance(const Cpu& cpu, View3<const Value> values, const DistanceOptions& options, View3<float> out) {
  DistanceSlabs<Value> slabs(values.extent[0], values.extent[1], values.extent[2], options);
  slabs.scan(cpu, 0, values);
  slabs.finish(cpu, 0, values, out);
}

template DistancePlan distance_plan<std::uint8_t>(const index_t*, const DistanceOptions&);
template DistancePlan distance_plan<std::int32_t>(const index_t*, const DistanceOptions&);
template class DistanceSlabs<std::uint8_t>;
template class DistanceSlabs<std::int32_t>;
template void distance(const Cpu&, View3<const std::uint8_t>, const DistanceOptions&, View3<float>);
template void distance(const Cpu&, View3<const std::int32_t>, const DistanceOptions&, View3<float>);

}  // namespace cryolith::detect
