// The signals that ask a program to end: SIGINT, SIGTERM and SIGHUP. While a StopSignals is alive, the first of them
// is only noted, for the program to end in its own time; a second one ends it at once.
#pragma once

namespace gan {

class StopSignals {
 public:
  // A SIGHUP that whoever started the program has told it to ignore (nohup) stays ignored.
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;
};

// The number of the signal that came; 0: none.
int stop_signal() noexcept;

// What throw_if_stopped() throws. No gan::Error: nothing has failed.
struct Stopped {
  int signal;
  int exit_code() const { return 128 + signal; }
};
// For long preparations, between two pieces of work that may be left undone.
void throw_if_stopped();

}  // namespace gan
