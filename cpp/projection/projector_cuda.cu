// SPDX-License-Identifier: BSD-3-Clause
#include "projection/shear_sum_cuda.cuh"
namespace cryolith::cuda {
using Default = ShearShape<24, 2, 1, 16, 2, 1>;
template __global__ void run(const ShearSum<Default, true>);
template __global__ void run(const ShearSum<Default, false>);
}
