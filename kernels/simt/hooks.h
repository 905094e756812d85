// Hooks: how the race detector (race.h) and the watcher (watch.h) come to know of every access of a kernel.
//
// In the builds that have one of them (GAN_SIMT_RACE, GAN_SIMT_WATCH) the files with kernels are compiled
// with -fsanitize=thread, which makes the compiler call a function __tsan_... before every access to memory
// and at the beginning and end of every function. The program is NOT linked with ThreadSanitizer's library:
// hooks.cpp defines these functions. The watch build adds -fsanitize-coverage=trace-pc: a call at the start
// of every basic block.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace gan::simt::runtime {

// An instruction of this program: the distance of the address behind it from the program's start. Below 2^31.
uint32_t place_of(const void* return_address);

// Where each of these instructions comes from: "file:line", innermost first, then the lines that it was
// inlined at. The program addr2line knows them; without it, or without debug information, there are none.
// Lines of simt.h itself are left out.
std::vector<std::vector<std::string>> source_lines(const std::vector<uint32_t>& places);

// atomic_read: an atomic load, such as the one before a loop of compare-and-swap.
enum class HookKind : uint8_t { read, write, atomic, atomic_read };

#if defined(GAN_SIMT_RACE)
// Memory that is no business of the race detector: the running CUDA thread's own stack, and all memory while
// no CUDA thread runs or the detector itself works. Most accesses end at this question, so it comes first and
// is short.
struct Unwatched {
  uintptr_t start, bytes;
  bool has(const void* address) const { return reinterpret_cast<uintptr_t>(address) - start < bytes; }
};
inline constexpr Unwatched all_memory{0, UINTPTR_MAX};
extern __thread Unwatched unwatched;
#endif

// Defined by who listens: race.cpp or watch.cpp. Called for all instrumented code, kernel or not. together:
// an aligned access of 1, 2, 4, 8 or 16 bytes, which one instruction can do; else a struct, or memcpy.
void note_access(const void* address, size_t bytes, bool together, HookKind kind, const void* place);
void note_call(const void* return_address);  // only the watcher wants these three
void note_return();
void note_basic_block(const void* place);

}  // namespace gan::simt::runtime
