// SPDX-License-Identifier: BSD-3-Clause
#include "align/stack.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "align/weights.hpp"

namespace cryolith {
namespace {

constexpr index_t kSearchEdge = 256;  // as for pairs
constexpr index_t kFewPixels = 1 << 26;
// Cycles/px that are kept. Spectra up to 0.25 take a quarter of what the frames took; frames of a long movie are too
// noisy to tell anything beyond.
constexpr double kTop = 0.45, kTopOfMany = 0.25;
constexpr int kRounds = 20;
constexpr double kStill = 1e-3;  // px

index_t search_binning(index_t ny, index_t nx) {
  index_t binning = 4;
  while (binning > 1 && std::min(ny, nx) / binning < kSearchEdge) binning /= 2;
  return binning;
}

std::vector<double> ratio(std::vector<double> a, double divisor) {
  for (double& v : a) v /= divisor;
  return a;
}

// The state of refine().
class Refinement {
 public:
  Refinement(const Band& band, FrameArrays& frames, std::vector<Vec2> parts, double independent, const Vec2& windows)
      : band_(band),
        frames_(frames),
        parts_(std::move(parts)),
        independent_(independent),
        windows_(windows),
        power_(rings()) {
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      const auto one = frames_.power(i);
      for (std::size_t r = 0; r < one.size(); ++r) power_[r] += one[r];
    }
  }

  void run(const Cpu& cpu, const std::vector<Vec2>& whole, View2<double> out) {
    for (int round = 0; round < kRounds; ++round) {
      weigh();
      const double moved = step(cpu, out);
      if (moved < kStill) break;
    }
    const auto n = static_cast<double>(parts_.size());
    Vec2 mean;
    for (std::size_t i = 0; i < parts_.size(); ++i)
      mean.y += (parts_[i].y + whole[i].y) / n, mean.x += (parts_[i].x + whole[i].x) / n;
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      double* to = out.data + static_cast<index_t>(i) * kFrameColumns;
      to[0] = parts_[i].y + whole[i].y - mean.y, to[1] = parts_[i].x + whole[i].x - mean.x;
    }
  }

 private:
  std::size_t rings() const { return static_cast<std::size_t>(band_.rings); }

  void weigh() {
    const auto n = static_cast<double>(parts_.size());
    std::vector<double> cross = frames_.add_up(parts_);
    for (std::size_t r = 0; r < cross.size(); ++r) cross[r] = (cross[r] - power_[r]) / (n * (n - 1));
    weights_ = ring_weights(band_, ratio(power_, n), cross, n, independent_);
  }

  // One Newton step of all frames together: against the sum of the others each would go n / (n - 1) times too far, as
  // the others move as well. Returns the farthest move.
  double step(const Cpu& cpu, View2<double> out) {
    const auto n = static_cast<double>(parts_.size());
    std::vector<Vec2> next = parts_;
    parallel_for(frames_.workers(cpu), static_cast<index_t>(parts_.size()), [&](index_t k, int worker) {
      const auto i = static_cast<std::size_t>(k);
      const auto [sums, top] = frames_.against_others(i, weights_, parts_[i], worker);
      double* to = out.data + k * kFrameColumns;
      double ab = 0, aa = 0, bb = 0;
      for (std::size_t r = 0; r < rings(); ++r) {
        const auto w = static_cast<double>(weights_.weight[r]);
        ab += w * sums.ab[r], aa += w * sums.aa[r], bb += w * sums.bb[r];
      }
      to[5] = aa > 0 && bb > 0 ? ab / std::sqrt(aa * bb) : 0;
      Sym2 covariance{std::numeric_limits<double>::infinity(), 0, std::numeric_limits<double>::infinity()};
      if (top.found) {
        const double part = (n - 1) / n;
        next[i] = {parts_[i].y + part * (top.shift.y - parts_[i].y), parts_[i].x + part * (top.shift.x - parts_[i].x)};
        const double height = window_height(weights_, sums);
        covariance = covariance_of(top, {height * windows_.y, height * windows_.x}, weights_.scale * independent_,
                                   part * part * independent_ * fisher(band_, slope_variance(band_, weights_, sums)));
      }
      to[2] = covariance.yy, to[3] = covariance.xx, to[4] = covariance.yx;
    });
    double moved = 0;
    for (std::size_t i = 0; i < next.size(); ++i)
      moved = std::max(moved, std::hypot(next[i].y - parts_[i].y, next[i].x - parts_[i].x));
    parts_ = std::move(next);
    return moved;
  }

  const Band& band_;
  FrameArrays& frames_;
  std::vector<Vec2> parts_;
  double independent_;
  Vec2 windows_;
  std::vector<double> power_;
  RingWeights weights_;
};

std::vector<Vec2> vectors(View2<const double> shifts) {
  std::vector<Vec2> out;
  for (index_t i = 0; i < shifts.extent[0]; ++i) out.push_back({shifts.data[2 * i], shifts.data[2 * i + 1]});
  return out;
}

}  // namespace

FrameStack::FrameStack(index_t n, index_t ny, index_t nx, double max_shift, const MakeFrames& make)
    : n_(n),
      ny_(ny),
      nx_(nx),
      search_(ny, nx, search_binning(ny, nx), max_shift),
      band_(fft::good_size(ny), fft::good_size(nx), n * ny * nx > kFewPixels ? kTopOfMany : kTop),
      counts_(static_cast<std::size_t>(n)),
      frames_(make(counts_.size(), search_, band_)) {}

FrameStack::~FrameStack() = default;

