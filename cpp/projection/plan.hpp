// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <algorithm>
#include <memory>
#include <vector>

#include "core/buffer.hpp"
#include "core/view.hpp"
#include "projection/geometry.hpp"
#include "projection/sampling.hpp"
#include "projection/strips.hpp"
#include "projection/turn.hpp"

namespace cryolith {

struct VolumeShape {
  index_t nz, ny, nx;
};

// The tilts that are summed along one axis of the volume: rows run along x and tilts shear them with z (shallow
// tilts), or rows run along z and tilts shear them with x (steep ones). Tables for back-projection and its transpose.
struct Bank {
  std::vector<index_t> tilts;         // in the order given
  index_t along = 0, across = 0;      // voxels along the rows and across them
  index_t runs = 0;                   // register runs along a row
  index_t pad = 0, stride = 0;        // of the projector's copy of a chunk: rows before, rows per line
  std::vector<Tap> back;              // [across][tilt]: into the block's stretched rows
  std::vector<PairTap> back_pairs;    // the same in fixed point
  std::vector<Tap> forward;           // [tilt][across]: into the copy of a chunk
  std::vector<index_t> middle, span;  // [tilt][chunk of kChunk lines]: shift in the middle and its largest deviation
};

// Whole voxels and the rest of a shear, slope times the line's distance from the middle one; the rest is a multiple of
// 2^-20, so that both weights, f and 1 - f, are exact in float32 and the pair stays transposed to the last bit.
struct Shear {
  index_t whole;
  float rest;
};
Shear shear(double slope, index_t line, index_t lines);

// The weights of sampling.hpp's TapTable, or those of another kernel: (kPhases + 1, taps).
Buffer<float> tap_table(int taps, double beta);

// Detector pixels per voxel that a plan takes. Beyond 1.3 the sampling comb passes the kernel and shows as ripple.
inline constexpr double kSmallestScale = 1.0 / 1024, kLargestScale = 1.25;

// Whether a tilt's axis lies near an image axis and its scale near 1, so that samples can be taken from strips.
bool near_image_axis(const TiltPose& pose);

// Everything about one geometry and one pair of shapes that does not depend on the data. Make once, run often.
//
// Definition (design/003-projector.md). Stretched row sample x' (x' counted from the volume's centre along the rows,
// in voxels) of tilt t and volume row y is the image at u = x' cos(theta) + offset (shallow; z' sin(theta) when
// steep), v = y, all times the scale, interpolated by the separable windowed sinc of sampling.hpp. Voxel (z, y, x)
// receives (1 - f) q[x + k] + f q[x + k + 1] with k + f = (z - cz) tan(theta) (exchanged when steep).
class ProjectionPlan {
 public:
  // Lines of the volume that the forward projector adds to a row in one go: the rows stay in L1 (best of 16, 24, 32,
  // 48, 64 at sizes S, M and L).
  static constexpr index_t kChunk = 32;
  // Up to this |tan(theta)|, 52.4 degrees, rows run along x. Of 1, 1.3, 1.5 and 1.75 the largest that leaves a real
  // missing wedge as well filled as 1 does: 0.0375, 0.0376, 0.0385, 0.0417 on unseen tilts
  // (benchmarks/validate_wedge.py).
  static constexpr double kSteepTangent = 1.3;

  // `turn`: whether images are turned also where all axes are near an image axis, as in a series that has others.
  ProjectionPlan(const std::vector<TiltPose>& tilts, VolumeShape volume, ImageShape image, bool turn = false);

  // The plan of the volume's rows [rows.begin, rows.end) alone, on no more of the images than those rows see: window().
  // Every position is rounded as in the whole, so that a volume made in slabs has the bytes of one made whole.
  // Slabs begin at multiples of kSlabRows and end there or with the volume; else ArgumentError.
  ProjectionPlan slab(Range rows) const;
  // The part of the images that those rows see.
  ImageWindow window(Range rows) const;
  static constexpr index_t kSlabRows = 2 * kLanes;  // a row filter sees blocks in pairs

  VolumeShape volume() const { return volume_; }
  // Of the images in memory: the whole detector, or window().
  ImageShape image() const { return {window_.height, window_.width}; }
  ImageWindow window() const { return window_; }
  index_t tilts() const { return static_cast<index_t>(tilts_.size()); }
  index_t blocks() const { return (volume_.ny + kLanes - 1) / kLanes; }  // of kLanes volume rows
  index_t lanes(index_t block) const;
  index_t rows() const { return total_rows_; }  // stretched rows of one block, all tilts
  index_t first_row(index_t tilt) const { return first_row_[static_cast<std::size_t>(tilt)]; }
  index_t row_count(index_t tilt) const { return first_row(tilt + 1) - first_row(tilt); }
  // Spacing of a tilt's samples in the image, in pixels: scale |cos(theta)|, or scale |sin(theta)| when steep.
  double spacing(index_t tilt) const;                  // throws ArgumentError where there is no such tilt
  SampleGrid grid(index_t tilt, index_t block) const;  // positions in window()
  Range samples(index_t tilt, index_t block) const;    // those of the grid that can touch the image
  // Whether a tilt's axis lies along an image axis, and its scale is 1: both exactly.
  bool straight(index_t tilt) const;
  StripGrid strip(index_t tilt, index_t block) const;
  // Pixels of the blocks' strips that the given samples have weights in.
  Range strip_pixels(index_t tilt, Range blocks, Range samples) const;
  // Rows of kLanes that a strip and its margins take.
  index_t strip_rows() const { return std::max(window_.height, window_.width) + 2 * kStripMargin; }
  // Most samples of any tilt that one pixel of a strip has a weight in.
  index_t strip_samples() const;
  // Where images are turned: the plan for those that were, so that all tilts are straight; else null. turn() is how
  // each image is turned, to all that plan takes or to the lines of volume rows [rows.begin, rows.end) alone.
  const ProjectionPlan* turned() const { return turned_.get(); }
  Turn turn(index_t tilt) const;
  Turn turn(index_t tilt, Range rows) const;
  const float* turn_table() const { return turn_table_.data(); }
  const Bank& shallow() const { return shallow_; }
  const Bank& steep() const { return steep_; }
  TapTable table() const { return {table_.data()}; }
  index_t table_bytes() const;  // what all tables take

 private:
  struct Stretch {
    bool steep;
    double step;     // of u per sample, in pixels, signed
    index_t centre;  // extension: samples before the first voxel
  };
  void add_tilt(const TiltPose& pose);
  SampleGrid grid_of_detector(index_t tilt, index_t block) const;
  void widen(ImageWindow& window, const SampleGrid& grid, Range samples, Range lines, index_t reach) const;
  void fill(Bank& bank, index_t along, index_t across);
  double slope(index_t tilt) const;
  void make_turned();
  SampleGrid grid_of_turned(index_t tilt) const;

  VolumeShape volume_;
  ImageShape detector_;
  ImageWindow window_;
  index_t first_ = 0, whole_ny_;  // of this slab's rows in the whole volume
  std::vector<TiltPose> tilts_;
  std::vector<Stretch> stretch_;
  std::vector<index_t> first_row_;
  index_t total_rows_ = 0;
  Bank shallow_, steep_;
  Buffer<float> table_, turn_table_;
  std::unique_ptr<const ProjectionPlan> turned_;
};

// The strips of some blocks of one tilt, one after the other in `strips`; rows are still to be set.
StripJob strip_job(const ProjectionPlan& plan, index_t tilt, Range blocks, float* strips);

}  // namespace cryolith
