// SPDX-License-Identifier: BSD-3-Clause
// The CUDA kernels of components, run on the CPU.
#include "detect/device_components.cuh"
