// SPDX-License-Identifier: BSD-3-Clause
#include "detect/scale_space.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "detect/scale_kernels.hpp"

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

void blur(const Cpu& cpu, const ScaleSpace& space, double decay, float* out) {
  const index_t nz = space.base.extent[0], ny = space.base.extent[1], terms = space.base.extent[2];
  const auto gz = axis_gaussian(nz, nz, decay), gy = axis_gaussian(ny, ny, decay);
  const auto gx = axis_gaussian(space.nx, terms, decay);
  const auto scale = CRYOLITH_SELECT(scale_row);
  parallel_for(cpu, nz, [&](index_t z, int) {
    for (index_t y = 0; y < ny; ++y) {
      const index_t at = (z * ny + y) * terms;
      const float g = gz[static_cast<std::size_t>(z)] * gy[static_cast<std::size_t>(y)];
      scale(reinterpret_cast<const float*>(space.base.data + at), gx.data(), g, terms, out + 2 * at);
    }
  });
}

}  // namespace

std::vector<float> axis_gaussian(index_t n, index_t terms, double decay) {
  std::vector<float> g;
  for (const double k : frequencies(n, terms)) g.push_back(static_cast<float>(std::exp(-0.5 * decay * k * k)));
  return g;
}

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
  const index_t voxels = nz * ny * nx;
  const index_t terms = nx / 2 + 1, kept = std::min<index_t>(3, scales);
  const index_t expected[4] = {kept, nz, ny, 2 * terms};
  for (int d = 0; d < 4; ++d)
    require(space.fields.extent[d] == expected[d], "fields: found ", space.fields.extent[d], " along axis ", d,
            ", expected ", expected[d]);
  auto field = [&](index_t i) {
    return i < 0 || i >= scales ? nullptr : space.fields.data + i % 3 * nz * ny * 2 * terms;
  };
  auto fill = [&](index_t i) {
    if (i >= scales) return;
    // In place: the rows of a field have room for their half spectrum.
    blur(cpu, space, space.decays.data[i], field(i));
    const double gain = space.gains.data[i] / static_cast<double>(voxels);
    const index_t in[3] = {ny * terms, terms, 1}, out[3] = {2 * ny * terms, 2 * terms, 1};
    const fft::Strided<const std::complex<float>> from(reinterpret_cast<std::complex<float>*>(field(i)), in);
    plan.inverse(cpu, from, {field(i), out}, static_cast<float>(gain), scratch);
  };
  std::vector<Peak> peaks;
  const auto inner = static_cast<double>((nz - 2 * margin) * (ny - 2 * margin) * (nx - 2 * margin));
  fill(0);
  for (index_t i = 0; i < scales; ++i) {
    fill(i + 1);
    const Scales near{field(i - 1), field(i), field(i + 1), 2 * terms};
    const index_t within = scale_maxima(cpu, near, shape, margin, static_cast<double>(i), threshold, middle, peaks);
    share.data[i] = static_cast<double>(within) / inner;
  }
  return peaks;
}

void subtract_weighted(const Cpu& cpu, View3<const std::complex<float>> base, View3<const float> weight,
                       View3<std::complex<float>> rest) {
  for (int d = 0; d < 3; ++d)
    require(base.extent[d] == rest.extent[d] && weight.extent[d] == rest.extent[d], "base, weight: found ",
            base.extent[d], " and ", weight.extent[d], " along axis ", d, ", expected ", rest.extent[d], " as in rest");
  const index_t layer = rest.extent[1] * rest.extent[2];
  const auto subtract = CRYOLITH_SELECT(rest_row);
  parallel_for(cpu, rest.extent[0], [&](index_t z, int) {
    subtract(reinterpret_cast<const float*>(base.data + z * layer), weight.data + z * layer, layer,
             reinterpret_cast<float*>(rest.data + z * layer));
  });
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
  const double per_bin = static_cast<double>(bins) / (std::sqrt(3.0) * kPi * (1 + 1e-12));
  // A fixed number of parts, added in order: the same bytes for any number of threads.
  const index_t half = nz / 2 + 1, parts = std::min<index_t>(16, half);
  const auto size = static_cast<std::size_t>(bins * columns);
  std::vector<double> partial(static_cast<std::size_t>(parts) * size, 0.0);
  const auto fold = CRYOLITH_SELECT(fold_rows);
  parallel_for(cpu, parts, [&](index_t part, int) {
    double* to = partial.data() + static_cast<std::size_t>(part) * size;
    std::vector<float> folded(static_cast<std::size_t>(4 * terms));
    const float *all = folded.data(), *zy = all + terms, *zx = zy + terms, *yx = zx + terms;
    for (index_t z = part * half / parts; z < (part + 1) * half / parts; ++z)
      for (index_t y = 0; y <= ny / 2; ++y) {
        const double a = kz[static_cast<std::size_t>(z)], b = ky[static_cast<std::size_t>(y)];
        const index_t pair[2] = {z, (nz - z) % nz}, side[2] = {y, (ny - y) % ny};
        const float* rows[4];
        for (int i = 0; i < 4; ++i) rows[i] = weight.data + (pair[i / 2] * ny + side[i % 2]) * terms;
        fold(rows, terms, folded.data());
        // A frequency that is its own negative was counted twice, and its products cancel.
        const double once = (pair[0] == pair[1] ? 0.5 : 1.0) * (side[0] == side[1] ? 0.5 : 1.0);
        for (index_t x = 0; x < terms; ++x) {
          const double c = kx[static_cast<std::size_t>(x)];
          const bool single = x == 0 || 2 * x == nx;
          const double share = once * (single ? 1.0 : 2.0);
          const double w = share * static_cast<double>(all[x]);
          double* bin = to + columns * static_cast<index_t>(std::sqrt(a * a + b * b + c * c) * per_bin);
          bin[0] += w;
          if (columns == 1) continue;
          bin[1] += w * a * a;
          bin[2] += w * b * b;
          bin[3] += w * c * c;
          bin[4] += share * a * b * static_cast<double>(zy[x]);
          if (single) continue;
          bin[5] += share * a * c * static_cast<double>(zx[x]);
          bin[6] += share * b * c * static_cast<double>(yx[x]);
        }
      }
  });
  std::fill(sums.data, sums.data + size, 0.0);
  for (index_t part = 0; part < parts; ++part)
    for (std::size_t i = 0; i < size; ++i) sums.data[i] += partial[static_cast<std::size_t>(part) * size + i];
}

}  // namespace cryolith::detect
