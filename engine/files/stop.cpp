// Noting signals.
#include "engine/files/stop.h"

#include <unistd.h>

#include <csignal>
#include <iterator>

namespace gan {
namespace {

constexpr int kSignals[] = {SIGINT, SIGTERM, SIGHUP};

volatile std::sig_atomic_t noted = 0;
struct sigaction actions_before[std::size(kSignals)];

void note(int number) {
  if (noted) {
    constexpr char words[] = "gan: a second signal: ended at once\n";
    if (::write(STDERR_FILENO, words, sizeof words - 1) < 0) {
      // Nobody listens.
    }
    _exit(128 + number);
  }
  noted = number;
}

}  // namespace

StopSignals::StopSignals() {
  noted = 0;
  struct sigaction action = {};
  action.sa_handler = note;
  for (size_t i = 0; i < std::size(kSignals); ++i) {
    sigaction(kSignals[i], nullptr, &actions_before[i]);
    const bool nohup = kSignals[i] == SIGHUP && actions_before[i].sa_handler == SIG_IGN;
    if (!nohup) sigaction(kSignals[i], &action, nullptr);
  }
}

StopSignals::~StopSignals() {
  for (size_t i = 0; i < std::size(kSignals); ++i) sigaction(kSignals[i], &actions_before[i], nullptr);
  noted = 0;
}

int stop_signal() noexcept { return noted; }

void throw_if_stopped() {
  if (noted) throw Stopped{noted};
}

}  // namespace gan
