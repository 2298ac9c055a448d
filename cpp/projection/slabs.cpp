// SPDX-License-Identifier: BSD-3-Clause
#include "projection/slabs.hpp"

#include <algorithm>
#include <cstring>
#include <string>

#include "core/buffer.hpp"
#include "projection/turned_images.hpp"

namespace cryolith {
namespace {

static_assert(kDeviceColumns % ProjectionPlan::kSlabRows == 0);

index_t blocks_of(index_t rows) { return (rows + kDeviceColumns - 1) / kDeviceColumns; }

index_t lines_of(const ProjectionPlan& plan) {
  const VolumeShape v = plan.volume();
  return ((plan.shallow().tilts.empty() ? 0 : 1) + (plan.steep().tilts.empty() ? 0 : 1)) * v.nz * v.nx;
}

PairSizes sizes_of(const ProjectionPlan& plan, index_t rows, ImageShape image) {
  const VolumeShape v = plan.volume();
  const index_t columns = blocks_of(rows) * kDeviceColumns;
  const index_t strips = plan.tilts() * columns * std::max(image.height, image.width);
  return {v.nz * rows * v.nx, plan.tilts() * image.height * image.width, columns * plan.rows(),
          std::max(strips, columns * lines_of(plan))};
}

index_t copied(const PairSizes& s) { return (s.volume + s.images) * index_t{sizeof(float)}; }

std::string in_words(index_t bytes) {
  const index_t mib = (bytes + (index_t{1} << 20) - 1) >> 20;
  return std::to_string(mib) + " MiB";
}

[[noreturn]] void fail_with_what_fits(const ProjectionPlan& straight, index_t needed, index_t bytes) {
  const VolumeShape v = straight.volume();
  const index_t columns = kDeviceColumns * index_t{sizeof(float)};
  const index_t slice = columns * (v.nx + lines_of(straight) / v.nz);  // what one z of the smallest slab takes
  const index_t fewer = (needed - bytes + slice - 1) / slice;
  std::string out = "device memory: one slab of " + std::to_string(kDeviceColumns) + " rows of this volume takes " +
                    in_words(needed) + ", found " + in_words(bytes) + "; ";
  if (fewer < v.nz)
    out += "a volume of about " + std::to_string(v.nz - fewer) + " instead of " + std::to_string(v.nz) +
           " slices along z would fit";
  else
    out += "bin the images, or use the CPU";
  throw DeviceOutOfMemory(out);
}

}  // namespace

PairSizes pair_sizes(const ProjectionPlan& straight) {
  return sizes_of(straight, straight.volume().ny, straight.image());
}

PairSizes pair_sizes(const ProjectionPlan& straight, index_t slab_rows) {
  const index_t ny = straight.volume().ny;
  ImageShape image{1, 1};
  for (index_t first = 0; first < ny; first += slab_rows) {
    const ImageWindow w = straight.window({first, std::min(ny, first + slab_rows)});
    image = {std::max(image.height, w.height), std::max(image.width, w.width)};
  }
  return sizes_of(straight, std::min(ny, slab_rows), image);
}

SlabCut cut_in_slabs(const ProjectionPlan& plan, int devices, index_t bytes, index_t tables, index_t most_rows,
                     const std::function<index_t(index_t rows)>& more) {
  const ProjectionPlan& straight = straight_plan(plan);
  const index_t ny = plan.volume().ny, all = blocks_of(ny);
  const PairSizes whole = pair_sizes(straight);
  const index_t larger = std::max(whole.volume, whole.images) * index_t{sizeof(float)};
  const index_t wanted = std::max<index_t>(devices, (larger + kDeviceSlabBytes - 1) / kDeviceSlabBytes);
  index_t blocks = std::max<index_t>(1, all / wanted);
  if (most_rows > 0) blocks = std::clamp<index_t>(most_rows / kDeviceColumns, 1, blocks);
  for (;; --blocks) {
    const index_t rows = blocks * kDeviceColumns, slabs = (all + blocks - 1) / blocks;
    const PairSizes sizes = pair_sizes(straight, rows);
    const index_t each = sizes.bytes() + straight.tilts() * kDeviceTiltBytes + (more ? more(std::min(ny, rows)) : 0);
    // Two at once, so that copies pass while kernels run; one where memory is too short for that.
    for (int slots = slabs > devices ? 2 : 1; slots > 0; --slots)
      if (tables + slots * each <= bytes && (slots == 2 || slabs <= devices || blocks == 1))
        return {std::min(ny, rows), slabs, slots, tables + slots * each, slots * copied(sizes)};
    if (blocks == 1) fail_with_what_fits(straight, tables + each, bytes);
  }
}

SlabJob::SlabJob(const Cpu& cpu, int workers, const ProjectionPlan& plan, index_t rows, Direction direction,
                 View3<const float> in, View3<float> out)
    : cpu_(cpu),
      inner_{std::max(1, resolve_threads(cpu) / std::max(1, workers)), cpu.cancel, nullptr},
      plan_(plan),
      rows_(rows),
      direction_(direction),
      in_(in),
      out_(out) {}

std::unique_ptr<SlabJob::Slab> SlabJob::take() {
  if (cpu_.cancel != nullptr && cpu_.cancel->cancelled()) throw Cancelled();
  Range rows{0, 0};
  index_t number = 0;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    number = next_++;
    rows = {number * rows_, std::min(plan_.volume().ny, (number + 1) * rows_)};
    if (stopped_ || rows.begin >= rows.end) return nullptr;
  }
  return std::make_unique<Slab>(Slab{number, rows, plan_.slab(rows)});
}

