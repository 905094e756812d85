// A fiber: a stack of its own, and a switch from one to another that costs about a nanosecond.
//
// The emulation gives a fiber to every CUDA thread that has to wait (engine.cpp). On x86-64 the switch is 15
// instructions of assembly; elsewhere, or with GAN_SIMT_UCONTEXT defined, it is POSIX swapcontext, correct
// but ten times slower (it makes a system call). AddressSanitizer is told about every switch. Stacks end in
// an inaccessible page.
#pragma once
#include <cstddef>
#include <cstdint>

#if defined(__SANITIZE_ADDRESS__)
#define GAN_SIMT_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define GAN_SIMT_ASAN 1
#endif
#endif

#if !defined(__x86_64__) && !defined(GAN_SIMT_UCONTEXT)
#define GAN_SIMT_UCONTEXT 1
#endif
#if defined(GAN_SIMT_UCONTEXT)
#include <ucontext.h>
#endif

namespace gan::simt::runtime {

class Fiber {
 public:
  using Entry = void (*)(void* argument);  // must never return: it switches away for good

  // Stands for the stack that is running now; only good as the `from` of a first switch and a way back.
  Fiber() = default;
  // A new stack; entry(argument) starts at the first switch to it. number: any small number that differs
  // between fibers; it staggers their stack tops, which would otherwise all compete for the same cache sets.
  Fiber(Entry entry, void* argument, size_t number);
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // Leaves `from` (the running one) and goes on in `to`. Returns when somebody switches back to `from`.
  static void switch_to(Fiber& from, Fiber& to);

  // Forgets what the fiber was doing (nothing on its stack is destroyed); the next switch starts
  // entry(argument) again.
  void restart();

  uintptr_t stack_start() const { return reinterpret_cast<uintptr_t>(stack_bottom_); }
  size_t stack_size() const { return stack_size_; }
  bool has_on_stack(const void* address) const {
    return reinterpret_cast<uintptr_t>(address) - stack_start() < stack_size_;
  }

  void run_entry();  // first code on a new stack; only for the assembly

 private:
  void arrived();

#if defined(GAN_SIMT_UCONTEXT)
  ucontext_t context_{};
#else
  void* stack_pointer_ = nullptr;
#endif
  Entry entry_ = nullptr;
  void* argument_ = nullptr;
  char* mapping_ = nullptr;  // guard page, then the stack; null for the OS thread's own stack
  const void* stack_bottom_ = nullptr;
  size_t stack_size_ = 0;
  size_t stagger_ = 0;          // bytes left free at the stack's top
  void* fake_stack_ = nullptr;  // AddressSanitizer's book-keeping while the fiber is away
  Fiber* came_from_ = nullptr;
};

}  // namespace gan::simt::runtime
