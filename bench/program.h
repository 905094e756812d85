// What the benchmarks share besides their problems: the clock, the median, the command line, how turns with other programs
// are taken, how main() ends.
#pragma once
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>
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

// Answers each line `step BATCH K` of stdin, which bench/compare_step.py writes, with the JSON object answer(BATCH, K), until
// stdin ends. It has "times", the seconds of each of K turns, or "error".
template <class F>
int serve_turns(const F& answer) {
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string word, rest;
    int batch = 0, count = 0;
    nlohmann::json said;
    if (!(words >> word >> batch >> count) || word != "step" || words >> rest || batch < 1 || count < 0)
      said = {{"error", "expected `step BATCH K`, got `" + line + "`"}};
    else said = answer(batch, count);
    fmt::print("{}\n", said.dump());
    std::fflush(stdout);
  }
  return 0;
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
