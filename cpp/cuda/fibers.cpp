// SPDX-License-Identifier: BSD-3-Clause
// Hardened builds take a jump to another stack for an error (QEMU's coroutines do the same).
#undef _FORTIFY_SOURCE
#include "cuda/fibers.hpp"

#include <cstdint>
#include <stdexcept>
#include <utility>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace cryolith::emulated {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr std::size_t kStack = 256 * 1024;  // frames of instrumented code are larger
void leave(void** fake, const void* bottom, std::size_t size) { __sanitizer_start_switch_fiber(fake, bottom, size); }
void arrive(void* fake, const void** bottom, std::size_t* size) { __sanitizer_finish_switch_fiber(fake, bottom, size); }
void forget(const char* stack) { __asan_unpoison_memory_region(stack, kStack); }
#else
constexpr std::size_t kStack = 64 * 1024;
void leave(void**, const void*, std::size_t) {}
void arrive(void*, const void**, std::size_t*) {}
void forget(const char*) {}
#endif

}  // namespace

Fiber::Fiber() : stack_(new char[kStack]) {}
Fiber::~Fiber() { forget(stack_.get()); }

void Fiber::start(const std::function<void()>* body) {
  body_ = body;
  if (!ended_ || !begun_) make();
  ended_ = false;
}

// A stack with nothing on it but enter().
void Fiber::make() {
  forget(stack_.get());
  thrown_ = nullptr;
  fake_stack_ = nullptr;
  begun_ = false;
  if (getcontext(&first_) != 0) throw std::runtime_error("fiber: the system gives no context");
  first_.uc_stack.ss_sp = stack_.get();
  first_.uc_stack.ss_size = kStack;
  first_.uc_link = nullptr;
  const auto self = reinterpret_cast<std::uintptr_t>(this);
  makecontext(&first_, reinterpret_cast<void (*)()>(&Fiber::enter), 2, static_cast<unsigned>(std::uint64_t{self} >> 32),
              static_cast<unsigned>(self));
}

void Fiber::enter(unsigned high, unsigned low) {
  reinterpret_cast<Fiber*>(static_cast<std::uintptr_t>((std::uint64_t{high} << 32) | low))->run();
}

void Fiber::run() {
  arrive(nullptr, &resumer_bottom_, &resumer_size_);
  for (;;) {
    try {
      (*body_)();
    } catch (...) {  // an exception must not cross stacks
      thrown_ = std::current_exception();
    }
    ended_ = true;
    stop();  // until there is another body
  }
}

void Fiber::resume() {
  leave(&resumer_fake_stack_, stack_.get(), kStack);
  if (_setjmp(resumer_) == 0) {
    if (begun_) _longjmp(stopped_, 1);
    begun_ = true;
    setcontext(&first_);
  }
  arrive(resumer_fake_stack_, nullptr, nullptr);
  if (thrown_) std::rethrow_exception(std::exchange(thrown_, nullptr));
}

void Fiber::stop() {
  leave(&fake_stack_, resumer_bottom_, resumer_size_);
  if (_setjmp(stopped_) == 0) _longjmp(resumer_, 1);
  arrive(fake_stack_, &resumer_bottom_, &resumer_size_);
}

}  // namespace cryolith::emulated
