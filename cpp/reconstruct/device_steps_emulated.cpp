// SPDX-License-Identifier: BSD-3-Clause
// The solvers' CUDA kernels, run on the CPU.
#include "reconstruct/device_steps.cuh"
