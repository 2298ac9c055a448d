// SPDX-License-Identifier: BSD-3-Clause
#include "projection/local.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/buffer.hpp"
#include "core/error.hpp"
#include "projection/moved_rows.hpp"
#include "projection/plan.hpp"

namespace cryolith {
namespace {

// Zeros around an image: positions outside are held where all taps see them, none beyond.
constexpr index_t kPad = 2 * kTaps;
constexpr float kMostPixels = 1e6f;

struct Scratch {
  Buffer<float> image, nodes;  // with its padding; one row of nodes of either displacement
  Buffer<index_t> rows, columns;

  Scratch(index_t height, index_t width, index_t node_columns)
      : image((height + 2 * kPad) * (width + 2 * kPad)), nodes(2 * node_columns), rows(width), columns(width) {}
};

index_t position(index_t pixel, float displacement, index_t extent) {
  constexpr double unit = static_cast<double>(index_t{1} << kPositionBits);
  const double at = static_cast<double>(pixel) + static_cast<double>(displacement);
  const double held = std::clamp(at, -0.5 * kTaps, static_cast<double>(extent - 1) + 0.5 * kTaps);
  return static_cast<index_t>((held + static_cast<double>(kPad)) * unit);  // positive: cut off is rounded down
}

// Positions of a row of pixels, in the padded image.
void place_row(const LocalField& field, index_t tilt, index_t r, index_t height, index_t width, Scratch& s) {
  const index_t ny = field.nodes.extent[2], nx = field.nodes.extent[3], spacing = field.spacing;
  const index_t y = r / spacing;
  const float step = 1.0f / static_cast<float>(spacing), down = static_cast<float>(r % spacing) * step;
  for (index_t axis = 0; axis < 2; ++axis) {
    const float* upper = field.nodes.data + ((tilt * 2 + axis) * ny + y) * nx;
    const float* lower = upper + (y + 1 < ny ? nx : 0);
    for (index_t x = 0; x < nx; ++x) s.nodes.data()[axis * nx + x] = upper[x] + down * (lower[x] - upper[x]);
  }
  for (index_t c = 0; c < width; ++c) {
    const index_t x = c / spacing, next = std::min(x + 1, nx - 1);
    const float across = static_cast<float>(c % spacing) * step;
    const auto at = [&](const float* n) { return n[x] + across * (n[next] - n[x]); };
    s.rows.data()[c] = position(r, at(s.nodes.data()), height);
    s.columns.data()[c] = position(c, at(s.nodes.data() + nx), width);
  }
}

void require_field(const LocalField& field, View3<const float> images, View3<const float> out) {
  const index_t covered[2] = {field.nodes.extent[2], field.nodes.extent[3]};
  require(field.spacing >= 1, "spacing: found ", field.spacing, ", expected at least 1");
  require(field.nodes.extent[0] == images.extent[0] && field.nodes.extent[1] == 2, "nodes: found ",
          field.nodes.extent[0], " x ", field.nodes.extent[1], ", expected ", images.extent[0], " images x 2");
  for (int axis = 0; axis < 2; ++axis) {
    const index_t extent = images.extent[axis + 1];
    require(extent > 0 && (covered[axis] - 1) * field.spacing >= extent - 1, "nodes: found ", covered[axis],
            " along axis ", axis, ", expected enough for ", extent, " pixels");
  }
  for (int axis = 0; axis < 3; ++axis)
    require(out.extent[axis] == images.extent[axis], "out: found another shape than that of the images");
  for (index_t i = 0; i < field.nodes.size(); ++i)
    require(std::abs(field.nodes.data[i]) <= kMostPixels, "nodes: found ", field.nodes.data[i],
            " px, expected finite displacements of at most ", kMostPixels, " px");
}

// Calls body(tilt, scratch) for each tilt, whose image one thread owns.
template <class Body>
void for_each_tilt(const Cpu& cpu, const LocalField& field, View3<const float> images, const Body& body) {
  std::vector<std::vector<Scratch>> scratch(static_cast<std::size_t>(resolve_threads(cpu)));
  parallel_for(cpu, images.extent[0], [&](index_t tilt, int worker) {
    if (cpu.cancel != nullptr && cpu.cancel->cancelled()) throw Cancelled();
    std::vector<Scratch>& s = scratch[static_cast<std::size_t>(worker)];
    if (s.empty()) s.emplace_back(images.extent[1], images.extent[2], field.nodes.extent[3]);
    body(tilt, s.front());
  });
}

}  // namespace

void straighten(const Cpu& cpu, const LocalField& field, View3<const float> images, View3<float> out) {
  require_field(field, images, out);
  const Buffer<float> weights = tap_table(kTaps, kKaiserBeta);
  const index_t height = images.extent[1], width = images.extent[2], stride = width + 2 * kPad;
  const auto sample = CRYOLITH_SELECT(sample_moved);
  for_each_tilt(cpu, field, images, [&](index_t tilt, Scratch& s) {
    std::fill_n(s.image.data(), s.image.size(), 0.0f);
    for (index_t r = 0; r < height; ++r)
      std::copy_n(images.data + (tilt * height + r) * width, width, s.image.data() + (r + kPad) * stride + kPad);
    for (index_t r = 0; r < height; ++r) {
      place_row(field, tilt, r, height, width, s);
      sample({weights.data()}, s.image.data(), stride, {s.rows.data(), s.columns.data(), width},
             out.data + (tilt * height + r) * width);
    }
  });
}

void bend(const Cpu& cpu, const LocalField& field, View3<const float> straight, View3<float> out) {
  require_field(field, straight, out);
  const Buffer<float> weights = tap_table(kTaps, kKaiserBeta);
  const index_t height = straight.extent[1], width = straight.extent[2], stride = width + 2 * kPad;
  const auto spread = CRYOLITH_SELECT(spread_moved);
  for_each_tilt(cpu, field, straight, [&](index_t tilt, Scratch& s) {
    std::fill_n(s.image.data(), s.image.size(), 0.0f);
    for (index_t r = 0; r < height; ++r) {
      place_row(field, tilt, r, height, width, s);
      spread({weights.data()}, straight.data + (tilt * height + r) * width, {s.rows.data(), s.columns.data(), width},
             s.image.data(), stride);
    }
    for (index_t r = 0; r < height; ++r)
      std::copy_n(s.image.data() + (r + kPad) * stride + kPad, width, out.data + (tilt * height + r) * width);
  });
}

index_t local_scratch_bytes(index_t height, index_t width, index_t threads) {
  const index_t image = (height + 2 * kPad) * (width + 2 * kPad) * index_t{sizeof(float)};
  return threads * (image + 2 * width * index_t{sizeof(index_t)});
}

}  // namespace cryolith
