// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// Owners of the tables that the tuned passes read; internal to the FFT. T is float or double.
#include <memory>
#include <mutex>
#include <vector>

#include "core/buffer.hpp"
#include "core/fft.hpp"
#include "core/fft_tables.hpp"

namespace cryolith::fft {

// Bytes of a scratch array of `work` samples of as many signals as there are lanes.
template <class T>
std::size_t scratch_bytes(index_t work);

// A lane transform of length n, 1 <= n <= 2^30.
template <class T>
class Lanes {
 public:
  explicit Lanes(index_t n);
  const LaneTable<T>& table() const { return table_; }

 private:
  void add_passes(const std::vector<int>& radices);
  void init_bluestein();
  const Complex<T>* keep(std::vector<Complex<T>> values);

  LaneTable<T> table_{};
  std::vector<std::vector<Complex<T>>> tables_;
  std::unique_ptr<Lanes> convolution_;
};

// Transforms of rows of n samples; `may_split`: long ones one by one, each as interleaved sub-signals.
template <class T>
class Rows {
 public:
  Rows(index_t n, bool real, bool may_split = true);
  const RowTable<T>& table() const { return table_; }
  index_t group() const { return group_; }  // rows that are transformed at once; 1 when each is split
  index_t work() const;                     // samples of a scratch array
  void run(const RowBlock<T>& rows, const Scratch<T>& s) const;

 private:
  RowTable<T> table_{};
  std::unique_ptr<Lanes<T>> lanes_;
  std::vector<T> split_, half_re_, half_im_;
  index_t group_;
};

// batch x n0 x n1 x n; n0 and n1 are 1 when not transformed.
template <class T>
struct PlanData {
  std::vector<index_t> shape, spectrum;
  int axes = 1;
  index_t batch = 1, n0 = 1, n1 = 1, n = 1;
  index_t m = 1;                           // samples of a spectrum row
  std::unique_ptr<Lanes<T>> axis0, axis1;  // null when not transformed
  std::unique_ptr<Rows<T>> rows;
  std::size_t part = 0;  // bytes of one scratch array
  std::vector<index_t> turns;
  Turns packed{};  // how the inverse of real images of even width keeps their spectrum in the output

  bool real() const { return rows->table().real; }
  // What scattered rows need, last axis first: made when first asked for.
  const std::vector<Rows<T>>& scattered() const;

 private:
  mutable std::once_flag once_;
  mutable std::vector<Rows<T>> scattered_;
};

// Scratch of each worker out of a Workspace, after `before` bytes of something else, and blocks of work.
template <class T>
class Workers {
 public:
  // `samples`: of the whole transform; small ones get fewer threads.
  Workers(const Cpu& cpu, index_t samples, std::size_t part, Workspace& ws, std::size_t before = 0);
  void* before() const { return before_; }
  // body(first, last, scratch) on [0, count) in blocks of `block`.
  template <class Body>
  void blocks(index_t count, index_t block, const Body& body) const {
    parallel_for(cpu_, (count + block - 1) / block, [&](index_t i, int worker) {
      char* base = scratch_ + 3 * part_ * static_cast<std::size_t>(worker);
      const auto at = [&](std::size_t k) { return reinterpret_cast<T*>(base + k * part_); };
      body(i * block, std::min((i + 1) * block, count), Scratch<T>{at(0), at(1), at(2)});
    });
  }

 private:
  Cpu cpu_;
  std::size_t part_;
  void* before_;
  char* scratch_;
};

inline constexpr index_t kBlockSamples = index_t{1} << 18;  // of a task: about 0.5 ms, ten times the start of a thread

// The distance of rows in elements when all lie one positive distance apart, in C order, and touch in themselves; else
// 0.
index_t row_distance(const std::vector<index_t>& shape, std::span<const index_t> strides);

// Strides in T of an array of elements of `width` T; empty strides: C order.
std::vector<index_t> real_strides(const std::vector<index_t>& shape, std::span<const index_t> strides, index_t width);

// Any strides, in elements of T (two for a complex number), one axis after the other. fft_strided.cpp.
template <class T>
struct StridedCall {
  const T* in;
  std::vector<index_t> in_strides;
  T* out;
  std::vector<index_t> out_strides;
  bool inverse;
  T scale;
};
template <class T>
void run_strided(const PlanData<T>& plan, const Cpu& cpu, const StridedCall<T>& call, Workspace& ws);

}  // namespace cryolith::fft
