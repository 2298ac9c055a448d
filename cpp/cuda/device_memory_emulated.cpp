// SPDX-License-Identifier: BSD-3-Clause
#include "cuda/device_memory.cuh"
