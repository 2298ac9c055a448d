// SPDX-License-Identifier: BSD-3-Clause
#include "align/register.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <mutex>
#include <numbers>
#include <utility>

#include "align/pair_images.hpp"
#include "align/weights.hpp"

namespace cryolith {
namespace {

constexpr double kStandsOut = 1.3;    // the search's maximum over the next, or it is repeated on finer images
constexpr index_t kSearchEdge = 256;  // px that the first search leaves of the shorter edge
constexpr index_t kMostBinned = 4;    // more would blur what tells one electron per pixel apart
constexpr int kPolishRounds = 2;      // weights at the shift found, shift with those weights; one more from a search
constexpr int kPlaces = 8;            // windows are put on the overlap at most so often
constexpr double kStill = 0.01;       // cycles of the highest frequency: a step after which weights stay as they are
constexpr double kMargin = 1.2;       // spectra reach a little beyond the frequencies at which images agree
constexpr double kMuchMore = 1.5;     // times what did not suffice
constexpr double kLeastRatio = 0.02;  // signal to noise of rings of large images that are still of some weight
constexpr double kLeastFall = 1, kMostFall = 6;  // of that ratio with a power of the frequency
// What is left of an error of the windows' place in the shift found under them: 0.08 of it for 512 px; the border's
// part of an image goes as 1 / edge. Of small smooth images without noise up to 0.9, which two places tell.
constexpr double kPullPx = 40, kLikelyPull = 0.2, kMostPull = 0.9;

// What all pairs share: plans and tables, made once. Finer searches only when a pair needs one.
class Shared {
 public:
  Shared(index_t ny, index_t nx, double max_shift) : fine(ny, nx), max_shift_(max_shift) {
    for (index_t b = kMostBinned; b >= 1; b /= 2)
      if (b == 1 || std::min(ny, nx) / b >= kSearchEdge) binnings_.push_back(b);
    if (binnings_[0] > 1) coarse = std::make_unique<PairPlan>(ny / binnings_[0], nx / binnings_[0]);
  }
  index_t first_binning() const { return binnings_[0]; }
  std::size_t searches() const { return binnings_.size(); }
  const Search& search(std::size_t level) const {
    const std::lock_guard lock(mutex_);
    if (!made_[level]) made_[level] = std::make_unique<Search>(fine.ny, fine.nx, binnings_[level], max_shift_);
    return *made_[level];
  }

  PairPlan fine;
  std::unique_ptr<PairPlan> coarse;  // of images binned as for the first search, if they are

 private:
  double max_shift_;
  std::vector<index_t> binnings_;
  mutable std::mutex mutex_;
  mutable std::unique_ptr<Search> made_[3];
};

// The shift of two images of which it is known to a few pixels.
class Polish {
 public:
  Polish(const PairPlan& plan, PairSpectra& spectra) : plan_(plan), spectra_(spectra) {}

  // Puts windows on the overlap that `start` leaves, at most `places` times; tries frequencies up to `reach` first.
  // `searched`: the start is that of a search, too rough for the images to agree beyond the lowest frequencies.
  void run(const Vec2& start, bool searched, double reach, int places) {
    double pull = std::min(kLikelyPull, kPullPx / static_cast<double>(std::min(plan_.ny, plan_.nx)));
    Vec2 next = start, last_shift, last_place;
    for (int k = 0; k < places; ++k) {
      shift = place = next;
      const Overlap overlap(plan_.ny, plan_.nx, {Vec2{}, place});
      whole_ = overlap.whole(1);
      // A step with all frequencies at which the images agree, and as many more as are needed to see that.
      for (double wanted = reach; wanted > 0;) {
        reach = wanted;
        spectra_.load(overlap, reach);
        wanted = agree(searched);
      }
      for (int round = searched ? 0 : 1; round < kPolishRounds && (round == 0 || top * moved_ > kStill); ++round)
        step(weigh());
      searched = false;
      // The place at which shift and place would be the same, as two places tell it (secant).
      if (k > 0)
        pull =
            pull_of({shift.y - last_shift.y, shift.x - last_shift.x}, {place.y - last_place.y, place.x - last_place.x});
      const double more = pull / (1 - pull);
      const Vec2 left{more * (shift.y - place.y), more * (shift.x - place.x)};
      if (!(std::hypot(left.y, left.x) > 0.1 * std::sqrt(covariance.yy + covariance.xx))) break;
      next = k > 0 ? Vec2{shift.y + left.y, shift.x + left.x} : shift;
      last_shift = shift, last_place = place;
    }
  }
  // Frequency up to which these images would be of use were they not binned: the ratio of signal to noise goes on
  // falling as it does below the highest ring, when the part that a mean over some pixels has taken is given back.
  double likely_reach() const {
    if (!(top > 0)) return 1;
    const auto whole = [](double ratio, double f) {
      const double blur = std::sin(std::numbers::pi * f) / (std::numbers::pi * f);
      return ratio / (blur * blur);
    };
    const double ratio = whole(ratio_, top), lower = whole(lower_ratio_, kLower * top);
    const double fall = std::clamp(std::log(lower / ratio) / -std::log(kLower), kLeastFall, kMostFall);
    return kMargin * top * std::pow(std::max(1.0, ratio / kLeastRatio), 1 / fall);
  }

