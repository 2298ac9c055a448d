// SPDX-License-Identifier: BSD-3-Clause
// The order of a plan's passes over arrays whose rows lie one distance apart, and how they are shared among threads.
// Blocks depend on the shape only, never on the number of threads: the same bits come out for any.
#include <algorithm>

#include "core/fft_plan.hpp"

namespace cryolith::fft {
namespace {

constexpr index_t kColumns = 32;                    // at least in a task: neighbours meet while their lines are cached
constexpr index_t kSlabSamples = index_t{1} << 18;  // 2 MB: rows and columns of a slab while it is in the cache

template <class T>
T* reals(std::complex<T>* p) {
  return reinterpret_cast<T*>(p);
}
template <class T>
const T* reals(const std::complex<T>* p) {
  return reinterpret_cast<const T*>(p);
}

// One side of a transform of columns: matrix (i, j) begins at data + i outer + j inner; strides in T.
template <class T>
struct Side {
  T* data;
  index_t row, outer, inner;
  T* at(index_t i, index_t j) const { return data + i * outer + j * inner; }
};
template <class T>
struct Columns {
  Side<const T> in;
  Side<T> out;
  index_t outer, inner, width;  // outer x inner matrices of `width` columns
  bool inverse;
  const Turns* packed = nullptr;  // one more column becomes the imaginary part of the first
};
enum class First { rows, columns };

template <class T>
class Run {
 public:
  // Takes from `ws` scratch for each worker and, before it, `spectrum_bytes`.
  Run(const PlanData<T>& plan, const Cpu& cpu, Workspace& ws, std::size_t spectrum_bytes = 0)
      : p_(plan), workers_(cpu, plan.batch * plan.n0 * plan.n1 * plan.n, plan.part, ws, spectrum_bytes) {}
  T* spectrum() const { return static_cast<T*>(workers_.before()); }
  index_t slabs() const { return p_.batch * p_.n0; }

  void all_rows(const RowBlock<T>& b) const {
    const index_t group = p_.rows->group();
    const index_t block = std::max<index_t>(1, kBlockSamples / p_.n / group) * group;
    workers_.blocks(slabs() * p_.n1, block,
                    [&](index_t first, index_t last, const Scratch<T>& s) { rows(b, first, last, s); });
  }
  void all_columns(const Lanes<T>& axis, const Columns<T>& c) const {
    const index_t height = axis.table().n;
    const index_t chunk = std::max(kColumns, kBlockSamples / height / kColumns * kColumns);
    const index_t chunks = (c.width + chunk - 1) / chunk;
    const index_t block = std::max<index_t>(1, kBlockSamples / (height * std::min(chunk, c.width)));
    workers_.blocks(c.outer * c.inner * chunks, block, [&](index_t first, index_t last, const Scratch<T>& s) {
      for (index_t i = first; i < last; ++i) {
        const index_t matrix = i / chunks, column = i % chunks * chunk;
        columns(axis, c, matrix, column, std::min(column + chunk, c.width), s);
      }
    });
  }
  // Rows and columns of the last two axes, together while a slab is cached where that is worth it.
  void planes(First order, const RowBlock<T>& r, const Columns<T>& c) const {
    const bool rows_first = order == First::rows;
    if (!slab_by_slab()) {
      if (rows_first) all_rows(r);
      all_columns(*p_.axis1, c);
      if (!rows_first) all_rows(r);
      return;
    }
    const index_t block = std::max<index_t>(1, kBlockSamples / (p_.n1 * p_.n));
    workers_.blocks(slabs(), block, [&](index_t first, index_t last, const Scratch<T>& s) {
      for (index_t slab = first; slab < last; ++slab) {
        if (rows_first) rows(r, slab * p_.n1, (slab + 1) * p_.n1, s);
        columns(*p_.axis1, c, slab, 0, c.width, s);
        if (!rows_first) rows(r, slab * p_.n1, (slab + 1) * p_.n1, s);
      }
    });
  }
  // Rows from one array to another, then columns within that one.
  void rows_then_columns(const RowBlock<T>& r) const {
    const index_t row = r.out_stride, down = row * p_.n1;
    const Side<T> plane{r.out, row, down, 0};
    if (p_.axis1)
      planes(First::rows, r, {{r.out, row, down, 0}, plane, slabs(), 1, p_.m, r.inverse});
    else
      all_rows(r);
    if (!p_.axis0) return;
    const bool packed = row == 2 * p_.m;  // then a plane is one wide row
    const Side<T> lines{r.out, down, down * p_.n0, packed ? 0 : row};
    all_columns(*p_.axis0, {{lines.data, lines.row, lines.outer, lines.inner},
                            lines,
                            p_.batch,
                            packed ? 1 : p_.n1,
                            packed ? p_.n1 * p_.m : p_.m,
                            r.inverse});
  }
  // Columns of a spectrum, then rows; the spectrum is written if it is `to`'s own memory.
  void columns_then_rows(const T* from, index_t row, const Side<T>& to, const RowBlock<T>& r) const {
    Columns<T> columns{{from, row, row * p_.n1, 0}, to, slabs(), 1, p_.m, true};
    if (p_.axis0) {
      const index_t in = row * p_.n1, out = to.row * p_.n1;
      all_columns(*p_.axis0,
                  {{from, in, in * p_.n0, row}, {to.data, out, out * p_.n0, to.row}, p_.batch, p_.n1, p_.m, true});
      columns.in = {to.data, to.row, to.outer, to.inner};
    }
    planes(First::columns, r, columns);
  }

