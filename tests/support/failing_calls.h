// System calls that fail when a test says so: this program's own fchmod, linkat, renameat, unlinkat, mkdirat, openat
// and fsync stand before the C library's.
#pragma once

namespace gan::tests {

// While it lives, the first `times` calls of `name` in this thread fail with `error`.
class FailingCalls {
 public:
  FailingCalls(const char* name, int error, int times);
  ~FailingCalls();
  FailingCalls(const FailingCalls&) = delete;
  int left() const;  // how many of them have not come yet
};

}  // namespace gan::tests
