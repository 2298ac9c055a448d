// SPDX-License-Identifier: BSD-3-Clause
#include "reconstruct/device_image_filter.cuh"
