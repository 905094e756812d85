// How long something takes: turns between two clock readings, taken until their median is known well enough.
#pragma once
#include <functional>
#include <memory>
#include <vector>

#include "engine/tensor/tensor.h"

namespace gan::bench {

// A function that queues run number i, ready to be timed several runs at a time. On a GPU a turn is one CUDA graph of
// all of them between two events; what refuses to be recorded is launched call by call.
class Turn {
 public:
  Turn(DeviceContext& context, std::function<void(int)> run, int runs);
  ~Turn();
  Turn(const Turn&) = delete;

  double take();  // seconds, of all runs together
  int runs() const { return runs_; }
  bool is_graph() const { return graph_ != nullptr; }

 private:
  void queue();
  void record();

  DeviceContext& context_;
  std::function<void(int)> run_;
  int runs_;
  void *start_ = nullptr, *stop_ = nullptr,
       *graph_ = nullptr;  // of CUDA: two events, and an executable graph
};

// Of a GPU's L2 cache; 0 elsewhere, where inputs stay in the caches.
double cache_bytes(const DeviceContext& context);

// A fixed piece of work that depends on the clock alone. Its time over the shortest so far says how much slower the
// machine is now: because it is hot, or because somebody else is at work.
class ClockProbe {
 public:
  explicit ClockProbe(DeviceContext& context);
  double slowdown();

 private:
  std::vector<Tensor> matrices_;
  std::unique_ptr<Turn> turn_;
  double shortest_ = 0;
};

// When turns have been enough.
struct Patience {
  double min_seconds = 0.05;  // that they take together
  double max_noise = 0.01;    // of the median, see Turns::noise()
  double timeout = 2;         // seconds for one contender, whatever its noise
  double slowest =
      4.0 / 3;  // a probe above it: the machine is throttled, and the turns since the last one do not count
};

struct Turns {
  std::vector<double> seconds, rival_seconds;  // of one run, turn by turn; those of the rival in between
  int runs = 1;                                // a turn's
  int thrown_away = 0;                         // turns while the machine was throttled
  bool is_graph = false;
  double noise()
      const;  // standard error of the median over the median, from the quartiles: 0.93 IQR / sqrt(n)
};

// Takes turns with `run`, and between them, if there is one, with `rival`. Each is called with the number of the copy
// that it shall work on, of `copies`; both have run before, so that what they need is compiled and allocated.
Turns take_turns(DeviceContext& context, const std::function<void(int)>& run,
                 const std::function<void(int)>& rival, int copies, ClockProbe& probe,
                 const Patience& patience);

}  // namespace gan::bench
