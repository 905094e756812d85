// What the benchmarks share besides their problems: the clock, the median, the command line, how main() ends.
#pragma once
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <vector>

#include "kernels/contract/check.h"
#include "kernels/forced.h"

namespace gan::bench {

// Seconds, since some moment in the past.
inline double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

inline double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

// False after --help, which has been printed. Exit::usage for what the options do not allow, GAN_KERNEL included.
inline bool parse(CLI::App& app, int argc, char** argv) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    app.exit(help);
    return false;
  } catch (const CLI::ParseError& error) { fail(Exit::usage, "{}; see --help", error.what()); }
  check_forced_variants();
  return true;
}

// Calls run(argc, argv). An error becomes one line on stderr and its exit code.
inline int run_program(const char* name, int (*run)(int, char**), int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const Error& error) {
    std::fprintf(stderr, "%s: %s\n", name, error.what());
    return int(error.code());
  }
}

}  // namespace gan::bench
