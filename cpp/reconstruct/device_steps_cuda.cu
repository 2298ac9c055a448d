// SPDX-License-Identifier: BSD-3-Clause
#include "reconstruct/device_steps.cuh"
