// What to say when a GPU reports a fault.
#pragma once
#include <cstdlib>
#include <string>
#include <string_view>

#include "kernels/contract/check.h"

namespace gan {

// Whether each launch waits for its kernel: then a fault is known where it belongs.
inline bool launches_block() {
  const char* text = std::getenv("CUDA_LAUNCH_BLOCKING");
  return text && std::string_view(text) == "1";
}

// `here` was called, and the GPU `said` something. What a kernel does wrong (`of_a_kernel`: an address outside of its
// buffers, for example) is reported by whatever is called next, which has nothing to do with it; and the GPU forgets
// all memory of the process, so that only another run can find out more.
inline std::string gpu_fault(const std::string& here, const char* said, bool of_a_kernel, bool blocking) {
  if (!of_a_kernel) return fmt::format("{}: {}", here, said);
  if (blocking) return fmt::format("{}: the kernel that was launched here failed: {}", here, said);
  return fmt::format(
      "{}: found at {}, but a kernel that was launched before it did this; to learn which, run the same command with "
      "CUDA_LAUNCH_BLOCKING=1 before it, --resume for a run that has a checkpoint",
      said, here);
}

}  // namespace gan
