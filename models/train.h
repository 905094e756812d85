// From settings to a trained model: the training loop, and what the other commands need of a checkpoint.
#pragma once
#include <memory>
#include <string>

#include "engine/data/layout.h"
#include "engine/safetensors.h"
#include "models/zoo.h"

namespace gan {

// What one training step will take, known before the first: from running the step on a plan.
struct StepPlan {
  int64_t parameters_g = 0, parameters_d = 0;
  size_t buffer_bytes = 0;   // the pool of weights, gradients, moments, activations
  size_t data_bytes = 0;     // resident pictures
  size_t library_bytes = 0;  // estimate of what kernels keep besides: re-laid-out weights, scratch, code
  int64_t operations = 0;    // kernel launches per step
  double flop = 0;           // of convolutions and matrix products, per step
  size_t memory_bytes() const { return buffer_bytes + data_bytes + library_bytes; }
};
StepPlan plan_step(const Config& config, Device device);

// Trains as the settings say and returns the exit code (0, 130, 143); failures are gan::Error. --dry-run
// prints `origins`. config.resume names the run folder to go on with: its config.toml is in `config` already.
int train(Config config, const Origins& origins);

// A model with the weights of a checkpoint, ready to sample. Every tensor's hash is verified (Exit::bad_data,
// naming the tensor). `device` as on the command line.
struct LoadedModel {
  std::unique_ptr<DeviceContext> context;  // first: the model's memory goes back to it
  std::unique_ptr<Model> model;
  Config config;  // of the checkpoint
  int64_t step = 0;
};
LoadedModel load_model(const std::string& run_or_checkpoint, const std::string& device);

// The data that these settings name.
DataOptions data_options(const Config& config);
// What a translator is given of an example, and what it should make of it. Of a single picture both are the
// picture itself: what a network sees of it is the network's business.
struct InputAndTarget {
  Image input, target;
};
InputAndTarget input_and_target(const Example& example);

// `count` pictures of the noise stream `seed`, in batches; picture i is the same for every count.
std::vector<Image> sample_pictures(LoadedModel& loaded, int count, uint64_t seed);
// `count` pictures on a walk through noise space: through `stops` random points, by spherical interpolation.
std::vector<Image> sample_walk(LoadedModel& loaded, int count, int stops, uint64_t seed);

// (N,H,W,C) in [-1,1] to bytes: round((x+1)/2*255), clipped.
std::vector<Image> to_images(const Tensor& pictures);

}  // namespace gan