void SlabJob::stop() {
  const std::lock_guard<std::mutex> lock(mutex_);
  stopped_ = true;
  turned_.notify_all();
}

// Whether it is this slab's turn to add to the images; not where the job was stopped.
bool SlabJob::wait_for_turn(index_t number) {
  std::unique_lock<std::mutex> lock(mutex_);
  turned_.wait(lock, [&] { return stopped_ || turn_ == number; });
  return !stopped_;
}

void SlabJob::copy_window(const Slab& slab, View3<float> to) const {
  const ImageWindow w = slab.plan.window(), whole = plan_.window();
  parallel_for(inner_, to.extent[0], [&](index_t tilt, int) {
    for (index_t row = 0; row < w.height; ++row) {
      const index_t line = tilt * in_.extent[1] + w.row - whole.row + row;
      std::memcpy(to.data + (tilt * w.height + row) * w.width,
                  in_.data + line * in_.extent[2] + w.column - whole.column,
                  static_cast<std::size_t>(w.width) * sizeof(float));
    }
  });
}

void SlabJob::add_window(const Slab& slab, const float* from) {
  const ImageWindow w = slab.plan.window(), whole = plan_.window();
  parallel_for(inner_, out_.extent[0], [&](index_t tilt, int) {
    for (index_t row = 0; row < w.height; ++row) {
      const index_t line = tilt * out_.extent[1] + w.row - whole.row + row;
      float* to = out_.data + line * out_.extent[2] + w.column - whole.column;
      const float* part = from + (tilt * w.height + row) * w.width;
      for (index_t column = 0; column < w.width; ++column) to[column] += part[column];
    }
  });
}

void SlabJob::gather(const Slab& slab, float* to) const {
  if (direction_ == Direction::project) {
    const VolumeShape v = slab.plan.volume();
    parallel_for(inner_, v.nz, [&](index_t z, int) {
      std::memcpy(to + z * v.ny * v.nx, in_.data + (z * in_.extent[1] + slab.rows.begin) * v.nx,
                  static_cast<std::size_t>(v.ny * v.nx) * sizeof(float));
    });
    return;
  }
  const ImageWindow w = slab.plan.window();
  if (slab.plan.turned() == nullptr) return copy_window(slab, {to, {in_.extent[0], w.height, w.width}});
  Buffer<float> seen(in_.extent[0] * w.height * w.width);
  const View3<float> window{seen.data(), {in_.extent[0], w.height, w.width}};
  copy_window(slab, window);
  const Buffer<float> turned = turned_images(inner_, slab.plan, window);
  std::copy_n(turned.data(), turned.size(), to);
}

void SlabJob::scatter(const Slab& slab, const float* from) {
  if (direction_ == Direction::backproject) {
    const VolumeShape v = slab.plan.volume();
    parallel_for(inner_, v.nz, [&](index_t z, int) {
      std::memcpy(out_.data + (z * out_.extent[1] + slab.rows.begin) * v.nx, from + z * v.ny * v.nx,
                  static_cast<std::size_t>(v.ny * v.nx) * sizeof(float));
    });
    return;
  }
  Buffer<float> straightened;
  if (slab.plan.turned() != nullptr) {
    const ImageWindow w = slab.plan.window();
    straightened = Buffer<float>(out_.extent[0] * w.height * w.width);
    turn_images_back(inner_, slab.plan, from, {straightened.data(), {out_.extent[0], w.height, w.width}});
    from = straightened.data();
  }
  if (!wait_for_turn(slab.number)) return;
  add_window(slab, from);
  const std::lock_guard<std::mutex> lock(mutex_);
  ++turn_;
  turned_.notify_all();
}

}  // namespace cryolith
