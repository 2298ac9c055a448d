// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// What one element of each step does (steps.hpp): the same words for every device. at<Memory>(i) reads and writes
// element i of the arrays, which are members, and returns the terms that the step sums.
#include "core/portable.hpp"
#include "core/view.hpp"

namespace cryolith {

// A voxel may move within [lower, upper].
struct Bounds {
  float lower, upper;
};

CRYOLITH_HD float clamp(float value, Bounds bounds) { return lesser(bounds.upper, larger(bounds.lower, value)); }

template <int kCount>
struct Terms {
  double of[kCount == 0 ? 1 : kCount];
};

// Product of two float32 numbers: exact.
CRYOLITH_HD double exact_product(float a, float b) { return static_cast<double>(a) * static_cast<double>(b); }

struct WeighResidual {
  static constexpr int kSums = 2;
  const float *measured, *weights, *gain;
  float* projected;
  template <class Memory>
  CRYOLITH_HD Terms<2> at(index_t i) const {
    const float b = Memory::read(measured + i), w = Memory::read(weights + i), r = b - Memory::read(projected + i);
    Memory::write(projected + i, gain != nullptr ? Memory::read(gain + i) * (w * r) : w * r);
    return {{exact_product(w * r, r), exact_product(w * b, b)}};
  }
};

struct ExtrapolateResidual {
  static constexpr int kSums = 2;
  const float *measured, *weights, *projected;
  float momentum;
  float* earlier;
  template <class Memory>
  CRYOLITH_HD Terms<2> at(index_t i) const {
    const float b = Memory::read(measured + i), w = Memory::read(weights + i), p = Memory::read(projected + i);
    const float r = b - p;
    Memory::write(earlier + i, w * (r - momentum * (p - Memory::read(earlier + i))));
    return {{exact_product(w * r, r), exact_product(w * b, b)}};
  }
};

struct PoissonRatio {
  static constexpr int kSums = 2;
  const float *measured, *weights;
  float least;
  float* projected;
  template <class Memory>
  CRYOLITH_HD Terms<2> at(index_t i) const {
    const float b = Memory::read(measured + i), w = Memory::read(weights + i), p = Memory::read(projected + i);
    const float r = b - p;
    Memory::write(projected + i, w * larger(b, 0.0f) / larger(p, least));
    return {{exact_product(w * r, r), exact_product(w * b, b)}};
  }
};

struct WeightedSquare {
  static constexpr int kSums = 1;
  const float *weights, *values;
  template <class Memory>
  CRYOLITH_HD Terms<1> at(index_t i) const {
    const float v = Memory::read(values + i);
    return {{exact_product(Memory::read(weights + i) * v, v)}};
  }
};

struct SubtractProjection {
  static constexpr int kSums = 1;
  const float* weights;
  float step;
  float *residual, *projected;
  template <class Memory>
  CRYOLITH_HD Terms<1> at(index_t i) const {
    const float r = Memory::read(residual + i) - step * Memory::read(projected + i);
    const float weighted = Memory::read(weights + i) * r;
    Memory::write(residual + i, r);
    Memory::write(projected + i, weighted);
    return {{exact_product(weighted, r)}};
  }
};

struct UpdateVolume {
  static constexpr int kSums = 0;
  const float *correction, *voxel_weights;
  float step;
  Bounds bounds;
  float* volume;
  template <class Memory>
  CRYOLITH_HD Terms<0> at(index_t i) const {
    const float w = Memory::read(voxel_weights + i), x = Memory::read(volume + i);
    Memory::write(volume + i, w > 0.0f ? clamp(x + step * w * Memory::read(correction + i), bounds) : x);
    return {};
  }
};

struct MultiplyVolume {
  static constexpr int kSums = 0;
  const float *correction, *voxel_weights;
  Bounds bounds;
  float* volume;
  template <class Memory>
  CRYOLITH_HD Terms<0> at(index_t i) const {
    const float w = Memory::read(voxel_weights + i), x = Memory::read(volume + i);
    Memory::write(volume + i, w > 0.0f ? clamp(x * w * larger(Memory::read(correction + i), 0.0f), bounds) : x);
    return {};
  }
};

struct FreeDescent {
  static constexpr int kSums = 1;
  const float* volume;
  float damping;
  Bounds bounds;
  float* descent;
  template <class Memory>
  CRYOLITH_HD Terms<1> at(index_t i) const {
    const float x = Memory::read(volume + i), d = Memory::read(descent + i) - damping * x;
    const bool held = (x <= bounds.lower && d < 0.0f) || (x >= bounds.upper && d > 0.0f);
    const float free = held ? 0.0f : d;
    Memory::write(descent + i, free);
    return {{exact_product(free, free)}};
  }
};

struct ConjugateDirection {
  static constexpr int kSums = 2;
  const float* descent;
  float factor;
  float* direction;
  template <class Memory>
  CRYOLITH_HD Terms<2> at(index_t i) const {
    const float d = Memory::read(descent + i), before = Memory::read(direction + i);
    const float p = d == 0.0f ? 0.0f : d + factor * before;
    Memory::write(direction + i, p);
    return {{exact_product(p, p), exact_product(p, d)}};
  }
};

struct WalkVolume {
  static constexpr int kSums = 1;
  const float* direction;
  float step;
  Bounds bounds;
  float* volume;
  template <class Memory>
  CRYOLITH_HD Terms<1> at(index_t i) const {
    const float p = Memory::read(direction + i), before = Memory::read(volume + i);
    const float x = before + step * p, inside = clamp(x, bounds), over = p != 0.0f ? x - inside : 0.0f;
    Memory::write(volume + i, p != 0.0f ? inside : before);
    return {{over != 0.0f ? 1.0 : 0.0}};
  }
};

struct InvertSums {
  static constexpr int kSums = 0;
  float* sums;
  template <class Memory>
  CRYOLITH_HD Terms<0> at(index_t i) const {
    const float s = Memory::read(sums + i);
    Memory::write(sums + i, s > 0.5f ? 1.0f / larger(s, 1.0f) : 0.0f);
    return {};
  }
};

struct Fill {
  static constexpr int kSums = 0;
  float value;
  float* out;
  template <class Memory>
  CRYOLITH_HD Terms<0> at(index_t i) const {
    Memory::write(out + i, value);
    return {};
  }
};

struct Copy {
  static constexpr int kSums = 0;
  const float* from;
  float* out;
  template <class Memory>
  CRYOLITH_HD Terms<0> at(index_t i) const {
    Memory::write(out + i, Memory::read(from + i));
    return {};
  }
};

struct Multiply {
  static constexpr int kSums = 0;
  const float* by;
  float* out;
  template <class Memory>
  CRYOLITH_HD Terms<0> at(index_t i) const {
    Memory::write(out + i, Memory::read(out + i) * Memory::read(by + i));
    return {};
  }
};

struct Divide {
  static constexpr int kSums = 0;
  float divisor;
  float* out;
  template <class Memory>
  CRYOLITH_HD Terms<0> at(index_t i) const {
    Memory::write(out + i, Memory::read(out + i) / divisor);
    return {};
  }
};

struct RaiseTo {
  static constexpr int kSums = 0;
  const float* least;
  float* out;
  template <class Memory>
  CRYOLITH_HD Terms<0> at(index_t i) const {
    Memory::write(out + i, larger(Memory::read(out + i), Memory::read(least + i)));
    return {};
  }
};

// Rays that meet too little have no weight.
struct Graze {
  static constexpr int kSums = 0;
  const float* sums;
  float least;
  float* weights;
  template <class Memory>
  CRYOLITH_HD Terms<0> at(index_t i) const {
    Memory::write(weights + i, Memory::read(sums + i) >= least ? Memory::read(weights + i) : 0.0f);
    return {};
  }
};

struct Scale {
  static constexpr int kSums = 0;
  float factor, upper;
  float* out;
  template <class Memory>
  CRYOLITH_HD Terms<0> at(index_t i) const {
    Memory::write(out + i, lesser(upper, factor * Memory::read(out + i)));
    return {};
  }
};

struct Reciprocal {
  static constexpr int kSums = 0;
  float least;
  float* out;
  template <class Memory>
  CRYOLITH_HD Terms<0> at(index_t i) const {
    Memory::write(out + i, 1.0f / larger(least, Memory::read(out + i)));
    return {};
  }
};

struct WeightedSum {
  static constexpr int kSums = 1;
  const float *weights, *values;
  template <class Memory>
  CRYOLITH_HD Terms<1> at(index_t i) const {
    return {{exact_product(Memory::read(weights + i), Memory::read(values + i))}};
  }
};

// The elements at some indices.
struct Take {
  static constexpr int kSums = 0;
  const index_t* places;
  const float* from;
  float* values;
  template <class Memory>
  CRYOLITH_HD Terms<0> at(index_t i) const {
    Memory::write(values + i, Memory::read(from + Memory::read(places + i)));
    return {};
  }
};
struct Put {
  static constexpr int kSums = 0;
  const index_t* places;
  const float* values;
  float* out;
  template <class Memory>
  CRYOLITH_HD Terms<0> at(index_t i) const {
    Memory::write(out + Memory::read(places + i), Memory::read(values + i));
    return {};
  }
};

}  // namespace cryolith
