// SPDX-License-Identifier: BSD-3-Clause
#include "core/fft_band.hpp"

#include <algorithm>

#include "core/fft_plan.hpp"

namespace cryolith::fft {

struct BandPlan::Tables {
  Rows<float> rows;
  Lanes<float> columns;
  std::size_t part;
};

BandPlan::BandPlan(index_t py, index_t px)
    : py_(py), px_(px), lanes_(kernels<float>().lanes), all_(rounded(px / 2 + 1)) {
  require(py >= 1 && px >= 1 && py <= index_t{1} << 30 && px <= index_t{1} << 30, "shape: found ", py, " x ", px,
          ", expected extents of 1 to 2^30");
  Rows<float> rows(px, true);
  Lanes<float> axis(py);
  const std::size_t part = scratch_bytes<float>(std::max(rows.work(), axis.table().work));
  tables_ = std::make_unique<Tables>(Tables{std::move(rows), std::move(axis), part});
}

BandPlan::~BandPlan() = default;

index_t BandPlan::group() const { return tables_->rows.group(); }

BandPlan::Scratch::Scratch(const BandPlan& plan)
    : rows_(static_cast<std::size_t>(plan.group() * plan.px_)),
      spectra_(static_cast<std::size_t>(2 * plan.group() * plan.all_)),
      px_(plan.px_) {}

fft::Scratch<float> BandPlan::arrays(Workspace& ws) const {
  const std::size_t part = tables_->part;
  char* base = static_cast<char*>(ws.reserve(3 * part));
  const auto at = [&](std::size_t k) { return reinterpret_cast<float*>(base + k * part); };
  return {at(0), at(1), at(2)};
}

void BandPlan::rows(index_t first, index_t count, index_t n, Scratch& scratch, const LaneColumns& to) const {
  float* spectra = scratch.spectra_.data();
  tables_->rows.run({scratch.rows_.data(), px_, spectra, 2 * all_, 0, count, false, 1}, arrays(scratch.work_));
  const auto pack = CRYOLITH_SELECT(row_to_lanes);
  for (index_t k = 0; k < count; ++k) pack(spectra + 2 * k * all_, rounded(n) / lanes_, first + k, to);
}

void BandPlan::add_cross(const Scratch& a, const Scratch& b, index_t k, index_t from, float* sums) const {
  const index_t at = 2 * (k * all_ + from);
  CRYOLITH_SELECT(add_cross)(a.spectra_.data() + at, b.spectra_.data() + at, all_ - from, sums);
}

void BandPlan::columns(index_t n, index_t rows, Scratch& scratch, const LaneColumns& data) const {
  const fft::Scratch<float> s = arrays(scratch.work_);
  const auto one = CRYOLITH_SELECT(lane_columns);
  for (index_t b = 0; b < rounded(n) / lanes_; ++b) one(tables_->columns.table(), rows, data.data + b * data.block, s);
}

void BandPlan::planar(const LaneColumns& from, index_t n, index_t i, float* re, float* im) {
  CRYOLITH_SELECT(lanes_to_planar)(from, n, i, re, im);
}

void BandPlan::add_cross(const LaneColumns& a, const LaneColumns& b, index_t n, index_t i, float* sums) {
  CRYOLITH_SELECT(add_lane_cross)(a, b, n, i, sums);
}

}  // namespace cryolith::fft
