// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// NVIDIA's FFT library, loaded when it is first needed: the package is built and imported without it.
#include <string>
#include <vector>

#include "core/view.hpp"

namespace cryolith::cuda {

// Real arrays <-> their half spectra, `batch` of them at once, in the memory of this thread's device. DeviceError where
// the library is missing, with what was tried, or where a call failed.
class CufftPlan {
 public:
  // shape: 1 to 3 axes.
  CufftPlan(const std::vector<index_t>& shape, index_t batch);
  ~CufftPlan();
  CufftPlan(const CufftPlan&) = delete;
  CufftPlan& operator=(const CufftPlan&) = delete;

  // As fft::Plan: the last axis of a spectrum is n / 2 + 1 complex numbers; the inverse is not normalised, and may
  // overwrite the spectrum. stream: a cudaStream_t.
  void forward(float* in, float* spectrum, void* stream) const;
  void inverse(float* spectrum, float* out, void* stream) const;

 private:
  int forward_ = 0, inverse_ = 0;  // cufftHandle
};

// The library's version, 12001 for 12.0.1; DeviceError where it is missing.
int cufft_version();

}  // namespace cryolith::cuda