void FrameStack::check(index_t first, const ImageStack& frames) const {
  const index_t *extent = frames.images.extent, last = first + extent[0] - 1;
  require(extent[1] == ny_ && extent[2] == nx_, "frames: found ", extent[1], " x ", extent[2], " pixels, expected ",
          ny_, " x ", nx_);
  require(first >= 0 && last < n_, "first: found frames ", first, " to ", last, ", expected 0 to ", n_ - 1);
}

void FrameStack::look(const Cpu& cpu, index_t first, const ImageStack& frames) {
  check(first, frames);
  parallel_for(frames_->workers(cpu), frames.images.extent[0], [&](index_t i, int) {
    const auto k = static_cast<std::size_t>(first + i);
    counts_[k] = frames_->look(k, frames[i]) ? Seen::counts : Seen::other;
  });
}

void FrameStack::pairs(const Cpu& cpu, View2<const index_t> pairs, View2<double> out) const {
  require(pairs.extent[1] == 2 && out.extent[0] == pairs.extent[0] && out.extent[1] == kPairColumns,
          "pairs: found shapes (", pairs.extent[0], ", ", pairs.extent[1], ") and (", out.extent[0], ", ",
          out.extent[1], "), expected (m, 2) and (m, ", kPairColumns, ")");
  for (index_t k = 0; k < pairs.size(); ++k)
    require(
        pairs.data[k] >= 0 && pairs.data[k] < n_ && counts_[static_cast<std::size_t>(pairs.data[k])] != Seen::not_yet,
        "pairs: found frame ", pairs.data[k], ", expected one that was looked at, 0 to ", n_ - 1);
  parallel_for(frames_->workers(cpu), pairs.extent[0], [&](index_t m, int) {
    const index_t* pair = pairs.data + 2 * m;
    const Peaks peaks = frames_->correlate(static_cast<std::size_t>(pair[0]), static_cast<std::size_t>(pair[1]));
    double* to = out.data + m * kPairColumns;
    std::fill(to, to + kPairColumns, 0.0);
    for (int p = 0; p < peaks.count; ++p) {
      to[3 * p] = peaks.shift[p].y, to[3 * p + 1] = peaks.shift[p].x;
      to[3 * p + 2] = p == 0 ? peaks.height[0] : peaks.height[p] / peaks.height[0];
    }
  });
}

void FrameStack::place(const Cpu& cpu, index_t first, const ImageStack& frames, View2<const double> shifts) {
  check(first, frames);
  require(shifts.extent[0] == n_ && shifts.extent[1] == 2, "shifts: found shape (", shifts.extent[0], ", ",
          shifts.extent[1], "), expected (", n_, ", 2)");
  placed_ = vectors(shifts);
  const Overlap overlap(ny_, nx_, placed_);
  const bool stabilise = std::all_of(counts_.begin(), counts_.end(), [](Seen seen) { return seen == Seen::counts; });
  std::vector<double> independent(static_cast<std::size_t>(frames.images.extent[0]));
  parallel_for(frames_->workers(cpu), frames.images.extent[0], [&](index_t i, int worker) {
    const auto k = static_cast<std::size_t>(first + i);
    independent[static_cast<std::size_t>(i)] = frames_->place(k, frames[i], overlap.patch(k), stabilise, worker);
  });
  independent_ = independent.back();
}

void FrameStack::refine(const Cpu& cpu, View2<double> out) const {
  require(out.extent[0] == n_ && out.extent[1] == kFrameColumns, "out: found shape (", out.extent[0], ", ",
          out.extent[1], "), expected (", n_, ", ", kFrameColumns, ")");
  require(!placed_.empty(), "refine: found no frames, expected all to be placed before");
  const Overlap overlap(ny_, nx_, placed_);
  std::vector<Vec2> parts = placed_, whole;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    whole.push_back(overlap.whole(i));
    parts[i] = {parts[i].y - whole[i].y, parts[i].x - whole[i].x};
  }
  Refinement(band_, *frames_, std::move(parts), independent_, window_bend(overlap.patch(0))).run(cpu, whole, out);
}

FrameSum::FrameSum(index_t ny, index_t nx)
    : band_(ny, nx, 0.5),
      plan_(std::vector<index_t>{ny, nx}, 2, fft::Kind::real),
      half_(static_cast<std::size_t>(ny * (nx / 2 + 1))) {
  total_.reset(band_);
  total_.crop(band_, half_.data());
}

void FrameSum::add(const Cpu& cpu, View2<const float> frame, const Vec2& shift) {
  require(frame.extent[0] == band_.py && frame.extent[1] == band_.px, "frame: found ", frame.extent[0], " x ",
          frame.extent[1], " pixels, expected ", band_.py, " x ", band_.px);
  const Frame seen = look(frame, 0);
  plan_.forward(cpu, seen.image.data, half_.data(), fft_);
  one_.crop(band_, half_.data());
  add_moved(Part(band_), one_, shift, 1.0f, total_);
}

void FrameSum::write(const Cpu& cpu, View2<float> out) {
  require(out.extent[0] == band_.py && out.extent[1] == band_.px, "out: found ", out.extent[0], " x ", out.extent[1],
          " pixels, expected ", band_.py, " x ", band_.px);
  for (index_t y = 0; y < band_.rows; ++y) {
    const ConstPlanarRow row = static_cast<const Spectrum&>(total_).row(band_, y);
    std::complex<float>* to = half_.data() + band_.source[static_cast<std::size_t>(y)] * (band_.px / 2 + 1);
    for (index_t x = 0; x < band_.columns; ++x) to[x] = {row.re[x], row.im[x]};
  }
  plan_.inverse(cpu, half_.data(), out.data, 1.0f / static_cast<float>(plan_.count()), fft_);
}

}  // namespace cryolith
