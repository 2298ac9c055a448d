// SPDX-License-Identifier: BSD-3-Clause
#include "projection/turned_images.hpp"

#include <algorithm>
#include <vector>

#include "projection/turn.hpp"

namespace cryolith {
namespace {

index_t most_scratch(const ProjectionPlan& plan) {
  index_t most = 0;
  for (index_t tilt = 0; tilt < plan.tilts(); ++tilt) most = std::max(most, turn_scratch(plan.turn(tilt)));
  return most;
}

template <class T>
View2<T> image_of(View3<T> images, index_t tilt) {
  return {images.data + tilt * images.extent[1] * images.extent[2], {images.extent[1], images.extent[2]}};
}

template <class Body>
void for_each_tilt(const Cpu& cpu, const ProjectionPlan& plan, const Body& body) {
  const index_t size = most_scratch(plan);
  std::vector<std::vector<Buffer<float>>> scratch(static_cast<std::size_t>(resolve_threads(cpu)));
  parallel_for(cpu, plan.tilts(), [&](index_t tilt, int worker) {
    std::vector<Buffer<float>>& s = scratch[static_cast<std::size_t>(worker)];
    while (s.size() < 3) s.emplace_back(size);
    body(tilt, plan.turn(tilt), s.data());
  });
}

}  // namespace

View3<float> turned_view(const ProjectionPlan& plan, float* turned) {
  const ImageShape image = plan.turned()->image();
  return {turned, {plan.tilts(), image.height, image.width}};
}

Buffer<float> turned_images(const Cpu& cpu, const ProjectionPlan& plan, View3<const float> images) {
  Buffer<float> out(turned_view(plan, nullptr).size());
  const ImageShape shape = plan.turned()->image();
  for_each_tilt(cpu, plan, [&](index_t tilt, const Turn& turn, Buffer<float>* scratch) {
    turn_image(plan.turn_table(), turn, image_of(images, tilt), out.data() + tilt * shape.height * shape.width,
               shape.width, scratch);
  });
  return out;
}

// Slabs of the volume's rows add to the image one after the other, so that slabs made alone add up to the whole.
void turn_images_back(const Cpu& cpu, const ProjectionPlan& plan, const float* turned, View3<float> images) {
  const ImageWindow window = plan.turned()->window();
  const index_t ny = plan.volume().ny;
  for_each_tilt(cpu, plan, [&](index_t tilt, const Turn&, Buffer<float>* scratch) {
    const float* image = turned + tilt * window.height * window.width;
    for (index_t row = 0; row < ny; row += ProjectionPlan::kSlabRows) {
      const Turn turn = plan.turn(tilt, {row, std::min(ny, row + ProjectionPlan::kSlabRows)});
      turn_back(plan.turn_table(), turn, image + (turn.js.begin - window.row) * window.width, window.width,
                image_of(images, tilt), scratch);
    }
  });
}

index_t turned_scratch_bytes(const ProjectionPlan& plan, index_t threads, index_t of_turned) {
  const index_t turning = 3 * std::min(threads, plan.tilts()) * most_scratch(plan) * index_t{sizeof(float)};
  return turned_view(plan, nullptr).size() * index_t{sizeof(float)} + std::max(turning, of_turned);
}

}  // namespace cryolith
