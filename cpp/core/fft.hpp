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
struct PlanData;  // tables; fft_plan.hpp

// Fourier transform, float32, of the last `axes` (1 to 3) dimensions of a C-contiguous array; those before are a batch.
// X[k] = sum_x x[x] exp(-2 pi i k x / n) along each axis, as in numpy.fft; the inverse is not normalised but times
// `scale`. A plan is immutable: any number of threads may use one at once, each call with its own Workspace. The
// result has the same bits for any number of threads. O(n log n) for every n; relative rms error below 5e-7.
class Plan {
 public:
  // Throws ArgumentError: no or more than 3 axes, more axes than dimensions, an empty dimension, one above 2^30.
  Plan(std::span<const index_t> shape, int axes, Kind kind);
  Plan(Plan&&) noexcept;
  Plan& operator=(Plan&&) noexcept;
  ~Plan();

  const std::vector<index_t>& shape() const;     // of the array
  const std::vector<index_t>& spectrum() const;  // of its transform: real: the last axis is n / 2 + 1
  index_t count() const;  // product of the transformed axes: the inverse's scale is often 1 / count

  // Real plans. The input is never written; `out` must not share memory with it. The inverse takes the half spectrum
  // as irfft does: the imaginary parts that Hermitian symmetry demands to be 0 are ignored.
  void forward(const Cpu& cpu, const float* in, std::complex<float>* out, Workspace& ws) const;
  void inverse(const Cpu& cpu, const std::complex<float>* in, float* out, float scale, Workspace& ws) const;

  // Complex plans, in place.
  void forward(const Cpu& cpu, std::complex<float>* data, Workspace& ws) const;
  void inverse(const Cpu& cpu, std::complex<float>* data, float scale, Workspace& ws) const;

 private:
  std::unique_ptr<const PlanData> data_;
};

}  // namespace cryolith::fft
