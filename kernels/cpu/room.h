// Memory to work in: kept from call to call, and how a block of it is cut into arrays.
#pragma once
#include <cstdlib>

#include "kernels/contract/check.h"

namespace gan::cpu {

// Memory that is free between two calls, kept so that a training step asks the system for none.
class Arena {
 public:
  Arena() = default;
  ~Arena() { std::free(data_); }
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  // `bytes` of page-aligned memory; contents are lost when it grows. what: what it is for, where there is none.
  char* get(size_t bytes, const char* what) {
    if (bytes > size_) {
      std::free(data_);
      size_ = 0;
      const size_t rounded = (bytes + 4095) / 4096 * 4096;
      data_ = static_cast<char*>(std::aligned_alloc(4096, rounded));
      if (!data_) fail(Exit::out_of_memory, "no memory for {} bytes of {}", bytes, what);
      size_ = rounded;
    }
    return data_;
  }

 private:
  char* data_ = nullptr;
  size_t size_ = 0;
};

// Cuts a block of memory into arrays, each beginning on a cache line.
class Carver {
 public:
  explicit Carver(void* at) : at_(static_cast<char*>(at)) {}
  template <class T>
  T* take(int64_t count) {
    T* result = reinterpret_cast<T*>(at_);
    at_ += bytes<T>(count);
    return result;
  }
  template <class T>
  static size_t bytes(int64_t count) {
    return (size_t(count) * sizeof(T) + 63) / 64 * 64;
  }

 private:
  char* at_;
};

}  // namespace gan::cpu
