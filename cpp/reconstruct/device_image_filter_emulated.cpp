// SPDX-License-Identifier: BSD-3-Clause
// The image filter's CUDA kernels, run on the CPU.
#include "reconstruct/device_image_filter.cuh"
