// SPDX-License-Identifier: BSD-3-Clause
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
  forget(stack_.get());
  body_ = body;
  thrown_ = nullptr;
  ended_ = false;
  fake_stack_ = nullptr;
  if (getcontext(&context_) != 0) throw std::runtime_error("fiber: the system gives no context");
  context_.uc_stack.ss_sp = stack_.get();
  context_.uc_stack.ss_size = kStack;
  context_.uc_link = nullptr;
  const auto self = reinterpret_cast<std::uintptr_t>(this);
  makecontext(&context_, reinterpret_cast<void (*)()>(&Fiber::enter), 2,
              static_cast<unsigned>(std::uint64_t{self} >> 32), static_cast<unsigned>(self));
}

void Fiber::enter(unsigned high, unsigned low) {
  reinterpret_cast<Fiber*>(static_cast<std::uintptr_t>((std::uint64_t{high} << 32) | low))->run();
}

void Fiber::run() {
  arrive(nullptr, &resumer_bottom_, &resumer_size_);
  try {
    (*body_)();
  } catch (...) {  // an exception must not cross stacks
    thrown_ = std::current_exception();
  }
  ended_ = true;
  leave(nullptr, resumer_bottom_, resumer_size_);
  setcontext(&resumer_);
}

void Fiber::resume() {
  leave(&resumer_fake_stack_, stack_.get(), kStack);
  swapcontext(&resumer_, &context_);
  arrive(resumer_fake_stack_, nullptr, nullptr);
  if (thrown_) std::rethrow_exception(std::exchange(thrown_, nullptr));
}

void Fiber::stop() {
  leave(&fake_stack_, resumer_bottom_, resumer_size_);
  swapcontext(&context_, &resumer_);
  arrive(fake_stack_, &resumer_bottom_, &resumer_size_);
}

}  // namespace cryolith::emulated
