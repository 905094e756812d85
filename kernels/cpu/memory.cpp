// Memory of the cpu device: page-aligned blocks of ordinary memory, on huge pages where it pays. There is no
// queue, so nothing is ever pending.
#include <sys/mman.h>

#include <cstdlib>

#include "kernels/cpu/loops.h"

namespace gan::cpu {
namespace {

constexpr size_t page = 4096, huge_page = size_t(2) << 20;

// Large blocks lie on huge pages where the system gives them to whoever asks: a first touch costs less, and
// kernels that walk through many places of a block at once find their addresses faster.
void* allocate(size_t bytes) {
  const size_t unit = bytes >= 2 * huge_page ? huge_page : page;
  const size_t rounded = (std::max<size_t>(bytes, 1) + page - 1) / page * page;
  void* address = nullptr;
  if (posix_memalign(&address, unit, rounded) != 0)
    fail(Exit::out_of_memory, "no memory for {} bytes", bytes);
#ifdef MADV_HUGEPAGE
  if (unit == huge_page) madvise(address, rounded, MADV_HUGEPAGE);  // a wish: without it all works as well
#endif
  return address;
}
void release(void* address) noexcept { std::free(address); }

// One core cannot use all of the memory's speed: long copies are shared out. A page is worth about as much
// work as 256 elements of a loop.
template <class F>
void parallel_bytes(size_t bytes, const F& f) {
  parallel_ranges(int64_t((bytes + page - 1) / page), 256, [&](int64_t begin, int64_t end) {
    const size_t from = size_t(begin) * page;
    f(from, std::min(bytes, size_t(end) * page) - from);
  });
}
void copy(void* to, const void* from, size_t bytes, Stream&) {
  parallel_bytes(bytes, [&](size_t at, size_t count) {
    std::memcpy(static_cast<char*>(to) + at, static_cast<const char*>(from) + at, count);
  });
}
void zero(void* to, size_t bytes, Stream&) {
  parallel_bytes(bytes, [&](size_t at, size_t count) { std::memset(static_cast<char*>(to) + at, 0, count); });
}
void upload(void* device, const void* host, size_t bytes, Stream& stream) {
  copy(device, host, bytes, stream);
}
void download(void* host, const void* device, size_t bytes, Stream& stream) {
  copy(host, device, bytes, stream);
}
void synchronize(Stream&) {}

}  // namespace

const Memory memory = {allocate, release, upload, download, copy, zero, synchronize, true};
const Queues queues = {};

}  // namespace gan::cpu
