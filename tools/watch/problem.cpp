// Buffers that the watcher knows by name, and the numbers in them.
#include "tools/watch/problem.h"

#include "kernels/shared/bf16.h"
#include "kernels/simt/watch.h"

namespace gan::tools {

Problem::~Problem() {
  for (void* buffer : buffers_) {
    simt::unwatch_buffer(buffer);
    simt::memory.release(buffer);
  }
}

void* Problem::allocate(const char* op, const char* name, int64_t bytes) {
  constexpr int64_t most_bytes = 64 << 20;
  bytes_ += bytes;
  if (bytes_ > most_bytes)
    fail(Exit::usage, "{} with {}: more than {} MB of buffers is too large to watch; use smaller sizes", op,
         shape_.text(), most_bytes >> 20);
  void* const buffer = simt::memory.allocate(static_cast<size_t>(bytes));
  buffers_.push_back(buffer);
  names_.push_back(name);
  simt::watch_buffer(name, buffer, static_cast<size_t>(bytes));
  state_ = static_cast<uint32_t>(buffers_.size()) * 0x9e3779b9u;  // other numbers in every buffer
  return buffer;
}

void Problem::fill(void* buffer, int64_t count, DType type, bool positive) {
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t bits = next_random();
    const float drawn = static_cast<float>(bits >> 8);
    const float value = positive ? 0.5f + drawn * 0x1p-24f : -1.0f + drawn * 0x1p-23f;
    switch (type) {
      case DType::f32: static_cast<float*>(buffer)[i] = value; break;
      case DType::bf16: static_cast<bf16*>(buffer)[i] = to_bf16(value); break;
      default: static_cast<uint8_t*>(buffer)[i] = static_cast<uint8_t>(bits >> 24);
    }
  }
}

}  // namespace gan::tools
