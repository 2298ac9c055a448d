// SPDX-License-Identifier: BSD-3-Clause
// The order of a plan's passes over an array, and how they are shared among threads. Blocks depend on the shape only,
// never on the number of threads: the same bits come out for any.
#include <algorithm>

#include "core/fft_plan.hpp"

namespace cryolith::fft {
namespace {

constexpr index_t kBlockSamples = index_t{1} << 18;  // of a task: about 0.5 ms, ten times the start of a thread
constexpr index_t kColumns = 32;                     // at least in a task: neighbours meet while their lines are cached
constexpr index_t kSlabSamples = index_t{1} << 18;   // 2 MB: rows and columns of a slab while it is in the cache

float* floats(std::complex<float>* p) { return reinterpret_cast<float*>(p); }
const float* floats(const std::complex<float>* p) { return reinterpret_cast<const float*>(p); }

// One side of a transform of columns: matrix (i, j) begins at data + i outer + j inner; strides in floats.
template <class T>
struct Side {
  T* data;
  index_t row, outer, inner;
  T* at(index_t i, index_t j) const { return data + i * outer + j * inner; }
};
struct Columns {
  Side<const float> in;
  Side<float> out;
  index_t outer, inner, width;  // outer x inner matrices of `width` columns
  bool inverse;
};

class Run {
 public:
  // Takes from `ws` scratch for each worker and, before it, spectrum_bytes.
  Run(const PlanData& plan, const Cpu& cpu, Workspace& ws, std::size_t spectrum_bytes = 0) : p_(plan), cpu_(cpu) {
    const index_t samples = slabs() * p_.n1 * p_.n;
    const index_t useful = std::max<index_t>(1, samples / (kBlockSamples / 4));
    cpu_.threads = static_cast<int>(std::min<index_t>(resolve_threads(cpu), useful));
    const std::size_t bytes = spectrum_bytes + 3 * p_.part * static_cast<std::size_t>(cpu_.threads);
    spectrum_ = static_cast<float*>(ws.reserve(bytes));
    scratch_ = reinterpret_cast<char*>(spectrum_) + spectrum_bytes;
  }
  float* spectrum() const { return spectrum_; }
  index_t slabs() const { return p_.batch * p_.n0; }

  void all_rows(const RowBlock& b) const {
    const index_t group = p_.rows->group();
    const index_t block = std::max<index_t>(1, kBlockSamples / p_.n / group) * group;
    blocks(slabs() * p_.n1, block, [&](index_t first, index_t last, const Scratch& s) { rows(b, first, last, s); });
  }
  void all_columns(const Lanes& axis, const Columns& c) const {
    const index_t height = axis.table().n;
    const index_t chunk = std::max(kColumns, kBlockSamples / height / kColumns * kColumns);
    const index_t chunks = (c.width + chunk - 1) / chunk;
    const index_t block = std::max<index_t>(1, kBlockSamples / (height * std::min(chunk, c.width)));
    blocks(c.outer * c.inner * chunks, block, [&](index_t first, index_t last, const Scratch& s) {
      for (index_t i = first; i < last; ++i) {
        const index_t matrix = i / chunks, column = i % chunks * chunk;
        columns(axis, c, matrix, column, std::min(column + chunk, c.width), s);
      }
    });
  }
  // Rows and columns of the last two axes, together while a slab is cached where that is worth it. The forward
  // transform does rows first, the inverse columns first.
  void planes(const RowBlock& r, const Columns& c) const {
    if (!slab_by_slab()) {
      if (!c.inverse) all_rows(r);
      all_columns(*p_.axis1, c);
      if (c.inverse) all_rows(r);
      return;
    }
    const index_t block = std::max<index_t>(1, kBlockSamples / (p_.n1 * p_.n));
    blocks(slabs(), block, [&](index_t first, index_t last, const Scratch& s) {
      for (index_t slab = first; slab < last; ++slab) {
        if (!c.inverse) rows(r, slab * p_.n1, (slab + 1) * p_.n1, s);
        columns(*p_.axis1, c, slab, 0, c.width, s);
        if (c.inverse) rows(r, slab * p_.n1, (slab + 1) * p_.n1, s);
      }
    });
  }

 private:
  // body(first, last, scratch) on [0, count) in blocks of `block`.
  template <class Body>
  void blocks(index_t count, index_t block, const Body& body) const {
    parallel_for(cpu_, (count + block - 1) / block, [&](index_t i, int worker) {
      char* base = scratch_ + 3 * p_.part * static_cast<std::size_t>(worker);
      const auto part = [&](std::size_t k) { return reinterpret_cast<float*>(base + k * p_.part); };
      body(i * block, std::min((i + 1) * block, count), Scratch{part(0), part(1), part(2)});
    });
  }
  void rows(RowBlock b, index_t first, index_t last, const Scratch& s) const {
    b.first = first;
    b.last = last;
    const RowTable& table = p_.rows->table();
    if (table.real)
      CRYOLITH_SELECT(real_rows)(table, b, s);
    else
      CRYOLITH_SELECT(complex_rows)(table, b, s);
  }
  void columns(const Lanes& axis, const Columns& c, index_t matrix, index_t first, index_t last,
               const Scratch& s) const {
    const index_t i = matrix / c.inner, j = matrix % c.inner;
    const ColumnBlock b{c.in.at(i, j), c.in.row, c.out.at(i, j), c.out.row, first, last, c.inverse};
    CRYOLITH_SELECT(columns)(axis.table(), b, s);
  }
  bool slab_by_slab() const {
    const index_t group = p_.rows->group();  // a slab should not leave most of its last group empty
    return slabs() > 1 && p_.n1 * p_.m <= kSlabSamples && (p_.n1 % group == 0 || p_.n1 >= 4 * group);
  }

