// SPDX-License-Identifier: BSD-3-Clause
// The CUDA kernels of distances, run on the CPU.
#include "detect/device_distance.cuh"
