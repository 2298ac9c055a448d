// SPDX-License-Identifier: BSD-3-Clause
// What one core can do at most: prints G voxel updates/s of linear interpolation, two fused multiply-adds for eight
// voxels, of AVX2 registers alone and with one load from L1 for each. Build and run by roofline.py.
#include <time.h>

#include <algorithm>
#include <cstdio>

typedef float V8 __attribute__((vector_size(32)));
constexpr int kChains = 8;  // enough to hide the latency of 4 cycles on two ports
alignas(64) static float row[4096];

static double cpu_seconds() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

// Keeps the compiler from folding the loop.
#define USED(a) \
  asm volatile("" : "+x"(a[0]), "+x"(a[1]), "+x"(a[2]), "+x"(a[3]), "+x"(a[4]), "+x"(a[5]), "+x"(a[6]), "+x"(a[7]))

int main() {
  for (float& x : row) x = 1e-6f;  // a page that was never written reads at half the speed
  V8 a[kChains] = {}, w = V8{} + 0.5f;
  double alone = 0.0, loaded = 0.0;
  for (int repetition = 0; repetition < 20; ++repetition) {
    constexpr long n = 1'000'000, m = 20'000;
    double start = cpu_seconds();
    for (long i = 0; i < n; ++i) {
      for (int k = 0; k < kChains; ++k) a[k] = a[k] * w + w;
      USED(a);
    }
    alone = std::max(alone, n * kChains / (cpu_seconds() - start));
    start = cpu_seconds();
    for (long i = 0; i < m; ++i)
      for (int j = 0; j < 4096; j += 8 * kChains) {
        for (int k = 0; k < kChains; ++k) a[k] += w * *reinterpret_cast<V8*>(row + j + 8 * k);
        USED(a);
      }
    loaded = std::max(loaded, m * 512 / (cpu_seconds() - start));
  }
  std::printf("%.3f %.3f\n", alone / 2 * 8 / 1e9, loaded / 2 * 8 / 1e9);
}
