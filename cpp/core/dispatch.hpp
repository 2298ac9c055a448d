// SPDX-License-Identifier: BSD-3-Clause
#pragma once

namespace cryolith {

// Instruction sets a tuned file is compiled for (cmake/cryolith_options.cmake), best last.
enum class Isa { baseline = 0, x86_64_v3 = 1, x86_64_v4 = 2 };

// The best one this processor runs, never above CRYOLITH_ISA (baseline, x86-64-v3, x86-64-v4) if that is set
// in the environment; read once.
Isa current_isa();
const char* isa_name(Isa isa);

}  // namespace cryolith

// CRYOLITH_SELECT(f, args...): calls the variant of f built for this processor. Each variant is declared as
// namespace baseline { R f(A...); } and, on x86-64, namespace x86_64_v3 / x86_64_v4 with the same text:
//   #define CRYOLITH_DECLARE(ns) namespace ns { void f(...); }
//   CRYOLITH_FOR_EACH_VARIANT(CRYOLITH_DECLARE)
#if defined(__x86_64__) && defined(CRYOLITH_NO_V4)  // sanitizer builds
#define CRYOLITH_FOR_EACH_VARIANT(X) X(baseline) X(x86_64_v3)
#define CRYOLITH_SELECT(f) (::cryolith::current_isa() == ::cryolith::Isa::baseline ? &baseline::f : &x86_64_v3::f)
#elif defined(__x86_64__)
#define CRYOLITH_FOR_EACH_VARIANT(X) X(baseline) X(x86_64_v3) X(x86_64_v4)
#define CRYOLITH_SELECT(f)                                                   \
  (::cryolith::current_isa() == ::cryolith::Isa::x86_64_v4   ? &x86_64_v4::f \
   : ::cryolith::current_isa() == ::cryolith::Isa::x86_64_v3 ? &x86_64_v3::f \
                                                             : &baseline::f)
#else
#define CRYOLITH_FOR_EACH_VARIANT(X) X(baseline)
#define CRYOLITH_SELECT(f) (&baseline::f)
#endif
