// Fibers: stacks from mmap with a guard page, the switch in x86-64 assembly or by swapcontext. See fiber.h.
#include "kernels/simt/fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>

#include "kernels/contract/check.h"

#if defined(GAN_SIMT_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace gan::simt::runtime {
namespace {

#if defined(GAN_SIMT_ASAN)
constexpr size_t stack_bytes = 256 * 1024;  // red zones make frames several times larger
#else
constexpr size_t stack_bytes = 64 * 1024;
#endif
constexpr size_t guard_bytes = 4096;

}  // namespace

extern "C" void gan_simt_run_entry(Fiber* fiber) {
  fiber->run_entry();
  std::abort();
}

#if !defined(GAN_SIMT_UCONTEXT)
// gan_simt_switch(save, to): stores the callee-saved registers on the current stack and its pointer in *save,
// then takes up the stack `to` the same way. gan_simt_enter is the return address of a stack that has not run
// yet; its frame (built in restart()) delivers the Fiber in rbx. The missing rip tells unwinders that the
// stack ends there.
extern "C" void gan_simt_switch(void** save, void* to);
extern "C" void gan_simt_enter();
asm(R"(
.text
.globl gan_simt_switch
.type gan_simt_switch,@function
gan_simt_switch:
 .cfi_startproc
 pushq %rbp
 pushq %rbx
 pushq %r12
 pushq %r13
 pushq %r14
 pushq %r15
 movq %rsp,(%rdi)
 movq %rsi,%rsp
 popq %r15
 popq %r14
 popq %r13
 popq %r12
 popq %rbx
 popq %rbp
 ret
 .cfi_endproc
.size gan_simt_switch,.-gan_simt_switch
.globl gan_simt_enter
.type gan_simt_enter,@function
gan_simt_enter:
 .cfi_startproc
 .cfi_undefined rip
 xorl %ebp,%ebp
 movq %rbx,%rdi
 call gan_simt_run_entry
 ud2
 .cfi_endproc
.size gan_simt_enter,.-gan_simt_enter
)");
#else
// makecontext passes ints only: the pointer travels in two halves.
static void enter_ucontext(unsigned high, unsigned low) {
  gan_simt_run_entry(reinterpret_cast<Fiber*>(static_cast<uintptr_t>((uint64_t{high} << 32) | low)));
}
#endif

Fiber::Fiber(Entry entry, void* argument, size_t number)
    : entry_(entry), argument_(argument), stack_size_(stack_bytes), stagger_(number * 5 % 61 * 64) {
  void* mapping = mmap(nullptr, guard_bytes + stack_bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED)
    fail(Exit::failure, "simt: no memory for another stack of {} bytes", stack_bytes);
  mapping_ = static_cast<char*>(mapping);
  mprotect(mapping_, guard_bytes, PROT_NONE);  // stacks grow downwards, into this page
  stack_bottom_ = mapping_ + guard_bytes;
  restart();
}

Fiber::~Fiber() {
  if (!mapping_) return;
#if defined(GAN_SIMT_ASAN)
  __asan_unpoison_memory_region(stack_bottom_, stack_size_);
#endif
  munmap(mapping_, guard_bytes + stack_bytes);
}

void Fiber::restart() {
#if defined(GAN_SIMT_ASAN)
  __asan_unpoison_memory_region(stack_bottom_, stack_size_);  // abandoned frames left their red zones
  fake_stack_ = nullptr;
#endif
  char* const bottom = mapping_ + guard_bytes;
#if defined(GAN_SIMT_UCONTEXT)
  getcontext(&context_);
  context_.uc_stack.ss_sp = bottom;
  context_.uc_stack.ss_size = stack_size_ - stagger_;
  context_.uc_link = nullptr;
  const uint64_t self = reinterpret_cast<uintptr_t>(this);
  makecontext(&context_, reinterpret_cast<void (*)()>(enter_ucontext), 2, static_cast<unsigned>(self >> 32),
              static_cast<unsigned>(self));
#else
  // What gan_simt_switch pops: r15 r14 r13 r12 rbx rbp, then the address to return to. The two zero words
  // above keep the stack aligned to 16 bytes where the entry calls its first function, as the calling
  // convention demands.
  void** top = reinterpret_cast<void**>(bottom + stack_size_ - stagger_);
  *--top = nullptr;
  *--top = nullptr;
  *--top = reinterpret_cast<void*>(gan_simt_enter);
  *--top = nullptr;  // rbp
  *--top = this;     // rbx
  for (int i = 0; i < 4; ++i) *--top = nullptr;
  stack_pointer_ = top;
#endif
}

void Fiber::switch_to(Fiber& from, Fiber& to) {
  to.came_from_ = &from;
#if defined(GAN_SIMT_ASAN)
  __sanitizer_start_switch_fiber(&from.fake_stack_, to.stack_bottom_, to.stack_size_);
#endif
#if defined(GAN_SIMT_UCONTEXT)
  swapcontext(&from.context_, &to.context_);
#else
  gan_simt_switch(&from.stack_pointer_, to.stack_pointer_);
#endif
  from.arrived();
}

inline void Fiber::arrived() {
#if defined(GAN_SIMT_ASAN)
  const void* bottom = nullptr;
  size_t size = 0;
  __sanitizer_finish_switch_fiber(fake_stack_, &bottom, &size);
  if (!came_from_->mapping_) {  // only now do we learn where the OS thread's own stack lies
    came_from_->stack_bottom_ = bottom;
    came_from_->stack_size_ = size;
  }
#endif
}

void Fiber::run_entry() {
  arrived();
  entry_(argument_);
}

}  // namespace gan::simt::runtime
