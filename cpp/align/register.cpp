// SPDX-License-Identifier: BSD-3-Clause
#include "align/register.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <mutex>

#include "align/overlap.hpp"
#include "align/search.hpp"
#include "align/weights.hpp"

namespace cryolith {
namespace {

constexpr double kTop = 0.45;         // cycles/px; beyond, interpolation and aliasing of real images spoil the phase
constexpr double kStandsOut = 1.3;    // the search's maximum over the next, or it is repeated on finer images
constexpr index_t kSearchEdge = 256;  // px that the first search leaves of the shorter edge
constexpr index_t kMostBinned = 4;    // more would blur what tells one electron per pixel apart
constexpr int kPolishRounds = 2;      // weights at the shift found, shift with those weights
constexpr int kPlaces = 3;            // windows are put on the overlap at most so often
constexpr double kMargin = 1.3;       // the second round looks a little beyond the frequencies the first one used
// What is left of an error of the windows' place in the shift found under them: 0.08 of it for 512 px; the border's
// part of an image goes as 1 / edge. Not more than 0.2.
constexpr double kPullPx = 40, kMostPull = 0.2;

// What all pairs share: plans and tables, made once. Finer searches only when a pair needs one.
class Shared {
 public:
  Shared(index_t ny_, index_t nx_, double max_shift)
      : ny(ny_),
        nx(nx_),
        band(fft::good_size(ny_), fft::good_size(nx_), kTop),
        plan(std::vector<index_t>{band.py, band.px}, 2, fft::Kind::real),
        max_shift_(max_shift) {
    for (index_t b = kMostBinned; b >= 1; b /= 2)
      if (b == 1 || std::min(ny, nx) / b >= kSearchEdge) binnings_.push_back(b);
  }
  index_t first_binning() const { return binnings_[0]; }
  std::size_t searches() const { return binnings_.size(); }
  const Search& search(std::size_t level) const {
    const std::lock_guard lock(mutex_);
    if (!made_[level]) made_[level] = std::make_unique<Search>(ny, nx, binnings_[level], max_shift_);
    return *made_[level];
  }

  index_t ny, nx;
  Band band;
  fft::Plan plan;

 private:
  double max_shift_;
  std::vector<index_t> binnings_;
  mutable std::mutex mutex_;
  mutable std::unique_ptr<Search> made_[3];
};

class Pair {
 public:
  Pair(const Shared& shared, const float* a, const float* b) : shared_(shared) {
    for (const float* image : {a, b}) frames_.push_back(look({image, {shared.ny, shared.nx}}, shared.first_binning()));
    stabilise_ = frames_[0].counts && frames_[1].counts;
    const Band& band = shared.band;
    padded_ = std::make_unique_for_overwrite<float[]>(static_cast<std::size_t>(band.py * band.px));
    half_ =
        std::make_unique_for_overwrite<std::complex<float>[]>(static_cast<std::size_t>(band.py * (band.px / 2 + 1)));
  }

  void run(double* out) {
    std::fill(out, out + kRegisterColumns, 0.0);
    const Peaks peaks = find();
    if (flat_) {
      out[kVarRow] = out[kVarColumn] = std::numeric_limits<double>::infinity();
      return;
    }
    shift_ = peaks.shift[0];
    const double pull = std::min(kMostPull, kPullPx / static_cast<double>(std::min(shared_.ny, shared_.nx)));
    for (int place = 0; place < kPlaces; ++place) {
      const Vec2 before = shift_;
      out[kPlaceRow] = before.y, out[kPlaceColumn] = before.x;
      load();
      for (int round = 0; round < kPolishRounds; ++round) polish();
      const double moved = std::hypot(shift_.y - before.y, shift_.x - before.x);
      if (!(pull * moved > 0.1 * std::sqrt(covariance_.yy + covariance_.xx))) break;
    }
    out[kShiftRow] = shift_.y, out[kShiftColumn] = shift_.x;
    out[kVarRow] = covariance_.yy, out[kVarColumn] = covariance_.xx, out[kCovariance] = covariance_.yx;
    out[kPeak] = score_;
    for (int k = 1; k < peaks.count; ++k) {
      double* to = out + kRunnerUp + 3 * (k - 1);
      to[0] = peaks.height[k] / peaks.height[0], to[1] = peaks.shift[k].y, to[2] = peaks.shift[k].x;
    }
  }

