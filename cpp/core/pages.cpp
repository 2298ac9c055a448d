// SPDX-License-Identifier: BSD-3-Clause
#include "core/pages.hpp"

#include <new>

#if defined(__unix__) || defined(__APPLE__)
#include <sys/mman.h>

namespace cryolith {

void* take_pages(std::size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
#if defined(MADV_HUGEPAGE)
  madvise(memory, bytes, MADV_HUGEPAGE);  // a wish: small pages do as well
#endif
  return memory;
}

void return_pages(void* memory, std::size_t bytes) noexcept { munmap(memory, bytes); }

}  // namespace cryolith
#else
#include <cstdlib>
#include <cstring>

namespace cryolith {

void* take_pages(std::size_t bytes) {
  void* memory = std::calloc(bytes, 1);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

void return_pages(void* memory, std::size_t) noexcept { std::free(memory); }

}  // namespace cryolith
#endif
