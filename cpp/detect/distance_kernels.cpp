// SPDX-License-Identifier: BSD-3-Clause
#include "detect/distance_kernels.hpp"

#include "detect/distance_runs.hpp"
#include "detect/distance_scratch.hpp"
#include "detect/distance_search.hpp"

namespace cryolith::CRYOLITH_VARIANT {
namespace {

template <class K, Kind kKind, class V>
struct Slab {
  using T = typename K::T;
  static constexpr bool kLabels = kKind != Kind::mask;

  const DistancePlan& plan;
  const V* values;
  index_t depth;
  const SlabEnds& ends;
  SlabScratch<T> s;
  bool near = true;  // all squares so far would do as 16-bit ones

  void square(const std::uint16_t* runs, index_t n, int axis, T* to) const {
    square_runs(runs, n, plan.whole[axis], plan.square[axis], to);
  }
  T square_of(index_t steps, int axis) const {
    const std::uint16_t run = static_cast<std::uint16_t>(steps < kNoEnd ? steps : kNoEnd);
    T out;
    square(&run, 1, axis, &out);
    return out;
  }

  void prepare() {
    const index_t wide = s.pitch - kStrip, reach = wide + SlabScratch<T>::kMargin;
    for (index_t r = 0; r < plan.ny + kNear + 2; ++r) s.y_squares[r] = square_of(r, 1);
    for (index_t k = -reach; k < reach; ++k) {
      s.x_squares[k] = square_of(k < 0 ? -k : k, 2);
      s.steps[k] = static_cast<T>(k < 0 ? -k : k);
    }
    for (index_t i = 0; i < kNear * kStrip; ++i) s.lines[-1 - i] = s.lines[plan.ny * kStrip + i] = K::far;
    for (index_t x = -SlabScratch<T>::kMargin; x < reach; ++x) s.row[x] = K::far;
    for (index_t x = 0; x < wide; ++x) {  // lanes behind the row are settled from the start
      const index_t out = x + 1 < plan.nx - x ? x + 1 : plan.nx - x;
      s.row_ends[x] = x >= plan.nx ? T{0} : plan.border && !kLabels ? s.x_squares[out] : K::far;
      s.row_before[x] = s.row_after[x] = T{0};
    }
  }

  void all_strips() {
    for (index_t x0 = 0; x0 < plan.nx; x0 += kStrip) {
      const index_t n = plan.nx - x0 < kStrip ? plan.nx - x0 : kStrip;
      if (n == kStrip)
        strip_along_z<kKind, true>(plan, values, depth, ends, x0, n, s.along_z);
      else
        strip_along_z<kKind, false>(plan, values, depth, ends, x0, n, s.along_z);
      for (index_t z = 0; z < depth; ++z) strip_along_y(z, x0, n);
    }
  }

  void strip_along_y(index_t z, index_t x0, index_t n) {
    square(s.along_z + z * along_z_pitch(plan.ny), plan.ny * kStrip, 0, s.lines);
    if constexpr (kLabels) {
      strip_runs<kKind>(plan, values + z * plan.ny * plan.nx + x0, n, s.up, s.down);
      limits(plan.ny * kStrip, 1, s.line_ends, s.before, s.after);
    }
    for (index_t lane = 0; lane < kStrip; lane += K::lanes) half_strip(z, x0, lane);
  }

  // Runs up and down to steps, and to the squares of the nearer ones.
  void limits(index_t n, int axis, T* nearest, T* before, T* after) const {
    for (index_t i = 0; i < n; ++i) {
      before[i] = static_cast<T>(s.up[i]);
      after[i] = static_cast<T>(s.down[i]);
      s.up[i] = s.up[i] < s.down[i] ? s.up[i] : s.down[i];
    }
    square(s.up, n, axis, nearest);
  }

