// The built program `gan` as a test has it: started in a folder of its own, with what comes out on stdout and
// stderr, and the exit code.
#pragma once
#include <doctest/doctest.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/support/folder.h"
#include "tests/support/places.h"
#include "tests/support/text.h"

extern char** environ;

namespace gan::tests {

struct Result {
  int code = -1;  // 128 + n when a signal ended it
  std::string out, err;
  // The largest memory it had, looked at every millisecond. Linux's own count (ru_maxrss) begins with the memory
  // of the process that started the program, so it is taken only where it is more than that.
  int64_t peak_mib = 0;
};

inline int lines_in(const std::string& text) { return int(std::count(text.begin(), text.end(), '\n')); }

// A folder of the test's own with a shell's view of the program.
class Shell {
 public:
  // Starts `program arguments...` in the folder; `variables` are added to an environment without GAN_ names.
  pid_t start(const std::string& program, const std::vector<std::string>& arguments,
              const std::vector<std::string>& variables = {}) {
    std::vector<std::string> texts = {program};
    texts.insert(texts.end(), arguments.begin(), arguments.end());
    std::vector<std::string> environment = variables;
    for (char** entry = environ; *entry; ++entry)
      if (std::strncmp(*entry, "GAN_", 4) != 0) environment.push_back(*entry);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addchdir_np(&actions, folder.c_str());
    posix_spawn_file_actions_addopen(&actions, 0, in_from.c_str(), O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, out_to.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
    posix_spawn_file_actions_addopen(&actions, 2, ".stderr", O_WRONLY | O_CREAT | O_TRUNC, 0666);
    pid_t child = -1;
    const int failed = posix_spawnp(&child, program.c_str(), &actions, nullptr, pointers(texts).data(),
                                    pointers(environment).data());
    posix_spawn_file_actions_destroy(&actions);
    REQUIRE(failed == 0);
    return child;
  }
  Result wait(pid_t child) {
    int status = 0;
    rusage usage{}, own_usage{};
    int64_t seen = 0;  // KiB
    for (siginfo_t ended{};
         waitid(P_PID, id_t(child), &ended, WEXITED | WNOHANG | WNOWAIT) == 0 && !ended.si_pid;
         usleep(1000)) {
      const std::string state = text_of("/proc/" + std::to_string(child) + "/status");
      if (const size_t at = state.find("VmHWM:"); at != state.npos)
        seen = std::max(seen, int64_t(std::atoll(state.c_str() + at + 6)));
    }
    wait4(child, &status, 0, &usage);
    getrusage(RUSAGE_SELF, &own_usage);
    const int64_t peak = usage.ru_maxrss > own_usage.ru_maxrss ? usage.ru_maxrss : seen;
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), text_of(folder / ".stdout"),
            text_of(folder / ".stderr"), peak / 1024};
  }
  Result gan(const std::vector<std::string>& arguments, const std::vector<std::string>& variables = {}) {
    return wait(start(gan_binary, arguments, variables));
  }

  const TemporaryFolder own;
  const fs::path folder = own.path();
  std::string in_from = "/dev/null", out_to = ".stdout";

 private:
  static std::vector<char*> pointers(std::vector<std::string>& texts) {
    std::vector<char*> result;
    for (auto& text : texts) result.push_back(text.data());
    result.push_back(nullptr);
    return result;
  }
};

// One line on stderr that begins as every failure does.
inline void check_refused(const Result& result, int code, const std::string& part) {
  CAPTURE(result.err);
  CHECK(result.code == code);
  CHECK(result.out == "");
  CHECK(result.err.starts_with("gan: error: "));
  CHECK(lines_in(result.err) == 1);
  CHECK(contains(result.err, part));
}

// A failure after other words on stderr.
inline void check_refused_at_end(const Result& result, int code, const std::string& part) {
  CAPTURE(result.err);
  CHECK(result.code == code);
  CHECK(result.out == "");
  const size_t at = result.err.rfind("gan: error: ");
  CHECK(at != result.err.npos);
  CHECK(result.err.find(part, at == result.err.npos ? 0 : at) != result.err.npos);
}

}  // namespace gan::tests
