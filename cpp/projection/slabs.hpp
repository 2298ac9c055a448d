// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// Volumes and stacks in slabs of the volume's rows, so that devices see parts only: which, how large, and how they
// leave and enter the host's memory.
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>

#include "core/parallel.hpp"
#include "core/view.hpp"
#include "projection/plan.hpp"

namespace cryolith {

// Volume rows that a row of lanes of a device's kernels takes: slabs are multiples of it.
inline constexpr index_t kDeviceColumns = 64;
// Copies of about this size hide their start; smaller slabs overlap no better (field notes: at least 100 MB).
inline constexpr index_t kDeviceSlabBytes = index_t{256} << 20;
inline constexpr int kDeviceOutputs = 32;        // that one block of threads sums: sets the size of the tables
inline constexpr index_t kDeviceTiltBytes = 80;  // of what a slab has of its own for each tilt
enum class Direction { project, backproject };

// Floats that the pair holds on a device for a volume and images, or for the largest slab of them.
struct PairSizes {
  index_t volume = 0, images = 0;
  index_t rows = 0;  // stretched
  index_t work = 0;  // strips, and then the volume in lines; or the other way round
  index_t bytes() const { return (volume + images + rows + work) * index_t{sizeof(float)}; }
  bool hold(const PairSizes& other) const {
    return volume >= other.volume && images >= other.images && rows >= other.rows && work >= other.work;
  }
};
// Of a plan whose images are straight: of all of it, or of the largest of its slabs of so many rows.
PairSizes pair_sizes(const ProjectionPlan& straight);
PairSizes pair_sizes(const ProjectionPlan& straight, index_t slab_rows);

// The images of a plan are turned on the CPU where their axes lie elsewhere; a device has the plan for those.
inline const ProjectionPlan& straight_plan(const ProjectionPlan& plan) {
  return plan.turned() != nullptr ? *plan.turned() : plan;
}

struct SlabCut {
  index_t rows = 0, slabs = 0;
  int slots = 1;             // slabs that a device has at once: two where there are more slabs than devices
  index_t device_bytes = 0;  // on each device
  index_t pinned_bytes = 0;  // of the host, for each device
};
// The cut for host arrays, in no more than `bytes` of each device with `tables` bytes of tables, and of slabs of no
// more than `most_rows` where that is not 0. DeviceOutOfMemory that names what would fit where not even one row of
// lanes does.
// `more`: what a slab of so many rows takes besides.
SlabCut cut_in_slabs(const ProjectionPlan& plan, int devices, index_t bytes, index_t tables, index_t most_rows,
                     const std::function<index_t(index_t rows)>& more = {});

// A job on host arrays, in slabs for whoever is free. Sums come out in the order of the slabs, whoever made them.
class SlabJob {
 public:
  struct Slab {
    index_t number;
    Range rows;
    ProjectionPlan plan;
  };
  // `out` is added to when projecting, and set when back-projecting. `workers`: that share the processors of `cpu`.
  SlabJob(const Cpu& cpu, int workers, const ProjectionPlan& plan, index_t rows, Direction direction,
          View3<const float> in, View3<float> out);

  // The next slab; null when there is none left, or the job was stopped. Throws where it was cancelled.
  std::unique_ptr<Slab> take();
  // To and from what a device takes and gives, straight images and slabs of volumes in C order.
  void gather(const Slab& slab, float* to) const;
  void scatter(const Slab& slab, const float* from);
  Direction direction() const { return direction_; }
  // From any thread: whoever waits for his turn does so no more.
  void stop();

 private:
  void copy_window(const Slab& slab, View3<float> to) const;
  void add_window(const Slab& slab, const float* from);
  bool wait_for_turn(index_t number);

  Cpu cpu_, inner_;
  const ProjectionPlan& plan_;
  index_t rows_;
  Direction direction_;
  View3<const float> in_;
  View3<float> out_;
  std::mutex mutex_;
  std::condition_variable turned_;
  index_t next_ = 0, turn_ = 0;
  bool stopped_ = false;
};

}  // namespace cryolith