  Vec2 shift, place;
  Sym2 covariance;
  double score = 0, top = 0;  // top: highest frequency of any weight

 private:
  // The part of the windows' move that the shift followed.
  static double pull_of(const Vec2& shift, const Vec2& place) {
    const double square = place.y * place.y + place.x * place.x;
    return square > 0 ? std::clamp((shift.y * place.y + shift.x * place.x) / square, 0.0, kMostPull) : 0;
  }
  Vec2 part() const { return {shift.y - whole_.y, shift.x - whole_.x}; }

  // A step with all frequencies at hand; returns up to where more are needed, 0: they are enough.
  double agree(bool searched) {
    const RingWeights w = weigh(searched);
    const double had = static_cast<double>(spectra_.band().columns) / static_cast<double>(plan_.px);
    if (!spectra_.whole() && kMargin * w.top > had) return kMuchMore * had;
    step(w);
    return spectra_.whole() ? 0 : kMargin * spectra_.agree_beyond(part());
  }

  // Where the images are not yet in place, their common power is taken to be all that is above the noise, which is the
  // mean of the highest third of the frequencies.
  RingWeights weigh(bool searched = false) {
    const Band& band = spectra_.band();
    sums_ = spectra_.sums(part());
    std::vector<double> power = sums_.aa;
    for (std::size_t r = 0; r < power.size(); ++r) power[r] = std::sqrt(power[r] * sums_.bb[r]);
    if (searched) {
      double noise = 0, count = 0;
      for (std::size_t r = power.size() - power.size() / 3; r < power.size(); ++r)
        noise += power[r], count += band.counts[r];
      for (std::size_t r = 0; r < power.size(); ++r) sums_.ab[r] = power[r] - noise / count * band.counts[r];
    }
    return ring_weights(band, power, sums_.ab, 2, spectra_.independent());
  }

  void step(const RingWeights& w) {
    const Band& band = spectra_.band();
    const double independent = spectra_.independent();
    const Top found = spectra_.maximum(w, part());
    double ab = 0, aa = 0, bb = 0;
    for (std::size_t r = 0; r < w.weight.size(); ++r) {
      const auto weight = static_cast<double>(w.weight[r]);
      ab += weight * sums_.ab[r], aa += weight * sums_.aa[r], bb += weight * sums_.bb[r];
    }
    score = aa > 0 && bb > 0 ? ab / std::sqrt(aa * bb) : 0;
    top = w.top, ratio_ = w.ratio, lower_ratio_ = w.lower_ratio;
    if (!found.found) {
      constexpr double none = std::numeric_limits<double>::infinity();
      covariance = {none, 0, none};
      moved_ = none;
      return;
    }
    const Vec2 before = std::exchange(shift, {found.shift.y + whole_.y, found.shift.x + whole_.x});
    moved_ = std::hypot(shift.y - before.y, shift.x - before.x);
    const double height = window_height(w, sums_);
    const Vec2 windows{height * spectra_.bend().y, height * spectra_.bend().x};
    covariance = covariance_of(found, windows, w.scale * independent,
                               independent * fisher(band, slope_variance(band, w, sums_)));
  }

  const PairPlan& plan_;
  PairSpectra& spectra_;
  RingSums sums_;
  Vec2 whole_;
  double ratio_ = 0, lower_ratio_ = 0, moved_ = 0;  // moved_: px, of the last step
};

// Images in the host's memory.
class HostImages : public PairImages {
 public:
  HostImages(View2<const float> a, View2<const float> b, index_t binning)
      : frames_{look(a, binning), look(b, binning)} {}

  std::unique_ptr<PairSpectra> binned(const PairPlan& plan) override {
    for (std::size_t i = 0; i < 2; ++i) {  // missing pixels are filled
      binned_[i].filled = frames_[i].small;
      binned_[i].image = {binned_[i].filled.data(), {plan.ny, plan.nx}};
    }
    const Frame* const frames[2] = {&binned_[0], &binned_[1]};
    return std::make_unique<HostPairSpectra>(plan, frames, false);
  }
  std::unique_ptr<PairSpectra> whole(const PairPlan& plan) override {
    const Frame* const frames[2] = {&frames_[0], &frames_[1]};
    return std::make_unique<HostPairSpectra>(plan, frames, frames_[0].counts && frames_[1].counts);
  }
  Peaks find(const Search& search, bool& flat) override {
    Search::Scratch scratch;
    CoarseFrame coarse[2];
    for (std::size_t i = 0; i < 2; ++i) {
      if (frames_[i].binning != search.binning()) bin(frames_[i], search.binning());
      search.load(frames_[i], scratch, coarse[i]);
    }
    flat = coarse[0].rings.flat || coarse[1].rings.flat;
    return search.correlate(coarse[0], coarse[1], scratch);
  }

