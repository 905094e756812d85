// The functions that instrumented code calls, and the way from an instruction back to its source line. See
// hooks.h. Empty but for the builds that have instrumented code.
#include "kernels/simt/hooks.h"

#if defined(GAN_SIMT_RACE) || defined(GAN_SIMT_WATCH)
#include <elf.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "kernels/contract/check.h"

// A symbol of the linker: where this program's own ELF header lies.
extern "C" const char __ehdr_start[];

namespace gan::simt::runtime {

uint32_t place_of(const void* return_address) {
  return static_cast<uint32_t>(static_cast<const char*>(return_address) - __ehdr_start);
}

namespace {

// Starts a program without a shell, so that its words may hold anything, and gives what it prints. Null when it cannot
// be started.
FILE* output_of(std::vector<std::string>& command, pid_t& child) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return nullptr;
  std::vector<char*> words;
  for (auto& word : command) words.push_back(word.data());
  words.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  const int failed = posix_spawnp(&child, words[0], &actions, nullptr, words.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  if (failed == 0) return fdopen(ends[0], "r");
  close(ends[0]);
  return nullptr;
}

}  // namespace

std::vector<std::vector<std::string>> source_lines(const std::vector<uint32_t>& places) {
  std::vector<std::vector<std::string>> lines(places.size());
  char program[1024] = {};
  if (readlink("/proc/self/exe", program, sizeof program - 1) < 0) return lines;
  const bool moves = reinterpret_cast<const Elf64_Ehdr*>(__ehdr_start)->e_type == ET_DYN;
  const uint64_t start = moves ? 0 : reinterpret_cast<uintptr_t>(__ehdr_start);
  constexpr size_t at_once = 1000;  // a command line has its limits
  for (size_t first = 0; first < places.size(); first += at_once) {
    std::vector<std::string> command = {"addr2line", "-a", "-i", "-e", program};
    const size_t end = std::min(places.size(), first + at_once);
    for (size_t i = first; i < end; ++i)  // a return address: step back into the call
      command.push_back(fmt::format("{:#x}", start + places[i] - 1));
    pid_t child = -1;
    FILE* const pipe = output_of(command, child);
    if (!pipe) return lines;
    char text[1024];
    size_t current = first - 1;  // each address is repeated before its lines
    while (std::fgets(text, sizeof text, pipe)) {
      const std::string frame(text, std::strcspn(text, " \n"));  // without "(discriminator 3)"
      if (frame.rfind("0x", 0) == 0) ++current;
      else if (current < end && frame.rfind("??", 0) != 0 && frame.find(":?") == std::string::npos &&
               frame.find("kernels/simt/simt.h:") == std::string::npos)
        lines[current].push_back(frame);
    }
    std::fclose(pipe);
    waitpid(child, nullptr, 0);
  }
  return lines;
}

}  // namespace gan::simt::runtime

// ---- What instrumented code calls ---------------------------------------------------------------------
// GCC and clang agree on these names.

using namespace gan::simt::runtime;

#if defined(GAN_SIMT_RACE)
#define IS_WATCHED(address) (!unwatched.has(address))
#else
#define IS_WATCHED(address) true
#endif
#define NOTE(address, bytes, kind) \
  if (IS_WATCHED(address)) note_access(address, bytes, true, HookKind::kind, __builtin_return_address(0))
#define NOTE_RANGE(address, bytes, kind) \
  if (IS_WATCHED(address)) note_access(address, bytes, false, HookKind::kind, __builtin_return_address(0))
#define READ_AND_WRITE(bytes)                                                  \
  void __tsan_read##bytes(void* a) { NOTE(a, bytes, read); }                   \
  void __tsan_write##bytes(void* a) { NOTE(a, bytes, write); }                 \
  void __tsan_unaligned_read##bytes(void* a) { NOTE_RANGE(a, bytes, read); }   \
  void __tsan_unaligned_write##bytes(void* a) { NOTE_RANGE(a, bytes, write); } \
  void __tsan_read_write##bytes(void* a) { NOTE(a, bytes, write); }            \
  void __tsan_unaligned_read_write##bytes(void* a) { NOTE_RANGE(a, bytes, write); }
