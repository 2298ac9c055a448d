// SPDX-License-Identifier: BSD-3-Clause
#include "projection/device_pair.cuh"
