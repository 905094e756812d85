// Kernels that would be launched, for who wants to count them without running them.
#pragma once
#include <cstddef>
#include <vector>

namespace gan {

struct KernelLaunch {
  const char* file;  // of the launch() call
  int line;
  unsigned grid[3], block[3];
  size_t shared_bytes;  // dynamic
};

// While one lives, device simt notes what this thread launches instead of running it. A launcher looks at sizes and
// addresses only, so on a plan, whose addresses are nobody's, it launches what a step would.
class NotedKernels {
 public:
  NotedKernels() : before_(current_) { current_ = this; }
  ~NotedKernels() { current_ = before_; }
  NotedKernels(const NotedKernels&) = delete;

  std::vector<KernelLaunch> launches;
  static NotedKernels* current() { return current_; }

 private:
  static thread_local NotedKernels* current_;
  NotedKernels* before_;
};

}  // namespace gan