#define ATOMICS(bits, T)                                                                               \
  T __tsan_atomic##bits##_load(const volatile T* a, int) {                                             \
    NOTE(const_cast<const T*>(a), bits / 8, atomic_read);                                              \
    return __atomic_load_n(a, __ATOMIC_SEQ_CST);                                                       \
  }                                                                                                    \
  void __tsan_atomic##bits##_store(volatile T* a, T value, int) {                                      \
    NOTE(const_cast<const T*>(a), bits / 8, atomic);                                                   \
    __atomic_store_n(a, value, __ATOMIC_SEQ_CST);                                                      \
  }                                                                                                    \
  T __tsan_atomic##bits##_exchange(volatile T* a, T value, int) {                                      \
    NOTE(const_cast<const T*>(a), bits / 8, atomic);                                                   \
    return __atomic_exchange_n(a, value, __ATOMIC_SEQ_CST);                                            \
  }                                                                                                    \
  T __tsan_atomic##bits##_fetch_add(volatile T* a, T value, int) {                                     \
    NOTE(const_cast<const T*>(a), bits / 8, atomic);                                                   \
    return __atomic_fetch_add(a, value, __ATOMIC_SEQ_CST);                                             \
  }                                                                                                    \
  T __tsan_atomic##bits##_fetch_sub(volatile T* a, T value, int) {                                     \
    NOTE(const_cast<const T*>(a), bits / 8, atomic);                                                   \
    return __atomic_fetch_sub(a, value, __ATOMIC_SEQ_CST);                                             \
  }                                                                                                    \
  int __tsan_atomic##bits##_compare_exchange_weak(volatile T* a, T* expected, T value, int, int) {     \
    NOTE(const_cast<const T*>(a), bits / 8, atomic);                                                   \
    return __atomic_compare_exchange_n(a, expected, value, true, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);  \
  }                                                                                                    \
  int __tsan_atomic##bits##_compare_exchange_strong(volatile T* a, T* expected, T value, int, int) {   \
    NOTE(const_cast<const T*>(a), bits / 8, atomic);                                                   \
    return __atomic_compare_exchange_n(a, expected, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
  }

extern "C" {
READ_AND_WRITE(1)
READ_AND_WRITE(2)
READ_AND_WRITE(4)
READ_AND_WRITE(8)
READ_AND_WRITE(16)
ATOMICS(8, uint8_t)
ATOMICS(32, uint32_t)
ATOMICS(64, uint64_t)
void __tsan_read_range(void* a, unsigned long bytes) { NOTE_RANGE(a, bytes, read); }
void __tsan_write_range(void* a, unsigned long bytes) { NOTE_RANGE(a, bytes, write); }
void __tsan_init() {}
#if defined(GAN_SIMT_WATCH)
void __tsan_func_entry(void* return_address) { note_call(return_address); }
void __tsan_func_exit() { note_return(); }
void __sanitizer_cov_trace_pc() { note_basic_block(__builtin_return_address(0)); }
#else
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
#endif
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
void __tsan_atomic_thread_fence(int) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
void __tsan_atomic_signal_fence(int) {}

void* gan_hook_memcpy(void* to, const void* from, size_t bytes) {  // hook_memory.h
  NOTE_RANGE(from, bytes, read);
  NOTE_RANGE(to, bytes, write);
  return std::memcpy(to, from, bytes);
}
void* gan_hook_memmove(void* to, const void* from, size_t bytes) {
  NOTE_RANGE(from, bytes, read);
  NOTE_RANGE(to, bytes, write);
  return std::memmove(to, from, bytes);
}
void* gan_hook_memset(void* to, int value, size_t bytes) {
  NOTE_RANGE(to, bytes, write);
  return std::memset(to, value, bytes);
}
// Newer versions of clang call these instead.
void* __tsan_memcpy(void* to, const void* from, size_t bytes) {
  NOTE_RANGE(from, bytes, read);
  NOTE_RANGE(to, bytes, write);
  return std::memcpy(to, from, bytes);
}
void* __tsan_memmove(void* to, const void* from, size_t bytes) {
  NOTE_RANGE(from, bytes, read);
  NOTE_RANGE(to, bytes, write);
  return std::memmove(to, from, bytes);
}
void* __tsan_memset(void* to, int value, size_t bytes) {
  NOTE_RANGE(to, bytes, write);
  return std::memset(to, value, bytes);
}
}
#endif
