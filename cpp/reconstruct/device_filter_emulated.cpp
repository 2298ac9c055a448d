// SPDX-License-Identifier: BSD-3-Clause
// The filter's CUDA kernels, run on the CPU.
#include "reconstruct/device_filter.cuh"
