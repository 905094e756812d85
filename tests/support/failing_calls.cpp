// The calls, each asking whether it is its turn to fail.
#include "tests/support/failing_calls.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstring>

namespace gan::tests {
namespace {

thread_local const char* failing = nullptr;
thread_local int failure = 0, remaining = 0;

bool fails(const char* name) {
  if (!failing || remaining == 0 || std::strcmp(failing, name) != 0) return false;
  --remaining;
  errno = failure;
  return true;
}

}  // namespace

FailingCalls::FailingCalls(const char* name, int error, int times) {
  failing = name, failure = error, remaining = times;
}
FailingCalls::~FailingCalls() { failing = nullptr; }
int FailingCalls::left() const { return remaining; }

}  // namespace gan::tests

using gan::tests::fails;

extern "C" {

int fchmod(int file, mode_t mode) noexcept {
  return fails("fchmod") ? -1 : int(syscall(SYS_fchmod, file, mode));
}
int fsync(int file) { return fails("fsync") ? -1 : int(syscall(SYS_fsync, file)); }
int linkat(int a, const char* from, int b, const char* to, int flags) noexcept {
  return fails("linkat") ? -1 : int(syscall(SYS_linkat, a, from, b, to, flags));
}
int renameat(int a, const char* from, int b, const char* to) noexcept {
  return fails("renameat") ? -1 : int(syscall(SYS_renameat2, a, from, b, to, 0));
}
int unlinkat(int folder, const char* name, int flags) noexcept {
  return fails("unlinkat") ? -1 : int(syscall(SYS_unlinkat, folder, name, flags));
}
int mkdirat(int folder, const char* name, mode_t mode) noexcept {
  return fails("mkdirat") ? -1 : int(syscall(SYS_mkdirat, folder, name, mode));
}
int openat(int folder, const char* name, int flags, ...) {
  mode_t mode = 0;
  if (flags & (O_CREAT | O_TMPFILE)) {
    va_list more;
    va_start(more, flags);
    mode = va_arg(more, mode_t);
    va_end(more);
  }
  return fails("openat") ? -1 : int(syscall(SYS_openat, folder, name, flags, mode));
}
}
