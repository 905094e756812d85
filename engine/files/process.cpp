// Starting programs and listening to them.
#include "engine/files/process.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "kernels/contract/check.h"

extern char** environ;

namespace gan {

namespace {

constexpr size_t kLastWords = 4096;  // bytes of standard error that are kept

struct Pipe {
  int read_end = -1, write_end = -1;
};

Pipe make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) fail(Exit::failure, "no pipe can be made: {}", std::strerror(errno));
  return {ends[0], ends[1]};
}

void close_all(std::initializer_list<int> descriptors) {
  for (const int descriptor : descriptors)
    if (descriptor >= 0) ::close(descriptor);
}

}  // namespace

std::string find_program(const std::string& name) {
  const char* path = std::getenv("PATH");
  std::string places = path ? path : "/usr/local/bin:/usr/bin:/bin";
  for (size_t begin = 0; begin <= places.size();) {
    const size_t end = std::min(places.find(':', begin), places.size());
    const std::string file = (end > begin ? places.substr(begin, end - begin) : ".") + "/" + name;
    if (::access(file.c_str(), X_OK) == 0) return file;
    begin = end + 1;
  }
  return "";
}

Process::Process(const std::vector<std::string>& command, Stream stream) {
  const Pipe ours = make_pipe(), errors = make_pipe();
  const bool reading = stream == Stream::its_output;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  if (reading) {
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, ours.write_end, 1);
  } else {
    posix_spawn_file_actions_adddup2(&actions, ours.read_end, 0);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  }
  posix_spawn_file_actions_adddup2(&actions, errors.write_end, 2);

  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t usual;  // signals that this program ignores
  sigemptyset(&usual);
  sigaddset(&usual, SIGPIPE);
  sigaddset(&usual, SIGXFSZ);
  posix_spawnattr_setsigdefault(&attributes, &usual);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);

  std::vector<char*> words;
  for (const std::string& word : command) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  const int error = ::posix_spawnp(&child_, words[0], &actions, &attributes, words.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  close_all({errors.write_end, reading ? ours.write_end : ours.read_end});
  descriptor_ = reading ? ours.read_end : ours.write_end;
  if (error != 0) {
    close_all({errors.read_end, descriptor_});
    fail(Exit::failure, "{} cannot be started: {}", command[0], std::strerror(error));
  }
  listener_ = std::thread([this, descriptor = errors.read_end] { keep_last_words(descriptor); });
}

Process::~Process() {
  if (code_ >= 0) return;
  close_stream();
  ::kill(child_, SIGTERM);
  wait();
}

void Process::close_stream() {
  if (descriptor_ >= 0) ::close(descriptor_);
  descriptor_ = -1;
}

int Process::wait() {
  if (code_ >= 0) return code_;
  close_stream();
  int status = 0;
  while (::waitpid(child_, &status, 0) < 0 && errno == EINTR) {}
  listener_.join();
  code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return code_;
}

void Process::keep_last_words(int descriptor) {
  char buffer[1024];
  for (;;) {
    const ssize_t got = ::read(descriptor, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    words_.append(buffer, size_t(got));
    if (words_.size() > kLastWords) words_.erase(0, words_.size() - kLastWords);
  }
  ::close(descriptor);
}

std::string Process::last_words() const {
  constexpr int kLines = 4;
  std::vector<std::string> lines;
  for (size_t begin = 0; begin < words_.size();) {
    const size_t end = std::min(words_.find('\n', begin), words_.size());
    if (end > begin) lines.push_back(words_.substr(begin, end - begin));
    begin = end + 1;
  }
  if (lines.size() > kLines) lines.erase(lines.begin(), lines.end() - kLines);
  return fmt::format("{}", fmt::join(lines, "; "));
}

}  // namespace gan
