// The program: finds the command, runs it, and turns whatever went wrong into one line on stderr and a
// documented exit code.
#include <omp.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <thread>

#include "engine/files/talk.h"
#include "engine/settings/words.h"
#include "kernels/contract/check.h"
#include "kernels/forced.h"
#include "kernels/kernels.h"
#include "tools/cli/commands.h"

namespace gan::tools {

// Each in its own file in commands/ or cli/.
Command describe_train(), describe_sample(), describe_translate(), describe_eval(), describe_compare(),
    describe_inspect(), describe_kernels(), describe_data(), describe_doctor(), describe_completion(),
    describe_help();

const std::vector<Command>& commands() {
  static const std::vector<Command> all = [] {
    std::vector<Command> rows = {describe_train(),      describe_sample(),  describe_translate(),
                                 describe_eval(),       describe_compare(), describe_inspect(),
                                 describe_kernels(),    describe_data(),    describe_doctor(),
                                 describe_completion(), describe_help()};
    std::vector<std::string> topics;  // help explains every command, and what it has of its own
    for (const Command& command : rows) topics.push_back(command.name);
    std::vector<std::string>& of_help = rows.back().words[0].choices;
    of_help.insert(of_help.begin(), topics.begin(), topics.end());
    return rows;
  }();
  return all;
}

const Command& find_command(const std::string& name) {
  std::vector<std::string> names;
  for (const auto& command : commands()) {
    if (command.name == name) return command;
    names.push_back(command.name);
  }
  const std::string nearest = nearest_word(names, name, 2);
  fail(Exit::usage, "there is no command \"{}\"; {}", name,
       nearest.empty() ? "see `gan help`" : fmt::format("did you mean {}?", nearest));
}

namespace {

const char* meaning_of(int code) {
  switch (Exit(code)) {
    case Exit::ok: return "done";
    case Exit::failure: return "failure";
    case Exit::usage: return "usage";
    case Exit::bad_data: return "bad input file or data";
    case Exit::no_device: return "no GPU or driver";
    case Exit::out_of_memory: return "out of GPU memory";
    case Exit::diverged: return "diverged";
    case Exit::io: return "disk full or I/O";
  }
  return "?";
}

// One line, whatever file names and messages hold.
std::string one_line(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  std::replace(text.begin(), text.end(), '\n', ' ');
  return printable(text);
}

int report(int code, const std::string& message, const std::string& command, bool verbose) {
  std::fflush(stdout);
  const char* no_colour = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  const bool colour =
      isatty(STDERR_FILENO) && !(no_colour && *no_colour) && !(term && std::strcmp(term, "dumb") == 0);
  // Not by talk(), which would take the colours' escapes for a file name's. fprintf never throws.
  std::fprintf(stderr, "gan: %serror:%s %s\n", colour ? "\x1b[1;31m" : "", colour ? "\x1b[0m" : "",
               one_line(message).c_str());
  if (verbose)
    talk(fmt::format("gan: in command {}, exit code {} ({})", command.empty() ? "-" : command, code,
                     meaning_of(code)));
  return code;
}

// What takes less memory, in options that this command has.
std::string memory_advice(const std::string& name) {
  std::vector<std::string> found;
  for (const auto& command : commands())
    for (const auto& option : command.options)
      for (const char* saves : {"batch", "size", "cache-gb", "memory-gb", "tile", "workers", "n"})
        if (command.name == name && option.name == saves) found.push_back("--" + option.name);
  return found.empty() ? "" : fmt::format("; what takes less: a smaller {}", fmt::join(found, ", "));
}

// Threads that cannot be started (a limit on processes or address space) would end the program inside OpenMP, so what
// can be had is found out first.
void use_threads_that_start() {
  const int wanted = omp_get_max_threads();
  std::vector<std::thread> started;
  std::mutex mutex;
  std::unique_lock wait(mutex);  // all of them are there at once, as OpenMP's are
  try {
    while (int(started.size()) + 1 < wanted) started.emplace_back([&] { const std::lock_guard lock(mutex); });
  } catch (const std::system_error&) { omp_set_num_threads(int(started.size()) + 1); }
  wait.unlock();
  for (auto& thread : started) thread.join();
  const int got = int(started.size()) + 1;
  if (got < wanted)
    talk(fmt::format("only {} of {} threads can be started; going on with these", got, wanted));
}

int run_command(const std::vector<std::string>& texts, char** argv) {
  if (texts.empty()) {
    std::fputs(general_help().c_str(), stderr);
    return int(Exit::usage);
  }
  const std::string& first = texts[0];
  if (first == "--version" || first == "-V" || first == "version") return fmt::print("{}", version_text()), 0;
  if (first == "--help" || first == "-h") return fmt::print("{}", general_help()), 0;
  if (first[0] == '-') fail(Exit::usage, "there is no option {} before a command; see `gan help`", first);
  const Command& command = find_command(first);
  const Arguments arguments = parse_arguments(command, {texts.begin() + 1, texts.end()});
  if (arguments.is_on("help"))
    return fmt::print("{}", help_of(command, command.name == "train" ? arguments.word(0) : "")), 0;
  const bool computes = command.name != "help" && command.name != "completion";
  if (computes) {
    wait_briefly(argv);
    check_forced_variants();
    use_threads_that_start();
  }
  return command.run(arguments);
}

// A reader that has seen enough (`gan kernels | head`) is no failure; a full disk is.
int finish_output(int code) {
  errno = 0;
  const bool failed = std::fflush(stdout) != 0 || std::ferror(stdout);
  if (!failed || errno == EPIPE || code != 0) return code;
  fail(Exit::io, "standard output cannot be written: {}", std::strerror(errno));
}

}  // namespace
}  // namespace gan::tools

int main(int argc, char** argv) {
  using namespace gan::tools;
  gan::open_standard_descriptors();
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // a limit on the file size is a failed write
  const std::vector<std::string> texts(argv + 1, argv + argc);
  const std::string command = texts.empty() ? "" : texts[0];
  bool verbose = std::getenv("GAN_VERBOSE") != nullptr;
  for (const auto& text : texts) verbose |= text == "--verbose";
  try {
    return finish_output(run_command(texts, argv));
  } catch (const gan::Error& error) {
    const bool memory = error.code() == gan::Exit::out_of_memory;
    return report(int(error.code()), error.what() + (memory ? memory_advice(command) : ""), command, verbose);
  } catch (const std::bad_alloc&) {
    return report(int(gan::Exit::failure), "out of memory" + memory_advice(command), command, verbose);
  } catch (const std::system_error& error) {
    if (error.code() == std::errc::broken_pipe) return 0;
    return report(int(gan::Exit::io), error.what(), command, verbose);
  } catch (const std::exception& error) {
    return report(int(gan::Exit::failure), error.what(), command, verbose);
  } catch (...) { return report(int(gan::Exit::failure), "an unknown exception", command, verbose); }
}
