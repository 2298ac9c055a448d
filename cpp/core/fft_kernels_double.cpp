// SPDX-License-Identifier: BSD-3-Clause
// The tuned part of the FFT for float64, compiled once per instruction set (cryolith_add_variants).
#define CRYOLITH_FFT_REAL double
#define CRYOLITH_FFT_BYTES 8
#include "core/fft_kernels.hpp"

namespace cryolith::fft::CRYOLITH_VARIANT {

const Kernels<double> double_kernels = kKernels;

}  // namespace cryolith::fft::CRYOLITH_VARIANT