 private:
  Frame frames_[2], binned_[2];
};

class Pair {
 public:
  Pair(const Shared& shared, PairImages& images) : shared_(shared), images_(images) {}

  void run(double* out) {
    std::fill(out, out + kRegisterColumns, 0.0);
    const auto binned = shared_.coarse ? images_.binned(*shared_.coarse) : nullptr;
    const Peaks peaks = find();
    if (flat_) {
      out[kVarRow] = out[kVarColumn] = std::numeric_limits<double>::infinity();
      return;
    }
    Vec2 start = peaks.shift[0];
    double reach = 1;
    bool searched = true;
    if (shared_.coarse) {
      Polish coarse(*shared_.coarse, *binned);
      const auto b = static_cast<double>(shared_.first_binning());
      coarse.run({start.y / b, start.x / b}, true, 1, 1);
      if (std::isfinite(coarse.covariance.yy)) {
        start = {b * coarse.shift.y, b * coarse.shift.x};
        reach = coarse.likely_reach() / b;
        searched = false;
      }
    }
    const auto whole = images_.whole(shared_.fine);
    Polish fine(shared_.fine, *whole);
    fine.run(start, searched, reach, kPlaces);
    out[kShiftRow] = fine.shift.y, out[kShiftColumn] = fine.shift.x;
    out[kPlaceRow] = fine.place.y, out[kPlaceColumn] = fine.place.x;
    out[kVarRow] = fine.covariance.yy, out[kVarColumn] = fine.covariance.xx, out[kCovariance] = fine.covariance.yx;
    out[kPeak] = fine.score;
    for (int k = 1; k < peaks.count; ++k) {
      double* to = out + kRunnerUp + 3 * (k - 1);
      to[0] = peaks.height[k] / peaks.height[0], to[1] = peaks.shift[k].y, to[2] = peaks.shift[k].x;
    }
  }

 private:
  Peaks find() {
    Peaks peaks;
    for (std::size_t level = 0; level < shared_.searches(); ++level) {
      peaks = images_.find(shared_.search(level), flat_);
      if (peaks.count == 1 || (peaks.count > 1 && peaks.height[0] > kStandsOut * peaks.height[1])) break;
    }
    return peaks;
  }

  const Shared& shared_;
  PairImages& images_;
  bool flat_ = false;
};

}  // namespace

void register_images(const Cpu& cpu, index_t n, index_t ny, index_t nx, double max_shift, const MakeImages& make,
                     View2<double> out) {
  require(ny >= 4 && nx >= 4, "reference: found ", ny, " x ", nx, " pixels, expected at least 4 x 4");
  require(out.extent[0] == n && out.extent[1] == kRegisterColumns, "out: found shape (", out.extent[0], ", ",
          out.extent[1], "), expected (", n, ", ", static_cast<int>(kRegisterColumns), ")");
  require(max_shift >= 0, "max_shift: found ", max_shift, " px, expected at least 0");
  const double reach = max_shift > 0 ? max_shift : static_cast<double>(std::min(ny, nx)) / 2;
  const Shared shared(ny, nx, reach);
  parallel_for(cpu, n, [&](index_t i, int) {
    const auto images = make(i, shared.first_binning());
    Pair(shared, *images).run(out.data + i * kRegisterColumns);
  });
}

void register_pairs(const Cpu& cpu, View3<const float> reference, View3<const float> moving, double max_shift,
                    View2<double> out) {
  const index_t n = reference.extent[0], ny = reference.extent[1], nx = reference.extent[2];
  require(moving.extent[0] == n && moving.extent[1] == ny && moving.extent[2] == nx, "moving: found shape (",
          moving.extent[0], ", ", moving.extent[1], ", ", moving.extent[2], "), expected (", n, ", ", ny, ", ", nx,
          ")");
  const auto image = [&](View3<const float> of, index_t i) {
    return View2<const float>{of.data + i * ny * nx, {ny, nx}};
  };
  register_images(
      cpu, n, ny, nx, max_shift,
      [&](index_t i, index_t binning) {
        return std::make_unique<HostImages>(image(reference, i), image(moving, i), binning);
      },
      out);
}

}  // namespace cryolith
