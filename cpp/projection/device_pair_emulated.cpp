// SPDX-License-Identifier: BSD-3-Clause
// The projector pair's CUDA kernels, run on the CPU.
#include "projection/device_pair.cuh"
