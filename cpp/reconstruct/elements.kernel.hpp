// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// What plain passes over an array do to one element, as in steps.kernel.hpp.
#include "reconstruct/steps.kernel.hpp"

namespace cryolith {

// What bodies that change one array are told of its element.
struct OneArray {
  static constexpr int kSums = 0;
  float* out;
  struct Taken {
    float v;
  };
  template <class Memory>
  CRYOLITH_HD Taken read(index_t i) const {
    return {Memory::read(out + i)};
  }
};

struct InvertSums : OneArray {
  template <class Memory>
  CRYOLITH_HD Terms<0> write(index_t i, const Taken& t) const {
    Memory::write(out + i, t.v > 0.5f ? 1.0f / larger(t.v, 1.0f) : 0.0f);
    return {};
  }
};

struct Fill {
  static constexpr int kSums = 0;
  float value;
  float* out;
  struct Taken {};
  template <class Memory>
  CRYOLITH_HD Taken read(index_t) const {
    return {};
  }
  template <class Memory>
  CRYOLITH_HD Terms<0> write(index_t i, const Taken&) const {
    Memory::write(out + i, value);
    return {};
  }
};

struct Copy {
  static constexpr int kSums = 0;
  const float* from;
  float* out;
  struct Taken {
    float v;
  };
  template <class Memory>
  CRYOLITH_HD Taken read(index_t i) const {
    return {Memory::read(from + i)};
  }
  template <class Memory>
  CRYOLITH_HD Terms<0> write(index_t i, const Taken& t) const {
    Memory::write(out + i, t.v);
    return {};
  }
};

struct Multiply {
  static constexpr int kSums = 0;
  const float* by;
  float* out;
  struct Taken {
    float v, by;
  };
  template <class Memory>
  CRYOLITH_HD Taken read(index_t i) const {
    return {Memory::read(out + i), Memory::read(by + i)};
  }
  template <class Memory>
  CRYOLITH_HD Terms<0> write(index_t i, const Taken& t) const {
    Memory::write(out + i, t.v * t.by);
    return {};
  }
};

struct Divide : OneArray {
  float divisor;
  template <class Memory>
  CRYOLITH_HD Terms<0> write(index_t i, const Taken& t) const {
    Memory::write(out + i, t.v / divisor);
    return {};
  }
};

struct RaiseTo {
  static constexpr int kSums = 0;
  const float* least;
  float* out;
  struct Taken {
    float v, least;
  };
  template <class Memory>
  CRYOLITH_HD Taken read(index_t i) const {
    return {Memory::read(out + i), Memory::read(least + i)};
  }
  template <class Memory>
  CRYOLITH_HD Terms<0> write(index_t i, const Taken& t) const {
    Memory::write(out + i, larger(t.v, t.least));
    return {};
  }
};

// Rays that meet too little have no weight.
struct Graze {
  static constexpr int kSums = 0;
  const float* sums;
  float least;
  float* weights;
  struct Taken {
    float s, w;
  };
  template <class Memory>
  CRYOLITH_HD Taken read(index_t i) const {
    return {Memory::read(sums + i), Memory::read(weights + i)};
  }
  template <class Memory>
  CRYOLITH_HD Terms<0> write(index_t i, const Taken& t) const {
    Memory::write(weights + i, t.s >= least ? t.w : 0.0f);
    return {};
  }
};

struct Scale : OneArray {
  float factor, upper;
  template <class Memory>
  CRYOLITH_HD Terms<0> write(index_t i, const Taken& t) const {
    Memory::write(out + i, lesser(upper, factor * t.v));
    return {};
  }
};

struct Reciprocal : OneArray {
  float least;
  template <class Memory>
  CRYOLITH_HD Terms<0> write(index_t i, const Taken& t) const {
    Memory::write(out + i, 1.0f / larger(least, t.v));
    return {};
  }
};

// The elements at some indices.
struct Take {
  static constexpr int kSums = 0;
  const index_t* places;
  const float* from;
  float* values;
  struct Taken {
    float v;
  };
  template <class Memory>
  CRYOLITH_HD Taken read(index_t i) const {
    return {Memory::read(from + Memory::read(places + i))};
  }
  template <class Memory>
  CRYOLITH_HD Terms<0> write(index_t i, const Taken& t) const {
    Memory::write(values + i, t.v);
    return {};
  }
};

struct Put {
  static constexpr int kSums = 0;
  const index_t* places;
  const float* values;
  float* out;
  struct Taken {
    index_t place;
    float v;
  };
  template <class Memory>
  CRYOLITH_HD Taken read(index_t i) const {
    return {Memory::read(places + i), Memory::read(values + i)};
  }
  template <class Memory>
  CRYOLITH_HD Terms<0> write(index_t, const Taken& t) const {
    Memory::write(out + t.place, t.v);
    return {};
  }
};

}  // namespace cryolith
