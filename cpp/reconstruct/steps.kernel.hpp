// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// What one element of each step does (steps.hpp): the same words for every device. read<Memory>(i) takes what element i
// of the arrays, which are members, needs; write<Memory>(i, taken) writes it and returns the terms that the step sums.
// They are apart so that a device can read several elements before it writes one: it cannot know that what is written
// is not what is read next, and would wait for memory at each.
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

// All that a body does at one element.
template <class Memory, class Body>
CRYOLITH_HD auto step_at(const Body& body, index_t i) {
  return body.template write<Memory>(i, body.template read<Memory>(i));
}

// Product of two float32 numbers: exact.
CRYOLITH_HD double exact_product(float a, float b) { return static_cast<double>(a) * static_cast<double>(b); }

struct WeighResidual {
  static constexpr int kSums = 2;
  const float *measured, *weights, *gain;
  float* projected;
  struct Taken {
    float b, w, p, g;
  };
  template <class Memory>
  CRYOLITH_HD Taken read(index_t i) const {
    return {Memory::read(measured + i), Memory::read(weights + i), Memory::read(projected + i),
            gain != nullptr ? Memory::read(gain + i) : 1.0f};
  }
  template <class Memory>
  CRYOLITH_HD Terms<2> write(index_t i, const Taken& t) const {
    const float r = t.b - t.p;
    Memory::write(projected + i, t.g * (t.w * r));
    return {{exact_product(t.w * r, r), exact_product(t.w * t.b, t.b)}};
  }
};

struct ExtrapolateResidual {
  static constexpr int kSums = 2;
  const float *measured, *weights, *projected;
  float momentum;
  float* earlier;
  struct Taken {
    float b, w, p, before;
  };
  template <class Memory>
  CRYOLITH_HD Taken read(index_t i) const {
    return {Memory::read(measured + i), Memory::read(weights + i), Memory::read(projected + i),
            Memory::read(earlier + i)};
  }
  template <class Memory>
  CRYOLITH_HD Terms<2> write(index_t i, const Taken& t) const {
    const float r = t.b - t.p;
    Memory::write(earlier + i, t.w * (r - momentum * (t.p - t.before)));
    return {{exact_product(t.w * r, r), exact_product(t.w * t.b, t.b)}};
  }
};

struct PoissonRatio {
  static constexpr int kSums = 2;
  const float *measured, *weights;
  float least;
  float* projected;
  struct Taken {
    float b, w, p;
  };
  template <class Memory>
  CRYOLITH_HD Taken read(index_t i) const {
    return {Memory::read(measured + i), Memory::read(weights + i), Memory::read(projected + i)};
  }
  template <class Memory>
  CRYOLITH_HD Terms<2> write(index_t i, const Taken& t) const {
    const float r = t.b - t.p;
    Memory::write(projected + i, t.w * larger(t.b, 0.0f) / larger(t.p, least));
    return {{exact_product(t.w * r, r), exact_product(t.w * t.b, t.b)}};
  }
};

struct WeightedSquare {
  static constexpr int kSums = 1;
  const float *weights, *values;
  struct Taken {
    float w, v;
  };
  template <class Memory>
  CRYOLITH_HD Taken read(index_t i) const {
    return {Memory::read(weights + i), Memory::read(values + i)};
  }
  template <class Memory>
  CRYOLITH_HD Terms<1> write(index_t, const Taken& t) const {
    return {{exact_product(t.w * t.v, t.v)}};
  }
};

struct SubtractProjection {
  static constexpr int kSums = 1;
  const float* weights;
  float step;
  float *residual, *projected;
  struct Taken {
    float w, r, p;
  };
  template <class Memory>
  CRYOLITH_HD Taken read(index_t i) const {
    return {Memory::read(weights + i), Memory::read(residual + i), Memory::read(projected + i)};
  }
  template <class Memory>
  CRYOLITH_HD Terms<1> write(index_t i, const Taken& t) const {
    const float r = t.r - step * t.p, weighted = t.w * r;
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
  struct Taken {
    float w, x, c;
  };
  template <class Memory>
  CRYOLITH_HD Taken read(index_t i) const {
    return {Memory::read(voxel_weights + i), Memory::read(volume + i), Memory::read(correction + i)};
  }
  template <class Memory>
  CRYOLITH_HD Terms<0> write(index_t i, const Taken& t) const {
    Memory::write(volume + i, t.w > 0.0f ? clamp(t.x + step * t.w * t.c, bounds) : t.x);
    return {};
  }
};

struct MultiplyVolume {
  static constexpr int kSums = 0;
  const float *correction, *voxel_weights;
  Bounds bounds;
  float* volume;
  struct Taken {
    float w, x, c;
  };
  template <class Memory>
  CRYOLITH_HD Taken read(index_t i) const {
    return {Memory::read(voxel_weights + i), Memory::read(volume + i), Memory::read(correction + i)};
  }
  template <class Memory>
  CRYOLITH_HD Terms<0> write(index_t i, const Taken& t) const {
    Memory::write(volume + i, t.w > 0.0f ? clamp(t.x * t.w * larger(t.c, 0.0f), bounds) : t.x);
    return {};
  }
};

struct FreeDescent {
  static constexpr int kSums = 1;
  const float* volume;
  float damping;
  Bounds bounds;
  float* descent;
  struct Taken {
    float x, d;
  };
  template <class Memory>
  CRYOLITH_HD Taken read(index_t i) const {
    return {Memory::read(volume + i), Memory::read(descent + i)};
  }
  template <class Memory>
  CRYOLITH_HD Terms<1> write(index_t i, const Taken& t) const {
    const float x = t.x, d = t.d - damping * x;
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
  struct Taken {
    float d, before;
  };
  template <class Memory>
  CRYOLITH_HD Taken read(index_t i) const {
    return {Memory::read(descent + i), Memory::read(direction + i)};
  }
  template <class Memory>
  CRYOLITH_HD Terms<2> write(index_t i, const Taken& t) const {
    const float p = t.d == 0.0f ? 0.0f : t.d + factor * t.before;
    Memory::write(direction + i, p);
    return {{exact_product(p, p), exact_product(p, t.d)}};
  }
};

struct WalkVolume {
  static constexpr int kSums = 1;
  const float* direction;
  float step;
  Bounds bounds;
  float* volume;
  struct Taken {
    float p, before;
  };
  template <class Memory>
  CRYOLITH_HD Taken read(index_t i) const {
    return {Memory::read(direction + i), Memory::read(volume + i)};
  }
  template <class Memory>
  CRYOLITH_HD Terms<1> write(index_t i, const Taken& t) const {
    const float x = t.before + step * t.p, inside = clamp(x, bounds), over = t.p != 0.0f ? x - inside : 0.0f;
    Memory::write(volume + i, t.p != 0.0f ? inside : t.before);
    return {{over != 0.0f ? 1.0 : 0.0}};
  }
};

struct WeightedSum {
  static constexpr int kSums = 1;
  const float *weights, *values;
  struct Taken {
    float w, v;
  };
  template <class Memory>
  CRYOLITH_HD Taken read(index_t i) const {
    return {Memory::read(weights + i), Memory::read(values + i)};
  }
  template <class Memory>
  CRYOLITH_HD Terms<1> write(index_t, const Taken& t) const {
    return {{exact_product(t.w, t.v)}};
  }
};

}  // namespace cryolith
