// SPDX-License-Identifier: BSD-3-Clause
#include "detect/gaussian_samples.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

namespace cryolith::detect {
namespace {

constexpr double kReach = 5;  // standard deviations

void check(View2<const double> places, View1<const double> widths) {
  const index_t n = places.extent[0];
  require(places.extent[1] == 3, "places: found ", places.extent[1], " columns, expected 3: z, y, x");
  require(widths.extent[0] == n, "widths: found ", widths.extent[0], " numbers, expected ", n, ", one a place");
  for (index_t i = 0; i < n; ++i) {
    require(widths.data[i] > 0 && widths.data[i] < 1e4, "widths: found ", widths.data[i],
            ", expected more than 0 and less than 10000 px");
    for (index_t a = 0; a < 3; ++a)
      require(std::abs(places.data[3 * i + a]) < 1e9, "places: found ", places.data[3 * i + a],
              ", expected voxels of the field");
  }
}

// The Gaussian about `place` along one axis, its first and second derivative with respect to the place, and which
// voxels of the periodic axis they belong to.
struct Kernel {
  std::vector<double> value, slope, bend;
  std::vector<index_t> at;

  Kernel(double place, double width, index_t n) {
    const auto reach = static_cast<index_t>(std::ceil(kReach * width)) + 1;
    const auto middle = static_cast<index_t>(std::floor(place));
    const double norm = 1 / (width * std::sqrt(2 * std::numbers::pi));
    for (index_t i = middle - reach; i <= middle + reach + 1; ++i) {
      const double u = (static_cast<double>(i) - place) / width, g = norm * std::exp(-0.5 * u * u);
      value.push_back(g);
      slope.push_back(g * u / width);
      bend.push_back(g * (u * u - 1) / (width * width));
      at.push_back((i % n + n) % n);
    }
  }
  std::size_t size() const { return at.size(); }
};

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

void sample(View3<const float> field, const double* place, double width, double* out) {
  const index_t ny = field.extent[1], nx = field.extent[2];
  const Kernel kz(place[0], width, field.extent[0]), ky(place[1], width, ny), kx(place[2], width, nx);
  // Rows are summed over y first, weighted in three ways, and along x once for each z: no sum runs along the inner
  // loop.
  std::vector<double> row(kx.size()), plain(kx.size()), along(kx.size()), bent(kx.size());
  std::fill(out, out + 7, 0.0);
  for (std::size_t z = 0; z < kz.size(); ++z) {
    for (auto* sums : {&plain, &along, &bent}) std::fill(sums->begin(), sums->end(), 0.0);
    for (std::size_t y = 0; y < ky.size(); ++y) {
      const float* from = field.data + (kz.at[z] * ny + ky.at[y]) * nx;
      for (std::size_t x = 0; x < row.size(); ++x) row[x] = static_cast<double>(from[kx.at[x]]);
      const double g = ky.value[y], slope = ky.slope[y], bend = ky.bend[y];
      for (std::size_t x = 0; x < row.size(); ++x) {
        plain[x] += g * row[x];
        along[x] += slope * row[x];
        bent[x] += bend * row[x];
      }
    }
    const double value = dot(kx.value, plain), g = kz.value[z];
    out[0] += g * value;
    out[1] += kz.slope[z] * value;
    out[2] += g * dot(kx.value, along);
    out[3] += g * dot(kx.slope, plain);
    out[4] += kz.bend[z] * value;
    out[5] += g * dot(kx.value, bent);
    out[6] += g * dot(kx.bend, plain);
  }
}

// What a blob is along one axis, and the voxels of it that lie inside.
struct Profile {
  std::vector<float> value;
  index_t begin, end;

  Profile(double place, double width, index_t n, double height) {
    const double reach = std::ceil(kReach * width);
    begin = std::clamp(static_cast<index_t>(std::floor(place - reach)), index_t{0}, n);
    end = std::clamp(static_cast<index_t>(std::floor(place + reach)) + 2, index_t{0}, n);
    for (index_t i = begin; i < end; ++i) {
      const double u = (static_cast<double>(i) - place) / width;
      value.push_back(static_cast<float>(height * std::exp(-0.5 * u * u)));
    }
  }
};

}  // namespace

void gaussian_samples(const Cpu& cpu, View3<const float> field, View2<const double> places, View1<const double> widths,
                      View2<double> samples) {
  check(places, widths);
  const index_t n = places.extent[0];
  require(samples.extent[0] == n && samples.extent[1] == 7, "samples: found (", samples.extent[0], ", ",
          samples.extent[1], "), expected (", n, ", 7)");
  parallel_for(cpu, n,
               [&](index_t i, int) { sample(field, places.data + 3 * i, widths.data[i], samples.data + 7 * i); });
}

void add_gaussians(const Cpu& cpu, View2<const double> places, View1<const double> widths, View1<const double> heights,
                   View3<float> volume) {
  check(places, widths);
  const index_t n = places.extent[0], ny = volume.extent[1], nx = volume.extent[2];
  require(heights.extent[0] == n, "heights: found ", heights.extent[0], " numbers, expected ", n, ", one a place");
  std::vector<Profile> profiles;
  for (index_t i = 0; i < n; ++i)
    for (int a = 0; a < 3; ++a)
      profiles.emplace_back(places.data[3 * i + a], widths.data[i], volume.extent[a], a == 0 ? heights.data[i] : 1.0);
  // A block owns one layer: blobs that overlap are added in their order.
  parallel_for(cpu, volume.extent[0], [&](index_t z, int) {
    for (std::size_t i = 0; i < profiles.size(); i += 3) {
      const Profile &pz = profiles[i], &py = profiles[i + 1], &px = profiles[i + 2];
      if (z < pz.begin || z >= pz.end) continue;
      for (index_t y = py.begin; y < py.end; ++y) {
        const float g =
            pz.value[static_cast<std::size_t>(z - pz.begin)] * py.value[static_cast<std::size_t>(y - py.begin)];
        float* row = volume.data + (z * ny + y) * nx + px.begin;
        for (std::size_t x = 0; x < px.value.size(); ++x) row[x] += g * px.value[x];
      }
    }
  });
}

}  // namespace cryolith::detect