 private:
  void rows(RowBlock<T> b, index_t first, index_t last, const Scratch<T>& s) const {
    b.first = first;
    b.last = last;
    p_.rows->run(b, s);
  }
  void columns(const Lanes<T>& axis, const Columns<T>& c, index_t matrix, index_t first, index_t last,
               const Scratch<T>& s) const {
    const index_t i = matrix / c.inner, j = matrix % c.inner;
    const T* in = c.in.at(i, j);
    T* out = c.out.at(i, j);
    kernels<T>().columns(axis.table(), {in, c.in.row, out, c.out.row, first, last, c.inverse, c.packed}, s);
    if (c.packed == nullptr || first > 0) return;
    kernels<T>().columns(axis.table(), {in + 2 * c.width, c.in.row, s.c, 2, 0, 1, c.inverse}, s);
    for (index_t k = 0; k < axis.table().n; ++k) out[k * c.out.row + 2 * c.packed->at(k) + 1] = s.c[2 * k];
  }
  bool slab_by_slab() const {
    const index_t group = p_.rows->group();  // a slab should not leave most of its last group empty
    return slabs() > 1 && p_.n1 * p_.m <= kSlabSamples && (p_.n1 % group == 0 || p_.n1 >= 4 * group);
  }

  const PlanData<T>& p_;
  Workers<T> workers_;
};

// Rows of the scratch spectrum begin on cache lines, and not on the same set of an L1 cache for every row.
template <class T>
index_t padded_row(index_t samples) {
  constexpr index_t line = 32 / index_t{sizeof(T)};
  const index_t rounded = (samples + line - 1) / line * line;
  return 2 * (rounded % (64 * line) == 0 ? rounded + line : rounded);
}

void require_strides(std::span<const index_t> strides, const std::vector<index_t>& shape, const char* name) {
  require(strides.empty() || strides.size() == shape.size(), name, ": found ", strides.size(), " strides, expected ",
          shape.size());
}

// Distances in T; see Plan.
template <class T>
void require_room(const PlanData<T>& p, index_t real_row, index_t spectrum_row) {
  const bool one = p.batch * p.n0 * p.n1 == 1 && real_row > 0 && spectrum_row > 0;
  require(
      one || (real_row > 0 && real_row == spectrum_row && spectrum_row >= 2 * p.m),
      "out: begins where the array does; in place the rows of both have to lie the same number of bytes apart and to "
      "touch in themselves, with room for ",
      p.m, " complex samples");
}

template <class T>
void complex_either_way(const PlanData<T>& p, const Cpu& cpu, Strided<const std::complex<T>> in,
                        Strided<std::complex<T>> out, bool inverse, T scale, Workspace& ws) {
  require(!p.real(), inverse ? "inverse" : "forward", ": this plan transforms real data, found complex");
  require_strides(in.strides, p.shape, "in");
  require_strides(out.strides, p.shape, "out");
  const auto from = real_strides(p.shape, in.strides, 2), to = real_strides(p.shape, out.strides, 2);
  require(in.data != out.data || from == to,
          "out: begins where the array does; in place the strides have to be the same");
  const index_t from_row = 2 * row_distance(p.shape, in.strides), to_row = 2 * row_distance(p.shape, out.strides);
  if (from_row > 0 && to_row > 0)
    Run<T>(p, cpu, ws).rows_then_columns({reals(in.data), from_row, reals(out.data), to_row, 0, 0, inverse, scale});
  else
    run_strided<T>(p, cpu, {reals(in.data), from, reals(out.data), to, inverse, scale}, ws);
}

}  // namespace

std::vector<index_t> real_strides(const std::vector<index_t>& shape, std::span<const index_t> strides, index_t width) {
  std::vector<index_t> out(shape.size());
  index_t packed = 1;
  for (std::size_t d = shape.size(); d-- > 0; packed *= shape[d])
    out[d] = width * (strides.empty() ? packed : strides[d]);
  return out;
}

index_t row_distance(const std::vector<index_t>& shape, std::span<const index_t> strides) {
  index_t packed = 1, distance = 0, rows = 1;
  for (std::size_t d = shape.size(); d-- > 0; packed *= shape[d]) {
    if (shape[d] == 1) continue;
    const index_t stride = strides.empty() ? packed : strides[d];
    if (d + 1 == shape.size()) {
      if (stride != 1) return 0;
      continue;
    }
    if (rows == 1) distance = stride;
    if (stride != distance * rows) return 0;
    rows *= shape[d];
  }
  return rows == 1 ? shape.back() : std::max<index_t>(distance, 0);
}

template <class T>
void PlanOf<T>::forward(const Cpu& cpu, Strided<const T> in, Strided<Z> out, Workspace& ws) const {
  const PlanData<T>& p = *data_;
  require(p.real(), "forward: this plan transforms complex data, found real");
  require_strides(in.strides, p.shape, "in");
  require_strides(out.strides, p.spectrum, "out");
  const index_t from = row_distance(p.shape, in.strides), to = 2 * row_distance(p.spectrum, out.strides);
  if (in.data == reals(out.data)) require_room(p, from, to);
  if (from > 0 && to > 0) {
    Run<T>(p, cpu, ws).rows_then_columns({in.data, from, reals(out.data), to, 0, 0, false, 1});
    return;
  }
  run_strided<T>(p, cpu,
                 {in.data, real_strides(p.shape, in.strides, 1), reals(out.data),
                  real_strides(p.spectrum, out.strides, 2), false, 1},
                 ws);
}

template <class T>
void PlanOf<T>::inverse(const Cpu& cpu, Strided<const Z> in, Strided<T> out, T scale, Workspace& ws) const {
  const PlanData<T>& p = *data_;
  require(p.real(), "inverse: this plan transforms complex data, found real");
  require_strides(in.strides, p.spectrum, "in");
  require_strides(out.strides, p.shape, "out");
  const index_t from = 2 * row_distance(p.spectrum, in.strides), to = row_distance(p.shape, out.strides);
  const bool in_place = reals(in.data) == out.data;
  if (in_place) require_room(p, to, from);
  if (from == 0 || to == 0) {
    run_strided<T>(p, cpu,
                   {reals(in.data), real_strides(p.spectrum, in.strides, 2), out.data,
                    real_strides(p.shape, out.strides, 1), true, scale},
                   ws);
    return;
  }
  if (!p.axis1) {
    Run<T>(p, cpu, ws).all_rows({reals(in.data), from, out.data, to, 0, 0, true, scale});
    return;
  }
  if (!p.axis0 && p.n % 2 == 0 && !in_place) {
    const index_t width = p.n / 2, count = p.batch;
    Run<T>(p, cpu, ws)
        .planes(
            First::columns, {out.data, to, out.data, to, 0, 0, true, scale, nullptr, &p.packed},
            {{reals(in.data), from, from * p.n1, 0}, {out.data, to, to * p.n1, 0}, count, 1, width, true, &p.packed});
    return;
  }
  // Columns go to a scratch spectrum, or stay where rows are to follow.
  const index_t row = in_place ? from : padded_row<T>(p.m), lines = p.batch * p.n0 * p.n1;
  const std::size_t floats = in_place ? 0 : static_cast<std::size_t>((row * lines + 1023) / 1024 * 1024 + 128);
  const Run<T> run(p, cpu, ws, sizeof(T) * floats);
  T* const spectrum = in_place ? out.data : run.spectrum();
  run.columns_then_rows(reals(in.data), from, {spectrum, row, row * p.n1, 0},
                        {spectrum, row, out.data, to, 0, 0, true, scale});
}

template <class T>
void PlanOf<T>::forward(const Cpu& cpu, Strided<const Z> in, Strided<Z> out, Workspace& ws) const {
  complex_either_way(*data_, cpu, in, out, false, T{1}, ws);
}
template <class T>
void PlanOf<T>::inverse(const Cpu& cpu, Strided<const Z> in, Strided<Z> out, T scale, Workspace& ws) const {
  complex_either_way(*data_, cpu, in, out, true, scale, ws);
}

#define CRYOLITH_FFT_RUN(T)                                                                                          \
  template void PlanOf<T>::forward(const Cpu&, Strided<const T>, Strided<std::complex<T>>, Workspace&) const;        \
  template void PlanOf<T>::inverse(const Cpu&, Strided<const std::complex<T>>, Strided<T>, T, Workspace&) const;     \
  template void PlanOf<T>::forward(const Cpu&, Strided<const std::complex<T>>, Strided<std::complex<T>>, Workspace&) \
      const;                                                                                                         \
  template void PlanOf<T>::inverse(const Cpu&, Strided<const std::complex<T>>, Strided<std::complex<T>>, T,          \
                                   Workspace&) const;
CRYOLITH_FFT_RUN(float)
CRYOLITH_FFT_RUN(double)
#undef CRYOLITH_FFT_RUN

}  // namespace cryolith::fft
