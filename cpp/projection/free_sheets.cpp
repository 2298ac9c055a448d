// SPDX-License-Identifier: BSD-3-Clause
#include "projection/free_sheets.hpp"

#include <algorithm>
#include <vector>

namespace cryolith {
namespace {

template <class T>
View2<T> image_of(View3<T> images, index_t view) {
  return {images.data + view * images.extent[1] * images.extent[2], {images.extent[1], images.extent[2]}};
}

// Calls body(view, turn, first float of the view's sheet, scratch) for each view: it owns its image and its sheet.
template <class Body>
void for_each_view(const Cpu& cpu, const FreePlan& plan, const FreePlan::Group& group, const Body& body) {
  struct Scratch {
    Buffer<float> buffers[3];
  };
  const index_t size = sheet_scratch_bytes(plan) / (3 * index_t{sizeof(float)});
  std::vector<Scratch> scratch(static_cast<std::size_t>(resolve_threads(cpu)));
  parallel_for(cpu, group.end - group.begin, [&](index_t job, int worker) {
    Scratch& s = scratch[static_cast<std::size_t>(worker)];
    if (s.buffers[0].size() == 0)
      for (Buffer<float>& buffer : s.buffers) buffer = Buffer<float>(size);
    const index_t view = group.begin + job;
    body(view, plan.turn(view), group.first[static_cast<std::size_t>(job)], s.buffers);
  });
}

}  // namespace

void sample_sheets(const Cpu& cpu, const FreePlan& plan, const FreePlan::Group& group, View3<const float> images,
                   float* sheets) {
  for_each_view(cpu, plan, group, [&](index_t view, const Turn& turn, index_t first, Buffer<float>* scratch) {
    turn_image(plan.table(), turn, image_of(images, view), sheets + first, plan.sheet(view).stride, scratch);
  });
}

void scatter_sheets(const Cpu& cpu, const FreePlan& plan, const FreePlan::Group& group, const float* sheets,
                    View3<float> images) {
  for_each_view(cpu, plan, group, [&](index_t view, const Turn& turn, index_t first, Buffer<float>* scratch) {
    turn_back(plan.table(), turn, sheets + first, plan.sheet(view).stride, image_of(images, view), scratch);
  });
}

index_t sheet_scratch_bytes(const FreePlan& plan) {
  index_t most = 0;
  for (index_t view = 0; view < plan.views(); ++view) most = std::max(most, turn_scratch(plan.turn(view)));
  return 3 * most * index_t{sizeof(float)};
}

}  // namespace cryolith
