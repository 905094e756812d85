// Errors: what went wrong, where, and what to do about it.
//
// Every failure in the project is a gan::Error. It carries the exit code that the command line returns
// (the table in README.md, "Exit codes") so that a failed shape check deep in a kernel launcher and a missing
// file end the program the same way: one message on stderr, one documented code.
#pragma once
#if defined(__CUDACC__)
// {fmt} turns constexpr off for nvcc but leaves consteval on, which cannot compile
#define FMT_USE_CONSTEXPR 1
#endif
#include <fmt/format.h>

#include <stdexcept>
#include <string>

namespace gan {

// The program's exit codes. 130 and 143 (after SIGINT, SIGTERM) are made by the training loop.
enum class Exit : int {
  ok = 0,
  failure = 1,
  usage = 2,          // wrong option, command or configuration key
  bad_data = 3,       // a file that cannot be read as what it should be
  no_device = 4,      // no GPU or driver, or a build without CUDA was asked for it
  out_of_memory = 5,  // GPU memory
  diverged = 6,       // a loss or gradient that is not finite
  io = 7,             // disk full, read or write failed
};

class Error : public std::runtime_error {
 public:
  Error(Exit code, const std::string& message) : std::runtime_error(message), code_(code) {}
  Exit code() const { return code_; }

 private:
  Exit code_;
};

// Throws gan::Error(code, message) with a {fmt} message.
template <class... A>
[[noreturn]] void fail(Exit code, fmt::format_string<A...> f, A&&... a) {
  throw Error(code, fmt::format(f, std::forward<A>(a)...));
}

namespace detail {
[[noreturn]] inline void check_failed(const char* file, int line, const char* expression,
                                      const std::string& hint) {
  throw Error(Exit::failure, fmt::format("{}:{}: {} does not hold{}{}", file, line, expression,
                                         hint.empty() ? "" : ": ", hint));
}
}  // namespace detail
}  // namespace gan

// GAN_CHECK(condition) or GAN_CHECK(condition, "format", values...): always on, throws gan::Error with
// file:line, the expression and the hint. For mistakes of the program; bad input from outside uses gan::fail
// with its code.
#define GAN_CHECK(condition, ...)                                                                 \
  do {                                                                                            \
    if (!(condition)) [[unlikely]]                                                                \
      ::gan::detail::check_failed(__FILE__, __LINE__, #condition, ::fmt::format("" __VA_ARGS__)); \
  } while (0)
