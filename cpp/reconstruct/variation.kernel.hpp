// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// What one voxel of each step of total variation does (variation.hpp), as in steps.kernel.hpp; those that look at the
// voxel's neighbours are told its row, and do all of it at once: at<Memory>(row, x).
#include <cmath>

#include "reconstruct/steps.kernel.hpp"

namespace cryolith {

// Total variation in 3D: the sum over voxels of |D x|, D x = (a_z d_z x, a_y d_y x, a_x d_x x) the forward differences
// times a weight an axis; a difference across the volume's face is 0. The proximal map in the metric diag(1 / metric),
//   min over x of 1/2 |x - z|^2_metric + strength sum h(|D x|),   lower <= x <= upper,
// is found from its dual: x = clamp(z - metric D'q), |q| <= strength (Beck & Teboulle 2009, eq. 4.9, there with metric
// 1). h is the norm, or Huber's function: quadratic below `huber`. Voxels whose metric is 0 keep their value.
struct Variation {
  float axis[3];   // a_z, a_y, a_x
  float strength;  // above 0
  float huber;     // 0: total variation itself
};

// A row of a volume, which knows its neighbours along y and z as distances, and where it lies on the volume's face.
struct VolumeRow {
  index_t start, nx, plane, size;  // elements
  bool last_z, last_y, first_z, first_y;
};
CRYOLITH_HD VolumeRow volume_row(index_t nz, index_t ny, index_t nx, index_t z, index_t y) {
  return {(z * ny + y) * nx, nx, ny * nx, nz * ny * nx, z + 1 == nz, y + 1 == ny, z == 0, y == 0};
}

// dual: (3, nz, ny, nx).
struct AscendDual {
  static constexpr int kSums = 0;
  Variation variation;
  const float *metric, *volume;
  float* dual;
  template <class Memory>
  CRYOLITH_HD Terms<0> at(const VolumeRow& row, index_t x) const {
    const float *axis = variation.axis, strength = variation.strength;
    const index_t i = row.start + x, to_y = row.last_y ? 0 : row.nx, to_z = row.last_z ? 0 : row.plane;
    const bool inner = x + 1 < row.nx;
    const float m = Memory::read(metric + i), u = Memory::read(volume + i);
    // Largest value that the voxel and its three forward neighbours have together: the norm of D metric D' there is at
    // most 2 (sum of a) (largest a) times it (row sums; Pock & Chambolle 2011, lemma 2).
    const float beside = inner ? Memory::read(metric + i + 1) : m;
    const float next = larger(larger(Memory::read(metric + i + to_y), Memory::read(metric + i + to_z)), beside);
    const float steepest = larger(larger(axis[0], axis[1]), axis[2]);
    const float norm = 2.0f * steepest * (axis[0] + axis[1] + axis[2]);
    const float s = 1.0f / larger(norm * (m + next), 1e-30f);
    const float right = inner ? Memory::read(volume + i + 1) - u : 0.0f;
    const float soft = 1.0f / (1.0f + s * variation.huber / strength);
    float *qz = dual + i, *qy = qz + row.size, *qx = qy + row.size;
    const float z = soft * (Memory::read(qz) + s * axis[0] * (Memory::read(volume + i + to_z) - u));
    const float y = soft * (Memory::read(qy) + s * axis[1] * (Memory::read(volume + i + to_y) - u));
    const float h = soft * (Memory::read(qx) + s * axis[2] * right);
    const float scale = strength / larger(strength, std::sqrt(z * z + y * y + h * h));
    Memory::write(qz, z * scale);
    Memory::write(qy, y * scale);
    Memory::write(qx, h * scale);
    return {};
  }
};

struct PrimalFromDual {
  static constexpr int kSums = 0;
  Variation variation;
  const float *metric, *z, *dual;
  Bounds bounds;
  float* volume;
  template <class Memory>
  CRYOLITH_HD Terms<0> at(const VolumeRow& row, index_t x) const {
    const float* axis = variation.axis;
    const index_t i = row.start + x;
    const float *qz = dual + i, *qy = qz + row.size, *qx = qy + row.size;
    const float above_z = Memory::read(qz - (row.first_z ? 0 : row.plane));
    const float above_y = Memory::read(qy - (row.first_y ? 0 : row.nx));
    const float from_z = row.first_z ? 0.0f : axis[0], from_y = row.first_y ? 0.0f : axis[1];
    const float m = Memory::read(metric + i), left = x > 0 ? Memory::read(qx - 1) : 0.0f;
    const float transposed = from_z * above_z - axis[0] * Memory::read(qz) + from_y * above_y -
                             axis[1] * Memory::read(qy) + axis[2] * (left - Memory::read(qx));
    const float moved = clamp(Memory::read(z + i) - m * transposed, bounds);
    Memory::write(volume + i, m > 0.0f ? moved : Memory::read(volume + i));
    return {};
  }
};

struct GradientStep {
  static constexpr int kSums = 0;
  const float *ahead, *metric;
  float* z;
  struct Taken {
    float a, m, z;
  };
  template <class Memory>
  CRYOLITH_HD Taken read(index_t i) const {
    return {Memory::read(ahead + i), Memory::read(metric + i), Memory::read(z + i)};
  }
  template <class Memory>
  CRYOLITH_HD Terms<0> write(index_t i, const Taken& t) const {
    Memory::write(z + i, t.a + t.m * t.z);
    return {};
  }
};

struct Uphill {
  static constexpr int kSums = 1;
  const float *ahead, *volume, *earlier;
  struct Taken {
    float a, x, before;
  };
  template <class Memory>
  CRYOLITH_HD Taken read(index_t i) const {
    return {Memory::read(ahead + i), Memory::read(volume + i), Memory::read(earlier + i)};
  }
  template <class Memory>
  CRYOLITH_HD Terms<1> write(index_t, const Taken& t) const {
    return {{exact_product(t.a - t.x, t.x - t.before)}};
  }
};

struct MoveAhead {
  static constexpr int kSums = 0;
  float momentum;
  const float* volume;
  float *earlier, *ahead;
  struct Taken {
    float x, before;
  };
  template <class Memory>
  CRYOLITH_HD Taken read(index_t i) const {
    return {Memory::read(volume + i), Memory::read(earlier + i)};
  }
  template <class Memory>
  CRYOLITH_HD Terms<0> write(index_t i, const Taken& t) const {
    Memory::write(ahead + i, t.x + momentum * (t.x - t.before));
    Memory::write(earlier + i, t.x);
    return {};
  }
};

struct AddRoughness {
  static constexpr int kSums = 1;
  float factor;
  const float* volume;
  float* descent;
  template <class Memory>
  CRYOLITH_HD Terms<1> at(const VolumeRow& row, index_t x) const {
    const float* u = volume + row.start + x;
    const float here = Memory::read(u);
    const float below_z = row.last_z ? 0.0f : Memory::read(u + row.plane) - here;
    const float above_z = row.first_z ? 0.0f : here - Memory::read(u - row.plane);
    const float below_y = row.last_y ? 0.0f : Memory::read(u + row.nx) - here;
    const float above_y = row.first_y ? 0.0f : here - Memory::read(u - row.nx);
    const float right = x + 1 < row.nx ? Memory::read(u + 1) - here : 0.0f;
    const float left = x > 0 ? here - Memory::read(u - 1) : 0.0f;
    float* d = descent + row.start + x;
    Memory::write(d, Memory::read(d) - factor * (above_z - below_z + above_y - below_y + left - right));
    return {{exact_product(below_z, below_z) + exact_product(below_y, below_y) + exact_product(right, right)}};
  }
};

}  // namespace cryolith
