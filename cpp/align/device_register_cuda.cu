// SPDX-License-Identifier: BSD-3-Clause
#include "align/device_register.cuh"
#include "align/device_stack.cuh"
