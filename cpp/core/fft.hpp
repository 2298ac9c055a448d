// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <complex>
#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "core/parallel.hpp"
#include "core/view.hpp"

namespace cryolith::fft {

// Smallest length >= n that is fast: factors 2, 3, 5, 7 only, a multiple of 16 above 128 and of 2 above 16.
index_t good_size(index_t n);

// Caller-owned scratch memory, grown on demand; reuse it between calls to spare page faults. One per calling thread.
class Workspace {
 public:
  Workspace() = default;
  ~Workspace();
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;
  // At least `bytes` of unspecified content, 4096-byte aligned; an earlier pointer becomes invalid.
  void* reserve(std::size_t bytes);

 private:
  void* data_ = nullptr;
  std::size_t size_ = 0;
};

enum class Kind { real, complex };
template <class T>
struct PlanData;  // tables; fft_plan.hpp

// Where an array lies: strides in elements of T, one for each dimension, of any sign; empty: C order, nothing between.
template <class T>
struct Strided {
  T* data;
  std::span<const index_t> strides;
  Strided(T* data_, std::span<const index_t> strides_ = {}) : data(data_), strides(strides_) {}
};

// Fourier transform of the last `axes` (1 to 3) dimensions of an array; those before are a batch.
// X[k] = sum_x x[x] exp(-2 pi i k x / n) along each axis, as in numpy.fft; the inverse is not normalised but times
// `scale`. A plan is immutable: any number of threads may use one at once, each call with its own Workspace. The
// result has the same bits for any number of threads, not for any strides. O(n log n) for every n; relative rms error
// below 5e-7 (float) and 1e-15 (double).
//
// Arrays whose rows touch in themselves and lie one distance apart (C order, an image's window) are transformed as they
// lie. Others are, one axis after the other, gathered into vectors and scattered back: fast where some axis other
// than the transformed one is contiguous. Other axes than the last ones are a matter of the order of the strides.
template <class T>
class PlanOf {
 public:
  using Z = std::complex<T>;

  // Throws ArgumentError: no or more than 3 axes, more axes than dimensions, an empty dimension, one above 2^30.
  PlanOf(std::span<const index_t> shape, int axes, Kind kind);
  PlanOf(PlanOf&&) noexcept;
  PlanOf& operator=(PlanOf&&) noexcept;
  ~PlanOf();

  Kind kind() const;
  const std::vector<index_t>& shape() const;     // of the array
  const std::vector<index_t>& spectrum() const;  // of its transform: real: the last axis is n / 2 + 1
  index_t count() const;  // product of the transformed axes: the inverse's scale is often 1 / count

  // Real plans. The input is not written unless `out` begins where `in` does: then rows of both have to touch in
  // themselves and to be the same number of bytes apart, with room for the larger. The inverse takes the half spectrum
  // as irfft does: the imaginary parts that Hermitian symmetry demands to be 0 are ignored.
  void forward(const Cpu& cpu, Strided<const T> in, Strided<Z> out, Workspace& ws) const;
  void inverse(const Cpu& cpu, Strided<const Z> in, Strided<T> out, T scale, Workspace& ws) const;

  // Complex plans; in place when `in` and `out` are the same array.
  void forward(const Cpu& cpu, Strided<const Z> in, Strided<Z> out, Workspace& ws) const;
  void inverse(const Cpu& cpu, Strided<const Z> in, Strided<Z> out, T scale, Workspace& ws) const;

 private:
  std::unique_ptr<const PlanData<T>> data_;
};
using Plan = PlanOf<float>;
using DoublePlan = PlanOf<double>;

}  // namespace cryolith::fft
