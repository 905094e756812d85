// Taking, asking for and giving back the lock of a run.
#include "engine/run/run_lock.h"

#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <string_view>

#include "kernels/contract/check.h"

namespace gan {
namespace {

// "process 1234 on host box", after this.
constexpr std::string_view kMark = "A gan trains here: ";
constexpr std::string_view kProcess = "process ", kHost = " on host ";
constexpr size_t kLongest = 512;  // bytes of the file

std::string host_name() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 ? name : "unknown";
}

struct Owner {
  pid_t process = 0;  // 0: the file names none
  std::string host;
};

Owner owner_in(int descriptor) {
  char bytes[kLongest];
  const ssize_t got = ::pread(descriptor, bytes, sizeof bytes, 0);
  std::string_view text(bytes, got > 0 ? size_t(got) : 0);
  text = text.substr(0, text.find('\n'));
  Owner owner;
  if (!text.starts_with(kMark)) return owner;
  text.remove_prefix(kMark.size());
  const size_t host = text.find(kHost);
  if (!text.starts_with(kProcess) || host == text.npos) return owner;
  std::from_chars(text.data() + kProcess.size(), text.data() + host, owner.process);
  owner.host = text.substr(host + kHost.size());
  return owner;
}

enum class Attempt { taken, held, unsupported };

// `mode`: LOCK_EX or LOCK_SH. Who only asks holds a shared lock for a moment; so one refusal proves nothing.
Attempt attempt_lock(int descriptor, int mode) {
  for (int tries = 0;; ++tries) {
    if (::flock(descriptor, mode | LOCK_NB) == 0) return Attempt::taken;
    if (errno == EINTR) continue;
    if (errno != EWOULDBLOCK) return Attempt::unsupported;
    if (tries == 5) return Attempt::held;
    ::usleep(20'000);
  }
}

// By the words in the file alone.
bool seems_held(const Owner& owner) {
  if (owner.process <= 0) return false;
  if (owner.host != host_name()) return true;
  return owner.process != ::getpid() && (::kill(owner.process, 0) == 0 || errno == EPERM);
}

[[noreturn]] void refuse(const Folder& run, const std::string& what, const Owner& owner, bool by_words) {
  const std::string who = owner.process > 0 ? fmt::format("process {} on host {}", owner.process, owner.host)
                                            : std::string("another process");
  fail(Exit::usage, "{}: {} trains in this folder; let it end, stop it, or take another folder{}", what, who,
       by_words ? fmt::format(" (if it is dead, remove {})", (run.path() / RunLock::kName).string()) : "");
}

void check_attempt(const Folder& run, const std::string& what, int descriptor, Attempt attempt) {
  const Owner owner = owner_in(descriptor);
  if (attempt == Attempt::held) refuse(run, what, owner, false);
  if (attempt == Attempt::unsupported && seems_held(owner)) refuse(run, what, owner, true);
}

}  // namespace

RunLock::RunLock(const Folder& run, const std::string& what) : run_(run) {
  for (;;) {
    descriptor_ = run_.open_or_create(kName);
    const Attempt attempt = attempt_lock(descriptor_, LOCK_EX);
    try {
      check_attempt(run_, what, descriptor_, attempt);
    } catch (...) {
      ::close(descriptor_);
      throw;
    }
    // The owner before may have removed the file between our opening and our locking it.
    if (run_.is_this(kName, descriptor_)) break;
    ::close(descriptor_);
  }
  was_there_ = owner_in(descriptor_).process > 0;
  const std::string words = fmt::format("{}{}{}{}{}\n", kMark, kProcess, ::getpid(), kHost, host_name());
  if (::ftruncate(descriptor_, 0) != 0 || ::pwrite(descriptor_, words.data(), words.size(), 0) < 0) {
    // A full disk: the system's lock holds without words too.
  }
}

RunLock::~RunLock() {
  if (run_.is_this(kName, descriptor_)) try {
      run_.remove(kName);
    } catch (const Error&) {  // left behind; nobody holds it
    }
  ::close(descriptor_);
}

void RunLock::check_free(const Folder& run, const std::string& what) {
  if (!run.has(kName)) return;
  const InputFile file = run.open(kName);
  const Attempt attempt = attempt_lock(file.descriptor(), LOCK_SH);
  check_attempt(run, what, file.descriptor(), attempt);
}

bool RunLock::is_there(const Folder& run) {
  return run.has(kName) && owner_in(run.open(kName).descriptor()).process > 0;
}

}  // namespace gan
