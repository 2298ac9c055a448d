// SPDX-License-Identifier: BSD-3-Clause
#include "core/dispatch.hpp"

#include <algorithm>
#include <cstdlib>
#include <string_view>

namespace cryolith {
namespace {

Isa detected() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
  const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                  __builtin_cpu_supports("avx512vl");
  return v4 ? Isa::x86_64_v4 : v3 ? Isa::x86_64_v3 : Isa::baseline;
#else
  return Isa::baseline;
#endif
}

Isa ceiling() {
  const char* wanted = std::getenv("CRYOLITH_ISA");
  if (wanted == nullptr) return Isa::x86_64_v4;
  for (Isa isa : {Isa::baseline, Isa::x86_64_v3})
    if (std::string_view(wanted) == isa_name(isa)) return isa;
  return Isa::x86_64_v4;
}

}  // namespace

Isa current_isa() {
  static const Isa isa = std::min(detected(), ceiling());
  return isa;
}

const char* isa_name(Isa isa) {
  switch (isa) {
    case Isa::x86_64_v4:
      return "x86-64-v4";
    case Isa::x86_64_v3:
      return "x86-64-v3";
    case Isa::baseline:
      break;
  }
  return "baseline";
}

}  // namespace cryolith