 private:
  Peaks find() {
    Peaks peaks;
    for (std::size_t level = 0; level < shared_.searches(); ++level) {
      const Search& search = shared_.search(level);
      Search::Scratch scratch;
      CoarseFrame coarse[2];
      for (std::size_t i = 0; i < 2; ++i) {
        if (level > 0) bin(frames_[i], search.binning());
        search.load(frames_[i], scratch, coarse[i]);
      }
      flat_ = coarse[0].flat || coarse[1].flat;
      peaks = search.correlate(coarse[0], coarse[1], scratch);
      if (peaks.count == 1 || (peaks.count > 1 && peaks.height[0] > kStandsOut * peaks.height[1])) break;
    }
    return peaks;
  }

  void load() {
    const Overlap overlap(shared_.ny, shared_.nx, {Vec2{}, shift_});
    const std::vector<float> weight = overlap.weight({&frames_[0], &frames_[1]});
    whole_ = overlap.whole(1);
    const Band& band = shared_.band;
    top_ = kMargin;
    for (std::size_t i = 0; i < 2; ++i) {
      Patch patch = overlap.patch(i);
      if (!weight.empty()) patch.weight = weight.data();
      independent_ = window_patch(frames_[i], patch, stabilise_, band.py, band.px, padded_.get());
      shared_.plan.forward(Cpu{1, nullptr, {}}, padded_.get(), half_.get(), fft_);
      spectra_[i].crop(band, half_.get());
    }
  }

  void polish() {
    const Band& band = shared_.band;
    const Vec2 part{shift_.y - whole_.y, shift_.x - whole_.x};
    const RingSums sums = ring_sums(Part(band, top_), spectra_[0], spectra_[1], part);
    std::vector<double> power = smoothed_means(band, sums.aa);
    const std::vector<double> other = smoothed_means(band, sums.bb);
    for (std::size_t r = 0; r < power.size(); ++r) power[r] = std::sqrt(power[r] * other[r]);
    const RingWeights w = ring_weights(band, power, sums.ab, 2, independent_, top_ / kMargin);
    const Part used(band, w.top);
    weighted_cross(used, spectra_[0], spectra_[1], w.weight, cross_);
    const Top top = correlation_top(used, cross_, part);
    double ab = 0, aa = 0, bb = 0;
    for (std::size_t r = 0; r < power.size(); ++r) {
      const auto weight = static_cast<double>(w.weight[r]);
      ab += weight * sums.ab[r], aa += weight * sums.aa[r], bb += weight * sums.bb[r];
    }
    score_ = aa > 0 && bb > 0 ? ab / std::sqrt(aa * bb) : 0;
    if (!top.found) {
      constexpr double none = std::numeric_limits<double>::infinity();
      covariance_ = {none, 0, none};
      return;
    }
    shift_ = {top.shift.y + whole_.y, top.shift.x + whole_.x};
    const double scale = w.scale * w.certain * independent_;
    covariance_ = sandwich({scale * top.bend.yy, scale * top.bend.yx, scale * top.bend.xx},
                           independent_ * fisher(band, slope_variance(band, w, sums)));
    top_ = kMargin * w.top;
  }

  const Shared& shared_;
  std::vector<Frame> frames_;
  bool stabilise_, flat_ = false;
  Vec2 shift_, whole_;
  Sym2 covariance_;
  double score_ = 0, independent_ = 1, top_ = kMargin;
  std::unique_ptr<float[]> padded_;
  std::unique_ptr<std::complex<float>[]> half_;
  Spectrum spectra_[2], cross_;
  fft::Workspace fft_;
};

}  // namespace

void register_pairs(const Cpu& cpu, View3<const float> reference, View3<const float> moving, double max_shift,
                    View2<double> out) {
  const index_t n = reference.extent[0], ny = reference.extent[1], nx = reference.extent[2];
  require(moving.extent[0] == n && moving.extent[1] == ny && moving.extent[2] == nx, "moving: found shape (",
          moving.extent[0], ", ", moving.extent[1], ", ", moving.extent[2], "), expected (", n, ", ", ny, ", ", nx,
          ")");
  require(ny >= 4 && nx >= 4, "reference: found ", ny, " x ", nx, " pixels, expected at least 4 x 4");
  require(out.extent[0] == n && out.extent[1] == kRegisterColumns, "out: found shape (", out.extent[0], ", ",
          out.extent[1], "), expected (", n, ", ", static_cast<int>(kRegisterColumns), ")");
  require(max_shift >= 0, "max_shift: found ", max_shift, " px, expected at least 0");
  const double reach = max_shift > 0 ? max_shift : static_cast<double>(std::min(ny, nx)) / 2;
  const Shared shared(ny, nx, reach);
  parallel_for(cpu, n, [&](index_t i, int) {
    Pair pair(shared, reference.data + i * ny * nx, moving.data + i * ny * nx);
    pair.run(out.data + i * kRegisterColumns);
  });
}

}  // namespace cryolith
