// What all fuzzed readers share: an input as a file, and which answers a reader may give.
//
// A reader may take an input or refuse it with an error that is about the input. Everything else is a finding and ends
// the program: what the sanitizers see, another exception, an assertion about the program itself (Exit::failure).
#pragma once
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <span>

#include "kernels/contract/check.h"

namespace gan::fuzz {

// The bytes as a file in memory, which has a name in /proc while this lives.
class InputAsFile {
 public:
  InputAsFile(const uint8_t* bytes, size_t count) : descriptor_(::memfd_create("input", MFD_CLOEXEC)) {
    if (descriptor_ < 0 || ::write(descriptor_, bytes, count) != ssize_t(count) ||
        ::lseek(descriptor_, 0, SEEK_SET) != 0)
      std::abort();
  }
  ~InputAsFile() { ::close(descriptor_); }
  InputAsFile(const InputAsFile&) = delete;
  InputAsFile& operator=(const InputAsFile&) = delete;

  int descriptor() const { return descriptor_; }
  std::filesystem::path path() const { return fmt::format("/proc/self/fd/{}", descriptor_); }

 private:
  int descriptor_;
};

template <class Reader>
int judged(Reader read) {
  try {
    read();
  } catch (const Error& error) {
    if (error.code() == Exit::bad_data || error.code() == Exit::usage) return 0;
    std::fprintf(stderr, "exit code %d: %s\n", int(error.code()), error.what());
    std::abort();
  }
  return 0;
}

}  // namespace gan::fuzz
