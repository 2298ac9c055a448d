// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// The only header that knows which compiler is running.
#if defined(__CUDACC__)
#define CRYOLITH_HD __host__ __device__ __forceinline__
#else
#define CRYOLITH_HD inline __attribute__((always_inline))
#endif