  void half_strip(index_t z, index_t x0, index_t lane) {
    const index_t ny = plan.ny;
    Lines<K> lines{s.lines + lane, ny, kStrip, s.y_squares, s.line_least, s.line_lowest, K::far, false};
    T* to = s.partial + z * ny * s.pitch + x0 + lane;
    for (index_t y = 0; y < ny; ++y) {
      const T* p = lines.rows + y * kStrip;
      Lanes<K> d, ends_at;
      Reach<K> reach = {};
      Lanes<K>::load(d, p);
      if constexpr (kLabels) {
        const index_t at = y * kStrip + lane;
        Lanes<K>::load(ends_at, s.line_ends + at);
        Lanes<K>::load(reach.before, s.before + at);
        Lanes<K>::load(reach.after, s.after + at);
        for (int i = 0; i < kLaneParts; ++i) d.part[i] = K::min(d.part[i], ends_at.part[i]);
      } else if (plan.border) {
        const typename K::V out = K::splat(s.y_squares[y + 1 < ny - y ? y + 1 : ny - y]);
        for (int i = 0; i < kLaneParts; ++i) d.part[i] = K::min(d.part[i], out);
      }
      const T* above = y > 0 ? to + (y - 1) * s.pitch : nullptr;
      // Where the row above was far from everything there is nothing near: whole blocks at once from the start.
      const bool far = !kLabels && is_far(above, s.y_squares);
      if (far || !search_near<K, kLabels>(p, kStrip, lines.squares, reach, d)) {
        const index_t least = far ? 0 : kNear + 1;
        Lanes<K> bound;
        bound_by<K>(above, plan.square[1], bound);
        Lines<K>::know(lines);
        search_lines<K, kLabels>(lines, y, -1, least, reach.before, bound, d);
        search_lines<K, kLabels>(lines, y, 1, least, reach.after, bound, d);
      }
      Lanes<K>::store(to + y * s.pitch, d);
    }
  }

  static bool is_far(const T* beside, const T* squares) {
    if (beside == nullptr) return false;
    Lanes<K> d;
    Lanes<K>::load(d, beside);
    return !settled<K>(d, squares[kNear + 1]);
  }

  // False: a square is too far for its type.
  bool row_along_x(index_t z, index_t y, const T* above, T* found, float* out) {
    const index_t nx = plan.nx;
    const V* own = values + (z * plan.ny + y) * nx;
    std::memcpy(s.row, s.partial + (z * plan.ny + y) * s.pitch, static_cast<std::size_t>(nx) * sizeof(T));
    if constexpr (kLabels) {
      row_runs<kKind>(plan, own, s.up, s.down);
      limits(nx, 2, s.row_ends, s.row_before, s.row_after);
    }
    Row<K> row{s.row, nx, s.x_squares, s.steps, s.row_least, K::far, false};
    for (index_t x = 0; x < nx; x += K::lanes) {
      Lanes<K> d, ends_at;
      Reach<K> reach = {};
      Lanes<K>::load(d, s.row + x);
      Lanes<K>::load(ends_at, s.row_ends + x);
      if constexpr (kLabels) {
        Lanes<K>::load(reach.before, s.row_before + x);
        Lanes<K>::load(reach.after, s.row_after + x);
      }
      for (int i = 0; i < kLaneParts; ++i) d.part[i] = K::min(d.part[i], ends_at.part[i]);
      const T* beside = above != nullptr ? above + x : nullptr;
      const bool far = !kLabels && is_far(beside, s.x_squares);
      if (far || !search_near<K, kLabels>(s.row + x, 1, s.x_squares, reach, d)) {
        const index_t next = (x + K::lanes) / kBlock;
        Lanes<K> bound;
        bound_by<K>(beside, plan.square[1], bound);
        Row<K>::know(row);
        search_row<K, kLabels>(row, x, -1, far ? next - 1 : x / kBlock - 1, reach.before, bound, d);
        search_row<K, kLabels>(row, x, 1, next, reach.after, bound, d);
        near = near && settled<K>(d, T{65534});
      }
      Lanes<K>::store(found + x, d);
      roots(d, found + x, s.distances + x);
    }
    if (sizeof(T) == 2 && !near) return false;
    if (plan.negate)
      for (index_t x = 0; x < nx; ++x) s.distances[x] = own[x] == 0 ? -s.distances[x] : s.distances[x];
    write(s.distances, nx, out);
    return true;
  }

  CRYOLITH_INLINE void root(const Slab& slab, const T* squares, float* to) {
    for (index_t l = 0; l < K::lanes; ++l) {
      const float square =
          sizeof(T) == 2 ? static_cast<float>(static_cast<std::int32_t>(squares[l])) : static_cast<float>(squares[l]);
      to[l] = slab.plan.unit * __builtin_sqrtf(square);
    }
  }
  void roots(const Lanes<K>& d, const T* squares, float* to) const {
    if (settled<K>(d, T{0}))  // most voxels of most masks
      for (index_t l = 0; l < K::lanes; ++l) to[l] = 0;
    else
      root(*this, squares, to);
  }

