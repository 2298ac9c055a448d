// SPDX-License-Identifier: BSD-3-Clause
#include "reconstruct/variation.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "reconstruct/parts.hpp"

namespace cryolith {
namespace {

// Rows are the blocks' elements: a row knows its neighbours along y and z as pointers, null beyond the volume's face.
struct Row {
  index_t start;  // of the row, in elements
  const index_t (&extent)[3];
  bool last_z, last_y, first_z, first_y;
};
Row row_of(const index_t (&extent)[3], index_t i) {
  const index_t z = i / extent[1], y = i % extent[1];
  return Row{i * extent[2], extent, z + 1 == extent[0], y + 1 == extent[1], z == 0, y == 0};
}

// Calls body(row) for every row of a volume.
template <class Body>
void for_rows(const Cpu& cpu, const index_t (&extent)[3], const Body& body) {
  sum_rows<0>(cpu, extent[0] * extent[1], extent[2], [&](index_t i) {
    body(row_of(extent, i));
    return std::array<double, 0>{};
  });
}

// Largest value that the row's voxel and its three forward neighbours have together: the norm of D metric D' there is
// at most 2 (sum of a) (largest a) times it (row sums; Pock & Chambolle 2011, lemma 2).
inline float reach(const float* m, index_t x, index_t nx, index_t to_y, index_t to_z) {
  const float right = x + 1 < nx ? m[x + 1] : m[x];
  return m[x] + std::max(std::max(m[x + to_y], m[x + to_z]), right);
}

void ascend_row(const Variation& v, const Row& row, const float* metric, const float* volume, float* dual) {
  const index_t nx = row.extent[2], size = row.extent[0] * row.extent[1] * nx;
  const index_t to_y = row.last_y ? 0 : nx, to_z = row.last_z ? 0 : row.extent[1] * nx;
  const float *m = metric + row.start, *u = volume + row.start;
  float *qz = dual + row.start, *qy = qz + size, *qx = qy + size;
  const float steepest = std::max({v.axis[0], v.axis[1], v.axis[2]});
  const float norm = 2.0f * steepest * (v.axis[0] + v.axis[1] + v.axis[2]);
  for (index_t x = 0; x < nx; ++x) {
    const float s = 1.0f / std::max(norm * reach(m, x, nx, to_y, to_z), 1e-30f);
    const float right = x + 1 < nx ? u[x + 1] - u[x] : 0.0f;
    const float soft = 1.0f / (1.0f + s * v.huber / v.strength);
    const float z = soft * (qz[x] + s * v.axis[0] * (u[x + to_z] - u[x]));
    const float y = soft * (qy[x] + s * v.axis[1] * (u[x + to_y] - u[x]));
    const float h = soft * (qx[x] + s * v.axis[2] * right);
    const float scale = v.strength / std::max(v.strength, std::sqrt(z * z + y * y + h * h));
    qz[x] = z * scale;
    qy[x] = y * scale;
    qx[x] = h * scale;
  }
}

void primal_row(const Variation& v, const Row& row, const float* metric, const float* z, const float* dual,
                Bounds bounds, float* volume) {
  const index_t nx = row.extent[2], size = row.extent[0] * row.extent[1] * nx;
  const float *qz = dual + row.start, *qy = qz + size, *qx = qy + size;
  const float* above_z = qz - (row.first_z ? 0 : row.extent[1] * nx);
  const float* above_y = qy - (row.first_y ? 0 : nx);
  const float from_z = row.first_z ? 0.0f : v.axis[0], from_y = row.first_y ? 0.0f : v.axis[1];
  for (index_t x = 0; x < nx; ++x) {
    const float m = metric[row.start + x], left = x > 0 ? qx[x - 1] : 0.0f;
    const float transposed =
        from_z * above_z[x] - v.axis[0] * qz[x] + from_y * above_y[x] - v.axis[1] * qy[x] + v.axis[2] * (left - qx[x]);
    const float moved = std::min(bounds.upper, std::max(bounds.lower, z[row.start + x] - m * transposed));
    if (m > 0.0f) volume[row.start + x] = moved;
  }
}

double roughness_row(const Row& row, float factor, const float* volume, float* descent) {
  const index_t nx = row.extent[2], plane = row.extent[1] * nx;
  const float* u = volume + row.start;
  float* d = descent + row.start;
  double sum = 0.0;
  for (index_t x = 0; x < nx; ++x) {
    const float below_z = row.last_z ? 0.0f : u[x + plane] - u[x], above_z = row.first_z ? 0.0f : u[x] - u[x - plane];
    const float below_y = row.last_y ? 0.0f : u[x + nx] - u[x], above_y = row.first_y ? 0.0f : u[x] - u[x - nx];
    const float right = x + 1 < nx ? u[x + 1] - u[x] : 0.0f, left = x > 0 ? u[x] - u[x - 1] : 0.0f;
    d[x] -= factor * (above_z - below_z + above_y - below_y + left - right);
    sum += static_cast<double>(below_z) * below_z + static_cast<double>(below_y) * below_y +
           static_cast<double>(right) * right;
  }
  return sum;
}

}  // namespace

void ascend_dual(const Cpu& cpu, const Variation& variation, View3<const float> metric, View3<const float> volume,
                 View<float, 4> dual) {
  for_rows(cpu, volume.extent,
           [&](const Row& row) { ascend_row(variation, row, metric.data, volume.data, dual.data); });
}

void primal_from_dual(const Cpu& cpu, const Variation& variation, View3<const float> metric, View3<const float> z,
                      View<const float, 4> dual, Bounds bounds, View3<float> volume) {
  for_rows(cpu, volume.extent,
           [&](const Row& row) { primal_row(variation, row, metric.data, z.data, dual.data, bounds, volume.data); });
}

void gradient_step(const Cpu& cpu, View1<const float> ahead, View1<const float> metric, View1<float> z) {
  for_parts(cpu, z.extent[0], [&](index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i) z.data[i] = ahead.data[i] + metric.data[i] * z.data[i];
  });
}

ExactSum uphill(const Cpu& cpu, View3<const float> ahead, View3<const float> volume, View3<const float> earlier) {
  const index_t nx = volume.extent[2];
  return sum_rows<1>(cpu, volume.extent[0] * volume.extent[1], nx, [&](index_t row) {
    double sum = 0.0;
    for (index_t i = row * nx; i < (row + 1) * nx; ++i)
      sum += static_cast<double>(ahead.data[i] - volume.data[i]) * (volume.data[i] - earlier.data[i]);
    return std::array{sum};
  })[0];
}

void move_ahead(const Cpu& cpu, float momentum, View1<const float> volume, View1<float> earlier, View1<float> ahead) {
  for_parts(cpu, volume.extent[0], [&](index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i) {
      const float x = volume.data[i];
      ahead.data[i] = x + momentum * (x - earlier.data[i]);
      earlier.data[i] = x;
    }
  });
}

ExactSum add_roughness(const Cpu& cpu, double factor, View3<const float> volume, View3<float> descent) {
  return sum_rows<1>(cpu, volume.extent[0] * volume.extent[1], volume.extent[2], [&](index_t i) {
    return std::array{roughness_row(row_of(volume.extent, i), static_cast<float>(factor), volume.data, descent.data)};
  })[0];
}

}  // namespace cryolith
