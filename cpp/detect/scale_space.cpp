// SPDX-License-Identifier: BSD-3-Clause
#include "detect/scale_space.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/buffer.hpp"

namespace cryolith::detect {
namespace {

constexpr double kPi = std::numbers::pi;

// Radians per voxel of each term of an axis, in the order of the transform.
std::vector<double> frequencies(index_t n, index_t terms) {
  std::vector<double> k(static_cast<std::size_t>(terms));
  for (index_t i = 0; i < terms; ++i)
    k[static_cast<std::size_t>(i)] = 2 * kPi * static_cast<double>(i <= n / 2 ? i : i - n) / static_cast<double>(n);
  return k;
}

std::vector<float> gaussian(index_t n, index_t terms, double decay) {
  std::vector<float> g;
  for (const double k : frequencies(n, terms)) g.push_back(static_cast<float>(std::exp(-0.5 * decay * k * k)));
  return g;
}

void blur(const Cpu& cpu, const ScaleSpace& space, double decay, std::complex<float>* out) {
  const index_t nz = space.base.extent[0], ny = space.base.extent[1], terms = space.base.extent[2];
  const auto gz = gaussian(nz, nz, decay), gy = gaussian(ny, ny, decay), gx = gaussian(space.nx, terms, decay);
  parallel_for(cpu, nz, [&](index_t z, int) {
    for (index_t y = 0; y < ny; ++y) {
      const float g = gz[static_cast<std::size_t>(z)] * gy[static_cast<std::size_t>(y)];
      const std::complex<float>* from = space.base.data + (z * ny + y) * terms;
      std::complex<float>* to = out + (z * ny + y) * terms;
      for (index_t x = 0; x < terms; ++x) to[x] = from[x] * (g * gx[static_cast<std::size_t>(x)]);
    }
  });
}

}  // namespace

std::vector<Peak> scale_space_maxima(const Cpu& cpu, const ScaleSpace& space, index_t margin, float threshold,
                                     float middle, View1<double> share) {
  const index_t nz = space.base.extent[0], ny = space.base.extent[1], nx = space.nx;
  const index_t scales = space.decays.extent[0];
  require(space.base.extent[2] == nx / 2 + 1, "base: found ", space.base.extent[2], " terms along x, expected ",
          nx / 2 + 1, " for ", nx, " voxels");
  require(scales >= 1, "decays: found none, expected one or more");
  require(space.gains.extent[0] == scales && share.extent[0] == scales, "gains, share: found ", space.gains.extent[0],
          " and ", share.extent[0], " numbers, expected ", scales, " as in decays");
  const index_t shape[3] = {nz, ny, nx};
  const fft::Plan plan(shape, 3, fft::Kind::real);
  fft::Workspace scratch;
  const auto voxels = static_cast<std::size_t>(nz * ny * nx);
  std::vector<std::complex<float>> blurred(static_cast<std::size_t>(space.base.size()));
  std::vector<std::vector<float>> fields(static_cast<std::size_t>(std::min<index_t>(3, scales)));
  for (auto& field : fields) field.resize(voxels);
  auto field = [&](index_t i) {
    return i < 0 || i >= scales ? nullptr : fields[static_cast<std::size_t>(i % 3)].data();
  };
  auto fill = [&](index_t i) {
    if (i >= scales) return;
    blur(cpu, space, space.decays.data[i], blurred.data());
    const double gain = space.gains.data[i] / static_cast<double>(voxels);
    plan.inverse(cpu, blurred.data(), field(i), static_cast<float>(gain), scratch);
  };
  std::vector<Peak> peaks;
  const auto inner = static_cast<double>((nz - 2 * margin) * (ny - 2 * margin) * (nx - 2 * margin));
  fill(0);
  for (index_t i = 0; i < scales; ++i) {
    fill(i + 1);
    const Scales near{field(i - 1), field(i), field(i + 1)};
    const index_t within = scale_maxima(cpu, near, shape, margin, static_cast<double>(i), threshold, middle, peaks);
    share.data[i] = static_cast<double>(within) / inner;
  }
  return peaks;
}

void spectrum_sums(const Cpu& cpu, View3<const float> weight, index_t nx, View2<double> sums) {
  const index_t nz = weight.extent[0], ny = weight.extent[1], terms = weight.extent[2];
  const index_t bins = sums.extent[0];
  require(terms == nx / 2 + 1, "weight: found ", terms, " terms along x, expected ", nx / 2 + 1, " for ", nx,
          " voxels");
  const index_t columns = sums.extent[1];
  require(bins >= 1 && (columns == 1 || columns == 7), "sums: found (", bins, ", ", columns,
          "), expected (bins, 7) or (bins, 1)");
  const auto kz = frequencies(nz, nz), ky = frequencies(ny, ny), kx = frequencies(nx, terms);
  auto edge = [](index_t i, index_t n) { return n % 2 == 0 && i == n / 2; };
  const double per_bin = static_cast<double>(bins) / (std::sqrt(3.0) * kPi * (1 + 1e-12));
  // A fixed number of parts, added in order: the same bytes for any number of threads.
  const index_t parts = std::min<index_t>(16, nz);
  const auto size = static_cast<std::size_t>(bins * columns);
  std::vector<double> partial(static_cast<std::size_t>(parts) * size, 0.0);
  parallel_for(cpu, parts, [&](index_t part, int) {
    double* to = partial.data() + static_cast<std::size_t>(part) * size;
    for (index_t z = part * nz / parts; z < (part + 1) * nz / parts; ++z)
      for (index_t y = 0; y < ny; ++y) {
        const double a = kz[static_cast<std::size_t>(z)], b = ky[static_cast<std::size_t>(y)];
        const bool az = edge(z, nz), by = edge(y, ny);
        const float* row = weight.data + (z * ny + y) * terms;
        for (index_t x = 0; x < terms; ++x) {
          const double c = kx[static_cast<std::size_t>(x)];
          const bool cx = edge(x, nx);
          const double w = static_cast<double>(row[x]) * (x == 0 || cx ? 1.0 : 2.0);
          double* bin = to + columns * static_cast<index_t>(std::sqrt(a * a + b * b + c * c) * per_bin);
          bin[0] += w;
          if (columns == 1) continue;
          bin[1] += w * a * a;
          bin[2] += w * b * b;
          bin[3] += w * c * c;
          bin[4] += az || by ? 0.0 : w * a * b;
          bin[5] += az || cx ? 0.0 : w * a * c;
          bin[6] += by || cx ? 0.0 : w * b * c;
        }
      }
  });
  std::fill(sums.data, sums.data + size, 0.0);
  for (index_t part = 0; part < parts; ++part)
    for (std::size_t i = 0; i < size; ++i) sums.data[i] += partial[static_cast<std::size_t>(part) * size + i];
}

}  // namespace cryolith::detect
