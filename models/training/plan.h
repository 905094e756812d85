// What a run will take, known before its first step.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "engine/data/options.h"
#include "models/tasks/zoo.h"

namespace gan {

// One training step, from running it on a plan.
struct StepPlan {
  std::vector<std::pair<std::string, int64_t>> parameters;  // of each network
  size_t buffer_bytes = 0;   // the pool of weights, gradients, moments, activations
  size_t data_bytes = 0;     // resident pictures
  size_t library_bytes = 0;  // estimate of what kernels keep besides: re-laid-out weights, scratch, code
  // Of the networks in a checkpoint that never learn, by their names.
  std::vector<std::pair<std::string, int64_t>> frozen_bytes;
  int64_t checkpoint_bytes = 0;
  int draws = 1;           // batches of pictures that a step takes
  int64_t operations = 0;  // kernel launches per step
  double flop = 0;         // of convolutions and matrix products, per step
  size_t memory_bytes() const { return buffer_bytes + data_bytes + library_bytes; }
};
StepPlan plan_step(const Config& config, Device device);

// --dry-run: every setting and where it came from, parameters, memory, work; as one JSON object with --json.
void print_plan(const Config& config, const Origins& origins, const StepPlan& plan, Device device);

// How far a run goes.
struct RunLength {
  int64_t last_step = 0;  // INT64_MAX: until the clock says so
  int64_t steps_per_epoch = 1, epochs = 1;
  bool by_clock = false;  // the schedule of the learning rate follows the time that is given
};
// `draws_per_epoch`: batches in one pass over the data.
RunLength plan_length(const Config& config, int draws_per_step, int64_t draws_per_epoch);
// Batches of pictures that one step takes.
int draws_per_step(const Model& model);

// The data that these settings name.
DataOptions data_options(const Config& config);

}  // namespace gan