  static void write(const float* from, index_t n, float* to) {
    index_t x = 0;
    if (reinterpret_cast<std::uintptr_t>(to) % 32 == 0)
      for (; x + 8 <= n; x += 8) {
        V8 v;
        load8(v, from + x);
        stream8(to + x, v);
      }
    std::memcpy(to + x, from + x, static_cast<std::size_t>(n - x) * sizeof(float));
  }

  // Slices that were finished before one that is too far for its type.
  index_t finish(index_t done, float* out) {
    prepare();
    all_strips();
    for (index_t z = done; z < depth; ++z) {
      const T* above = nullptr;
      T *found = s.one, *next = s.other;
      for (index_t y = 0; y < plan.ny; ++y) {
        if (!row_along_x(z, y, above, found, out + (z * plan.ny + y) * plan.nx)) return z;
        above = found;
        T* swap = found;
        found = next;
        next = swap;
      }
    }
    return depth;
  }
};

template <Kind kKind, class V>
bool finish_kind(const DistancePlan& plan, const void* values, index_t depth, const SlabEnds& ends, bool squares16,
                 float* scratch, float* out) {
  const V* own = static_cast<const V*>(values);
  char* base = reinterpret_cast<char*>(scratch);
  index_t done = 0;
  if (squares16) {
    Slab<Squares16, kKind, V> slab{plan, own, depth, ends, SlabScratch<std::uint16_t>::lay(plan.ny, plan.nx, base)};
    done = slab.finish(0, out);
    if (done == depth) return true;
  }
  Slab<SquaresFloat, kKind, V> slab{plan, own, depth, ends, SlabScratch<float>::lay(plan.ny, plan.nx, base)};
  slab.finish(done, out);
  return slab.near && plan.whole[0] != 0;
}

template <Kind kKind, class V>
void runs_of(const V* values, index_t plane, index_t n, index_t depth, std::uint8_t* upper, std::uint8_t* lower) {
  for (index_t x = 0; x < n; ++x) upper[x] = lower[x] = 0;
  for (index_t side = 0; side < 2; ++side) {
    std::uint8_t* run = side == 0 ? lower : upper;
    for (index_t i = 0; i < depth; ++i) {
      const index_t z = side == 0 ? i : depth - 1 - i, step = side == 0 ? -plane : plane;
      const V *own = values + z * plane, *beside = i == 0 ? own : own + step;
      CRYOLITH_APART
      for (index_t x = 0; x < n; ++x) {
        const std::uint8_t longer = static_cast<std::uint8_t>(run[x] + 1), counts = ones_if<std::uint8_t>(own[x] != 0);
        const std::uint8_t same = kKind == Kind::mask ? std::uint8_t{255} : ones_if<std::uint8_t>(own[x] == beside[x]);
        const std::uint8_t next = static_cast<std::uint8_t>((longer & same) | (~same & 1));
        run[x] = kKind == Kind::all_labels ? next : next & counts;
      }
    }
  }
}

}  // namespace

void slab_runs(Kind kind, int bytes, const void* values, index_t plane, index_t n, index_t depth, std::uint8_t* upper,
               std::uint8_t* lower) {
  const auto* small = static_cast<const std::uint8_t*>(values);
  const auto* large = static_cast<const std::int32_t*>(values);
  if (kind == Kind::mask) return runs_of<Kind::mask>(small, plane, n, depth, upper, lower);
  if (kind == Kind::labels) return runs_of<Kind::labels>(large, plane, n, depth, upper, lower);
  if (bytes == 1) return runs_of<Kind::all_labels>(small, plane, n, depth, upper, lower);
  runs_of<Kind::all_labels>(large, plane, n, depth, upper, lower);
}

bool finish_slab(const DistancePlan& plan, int bytes, const void* values, index_t depth, const SlabEnds& ends,
                 bool squares16, float* scratch, float* out) {
  if (plan.kind == Kind::mask)
    return finish_kind<Kind::mask, std::uint8_t>(plan, values, depth, ends, squares16, scratch, out);
  if (plan.kind == Kind::labels)
    return finish_kind<Kind::labels, std::int32_t>(plan, values, depth, ends, squares16, scratch, out);
  if (bytes == 1)
    return finish_kind<Kind::all_labels, std::uint8_t>(plan, values, depth, ends, squares16, scratch, out);
  return finish_kind<Kind::all_labels, std::int32_t>(plan, values, depth, ends, squares16, scratch, out);
}

}  // namespace cryolith::CRYOLITH_VARIANT