  const PlanData& p_;
  Cpu cpu_;
  float* spectrum_;
  char* scratch_;
};

// All columns along axis 1, in place in a contiguous spectrum.
Columns axis1_in_place(const PlanData& p, float* data, bool inverse) {
  const index_t row = 2 * p.m, matrix = row * p.n1;
  return {{data, row, matrix, 0}, {data, row, matrix, 0}, p.batch * p.n0, 1, p.m, inverse};
}
Columns axis0_in_place(const PlanData& p, float* data, bool inverse) {
  const index_t row = 2 * p.m * p.n1, matrix = row * p.n0;
  return {{data, row, matrix, 0}, {data, row, matrix, 0}, p.batch, 1, p.n1 * p.m, inverse};
}

// Rows of the scratch spectrum begin on cache lines, and not on the same set of an L1 cache for every row.
index_t padded_row(index_t samples) {
  const index_t rounded = (samples + 7) / 8 * 8;
  return 2 * (rounded % 512 == 0 ? rounded + 8 : rounded);
}

}  // namespace

void Plan::forward(const Cpu& cpu, const float* in, std::complex<float>* out, Workspace& ws) const {
  const PlanData& p = *data_;
  require(p.rows->table().real, "forward: this plan transforms complex data in place");
  const Run run(p, cpu, ws);
  const RowBlock rows{in, p.n, floats(out), 2 * p.m, 0, 0, false, 1};
  if (p.axis1)
    run.planes(rows, axis1_in_place(p, floats(out), false));
  else
    run.all_rows(rows);
  if (p.axis0) run.all_columns(*p.axis0, axis0_in_place(p, floats(out), false));
}

void Plan::inverse(const Cpu& cpu, const std::complex<float>* in, float* out, float scale, Workspace& ws) const {
  const PlanData& p = *data_;
  require(p.rows->table().real, "inverse: this plan transforms complex data in place");
  const index_t row = 2 * p.m;
  if (!p.axis1) {
    Run(p, cpu, ws).all_rows({floats(in), row, out, p.n, 0, 0, true, scale});
    return;
  }
  const index_t padded = padded_row(p.m), lines = p.batch * p.n0 * p.n1;  // columns go to a scratch spectrum
  const Run run(p, cpu, ws, sizeof(float) * static_cast<std::size_t>((padded * lines + 1023) / 1024 * 1024 + 128));
  const Side<const float> source{floats(in), row, row * p.n1, 0};
  const Side<float> scratch{run.spectrum(), padded, padded * p.n1, 0};
  Columns columns{source, scratch, p.batch * p.n0, 1, p.m, true};
  if (p.axis0) {
    const index_t from = row * p.n1, to = padded * p.n1;
    run.all_columns(
        *p.axis0,
        {{floats(in), from, from * p.n0, row}, {run.spectrum(), to, to * p.n0, padded}, p.batch, p.n1, p.m, true});
    columns.in = {scratch.data, scratch.row, scratch.outer, scratch.inner};
  }
  run.planes({run.spectrum(), padded, out, p.n, 0, 0, true, scale}, columns);
}

void Plan::forward(const Cpu& cpu, std::complex<float>* data, Workspace& ws) const {
  const PlanData& p = *data_;
  require(!p.rows->table().real, "forward: this plan transforms real data, from one array to another");
  const Run run(p, cpu, ws);
  const RowBlock rows{floats(data), 2 * p.n, floats(data), 2 * p.n, 0, 0, false, 1};
  if (p.axis1)
    run.planes(rows, axis1_in_place(p, floats(data), false));
  else
    run.all_rows(rows);
  if (p.axis0) run.all_columns(*p.axis0, axis0_in_place(p, floats(data), false));
}

void Plan::inverse(const Cpu& cpu, std::complex<float>* data, float scale, Workspace& ws) const {
  const PlanData& p = *data_;
  require(!p.rows->table().real, "inverse: this plan transforms real data, from one array to another");
  const Run run(p, cpu, ws);
  const RowBlock rows{floats(data), 2 * p.n, floats(data), 2 * p.n, 0, 0, true, scale};
  if (p.axis0) run.all_columns(*p.axis0, axis0_in_place(p, floats(data), true));
  if (p.axis1)
    run.planes(rows, axis1_in_place(p, floats(data), true));
  else
    run.all_rows(rows);
}

}  // namespace cryolith::fft
