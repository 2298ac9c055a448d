// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// Functions that stop in the middle and go on later, each on a stack of its own.
#include <ucontext.h>

#include <csetjmp>
#include <exception>
#include <functional>
#include <memory>

namespace cryolith::emulated {

// One fiber at a time runs, on the thread that resumes it.
class Fiber {
 public:
  Fiber();
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;
  // Begins anew with `body`; whatever it ran before is dropped where it stood.
  void start(const std::function<void()>* body);
  // Runs it until it stops or ends; throws what it threw.
  void resume();
  // From within: back to who resumed it.
  void stop();
  bool ended() const { return ended_; }

 private:
  static void enter(unsigned high, unsigned low);  // makecontext passes int only
  void make();
  void run();

  // Jumps take no system call, as swapping contexts does to keep the mask of signals.
  ucontext_t first_ = {};
  std::jmp_buf stopped_, resumer_;
  bool begun_ = false;
  std::unique_ptr<char[]> stack_;
  const std::function<void()>* body_ = nullptr;
  std::exception_ptr thrown_;
  bool ended_ = true;
  // What the address sanitizer has to be told when stacks change.
  void *fake_stack_ = nullptr, *resumer_fake_stack_ = nullptr;
  const void* resumer_bottom_ = nullptr;
  std::size_t resumer_size_ = 0;
};

}  // namespace cryolith::emulated
