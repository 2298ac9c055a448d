// SPDX-License-Identifier: BSD-3-Clause
#include "detect/gaussian_samples.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "detect/scale_kernels.hpp"

namespace cryolith::detect {
namespace {

// Standard deviations: 2e-5 of a Gaussian's sum lie beyond the first; a blob is 4e-6 of its peak at the second.
constexpr double kReach = 4.5, kDrawn = 5;

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

void check_row(index_t row, index_t nx) {
  require(nx >= 1 && nx <= row, "nx: found ", nx, ", expected 1 to ", row, ", the length of a row");
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

double dot(const std::vector<double>& a, const double* b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

void sample(View3<const float> field, index_t nx, const double* place, double width, double* out) {
  const index_t ny = field.extent[1];
  const Kernel kz(place[0], width, field.extent[0]), ky(place[1], width, ny), kx(place[2], width, nx);
  const auto weigh = CRYOLITH_SELECT(weigh_rows);
  const auto n = static_cast<index_t>(kx.size()), count = static_cast<index_t>(ky.size());
  const bool wraps = kx.at.back() - kx.at.front() != n - 1;
  std::vector<float> patch(wraps ? kx.size() * ky.size() : 0);
  std::vector<const float*> rows(ky.size());
  // Over y first, weighted in three ways, and along x once for each z: no sum runs along the inner loop.
  std::vector<double> sums(3 * kx.size());
  const double *plain = sums.data(), *along = plain + n, *bent = along + n;
  std::fill(out, out + 7, 0.0);
  for (std::size_t z = 0; z < kz.size(); ++z) {
    for (std::size_t y = 0; y < ky.size(); ++y) {
      const float* from = field.data + (kz.at[z] * ny + ky.at[y]) * field.extent[2];
      float* copy = patch.data() + y * kx.size();
      if (wraps)
        for (std::size_t x = 0; x < kx.size(); ++x) copy[x] = from[kx.at[x]];
      rows[y] = wraps ? copy : from + kx.at.front();
    }
    weigh(rows.data(), count, n, {ky.value.data(), ky.slope.data(), ky.bend.data()}, sums.data());
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
    const double reach = std::ceil(kDrawn * width);
    begin = std::clamp(static_cast<index_t>(std::floor(place - reach)), index_t{0}, n);
    end = std::clamp(static_cast<index_t>(std::floor(place + reach)) + 2, index_t{0}, n);
    for (index_t i = begin; i < end; ++i) {
      const double u = (static_cast<double>(i) - place) / width;
      value.push_back(static_cast<float>(height * std::exp(-0.5 * u * u)));
    }
  }
};

}  // namespace

void gaussian_samples(const Cpu& cpu, View3<const float> field, index_t nx, View2<const double> places,
                      View1<const double> widths, View2<double> samples) {
  check(places, widths);
  check_row(field.extent[2], nx);
  const index_t n = places.extent[0];
  require(samples.extent[0] == n && samples.extent[1] == 7, "samples: found (", samples.extent[0], ", ",
          samples.extent[1], "), expected (", n, ", 7)");
  parallel_for(cpu, n,
               [&](index_t i, int) { sample(field, nx, places.data + 3 * i, widths.data[i], samples.data + 7 * i); });
}

void add_gaussians(const Cpu& cpu, View2<const double> places, View1<const double> widths, View1<const double> heights,
                   View3<float> volume, index_t nx) {
  check(places, widths);
  check_row(volume.extent[2], nx);
  const index_t n = places.extent[0], ny = volume.extent[1], row_size = volume.extent[2];
  const index_t extent[3] = {volume.extent[0], ny, nx};
  require(heights.extent[0] == n, "heights: found ", heights.extent[0], " numbers, expected ", n, ", one a place");
  std::vector<Profile> profiles;
  for (index_t i = 0; i < n; ++i)
    for (int a = 0; a < 3; ++a)
      profiles.emplace_back(places.data[3 * i + a], widths.data[i], extent[a], a == 0 ? heights.data[i] : 1.0);
  // A block owns one layer: blobs that overlap are added in their order.
  parallel_for(cpu, volume.extent[0], [&](index_t z, int) {
    for (std::size_t i = 0; i < profiles.size(); i += 3) {
      const Profile &pz = profiles[i], &py = profiles[i + 1], &px = profiles[i + 2];
      if (z < pz.begin || z >= pz.end) continue;
      for (index_t y = py.begin; y < py.end; ++y) {
        const float g =
            pz.value[static_cast<std::size_t>(z - pz.begin)] * py.value[static_cast<std::size_t>(y - py.begin)];
        float* row = volume.data + (z * ny + y) * row_size + px.begin;
        for (std::size_t x = 0; x < px.value.size(); ++x) row[x] += g * px.value[x];
      }
    }
  });
}

}  // namespace cryolith::detect
