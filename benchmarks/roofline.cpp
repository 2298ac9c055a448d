// SPDX-License-Identifier: BSD-3-Clause
// What this machine can do: fused multiply-adds a second, from registers and from the first-level cache.
//
// One voxel update by linear interpolation is two multiply-adds, so half of either rate times the lanes bounds every
// back-projection in float32. Compiled once per vector width (-DWIDTH=bytes) by roofline.py, which reads the two
// numbers: 1e9 updates a second and thread, by the CPU time of each thread.
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

typedef float Vector __attribute__((vector_size(WIDTH)));
constexpr int kLanes = WIDTH / static_cast<int>(sizeof(float));
constexpr int kSums = 12;  // latency of 4 cycles times 2 units, and some

static double cpu_seconds() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

#if defined(__x86_64__)
#define KEEP(v) asm volatile("" : "+v"(v))
#else
#define KEEP(v) asm volatile("" : "+w"(v))
#endif

static double from_registers(long turns) {
  Vector sums[kSums] = {}, factor = Vector{} + 0.5f;
  const double start = cpu_seconds();
  for (long i = 0; i < turns; ++i) {
#pragma GCC unroll 12
    for (int k = 0; k < kSums; ++k) {
      sums[k] = sums[k] * factor + factor;
      KEEP(sums[k]);
    }
  }
  return static_cast<double>(turns) * kSums / (cpu_seconds() - start);
}

static double from_cache(long turns) {
  constexpr int count = 16384 / WIDTH;  // half of the smallest first-level cache
  alignas(WIDTH) static thread_local Vector table[count];
  Vector sums[kSums] = {}, factor = Vector{} + 0.5f;
  constexpr int whole = count / kSums * kSums;
  for (Vector& v : table) v += 1e-6f;  // a page that was never written reads at half the speed
  const double start = cpu_seconds();
  for (long i = 0; i < turns; ++i) {
    for (int j = 0; j < whole; j += kSums) {
#pragma GCC unroll 12
      for (int k = 0; k < kSums; ++k) {
        sums[k] += factor * table[j + k];
        KEEP(sums[k]);
      }
    }
  }
  return static_cast<double>(turns) * whole / (cpu_seconds() - start);
}

int main(int argc, char** argv) {
  const int n = argc > 1 ? std::atoi(argv[1]) : 1;
  std::vector<double> registers(static_cast<size_t>(n)), cache(static_cast<size_t>(n));
  std::vector<std::thread> threads;
  for (size_t i = 0; i < registers.size(); ++i)
    threads.emplace_back([&, i] {
      for (int turn = 0; turn < 5; ++turn) {
        registers[i] = std::max(registers[i], from_registers(2000000));
        cache[i] = std::max(cache[i], from_cache(100000));
      }
    });
  for (std::thread& t : threads) t.join();
  double r = 0, c = 0;
  for (double x : registers) r += x / n;
  for (double x : cache) c += x / n;
  std::printf("%.4f %.4f\n", r * kLanes / 2e9, c * kLanes / 2e9);
}
