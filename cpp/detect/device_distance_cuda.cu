// SPDX-License-Identifier: BSD-3-Clause
#include "detect/device_distance.cuh"
