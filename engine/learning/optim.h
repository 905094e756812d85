// Optimisers over a network's flat buffer, and learning-rate policies.
#pragma once
#include <array>
#include <string>

#include "engine/learning/nn.h"
#include "engine/tensor/step_values.h"

namespace gan {

struct AdamOptions {
  double beta1 = 0.5, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
};

// What an optimiser's kernel reads anew at each step, in the context's StepValues: for each of the updates of
// one training step the learning rate and two bias corrections.
class UpdateScalars {
 public:
  UpdateScalars() = default;
  explicit UpdateScalars(DeviceContext& context);
  // Announces the next updates, after `done` so far. At least one; each is {rate, correction 1, correction 2}.
  void put(int64_t done, std::span<const std::array<double, 3>> updates);
  // Those of the update after `done`; it must have been announced.
  In of_update(int64_t done) const;

 private:
  DeviceContext* context_ = nullptr;
  int slot_ = 0;
  int64_t room_ = 1;                   // updates that the slot has room for
  int64_t first_ = 0, announced_ = 0;  // updates first_ ... first_ + announced_ - 1, counted from 0
};

// Adam (formula: kernels.h) for one player. Before each training step prepare() says how far the updates of
// that step go, and StepValues::begin_step() brings it to the device; then step() is the same launch every
// time.
class AdamOptimiser {
 public:
  AdamOptimiser() = default;
  AdamOptimiser(Parameters& parameters, AdamOptions options);
  // The next `updates` calls of step(). To say it again before the first of them changes nothing.
  void prepare(double learning_rate, int64_t updates = 1);
  void step();  // by the gradients in parameters; then weights have a new version

  Tensor m, v;        // moments, laid out like the weights
  int64_t steps = 0;  // taken so far

 private:
  Parameters* parameters_ = nullptr;
  AdamOptions options_;
  UpdateScalars scalars_;
};

// Stochastic gradient descent with momentum; prepare() and step() as above.
class SgdOptimiser {
 public:
  SgdOptimiser(Parameters& parameters, double momentum, double weight_decay);
  void prepare(double learning_rate, int64_t updates = 1);
  void step();
  Tensor velocity;

 private:
  Parameters& parameters_;
  double momentum_, weight_decay_;
  UpdateScalars scalars_;
  int64_t steps_ = 0;
};

// average = decay * average + (1 - decay) * weights
void update_average(Parameters& parameters, double decay);

// (2): Euclidean norm of the flat gradient, and 1 if all of it is finite
Tensor gradient_norm(const Parameters& parameters);
// The same of any tensor: what its second value says is all that is meant.
Tensor ask_finite(const Tensor& values);

// The factor on the learning rate after `done` of `total` epochs; it changes only at the end of an epoch.
//   constant  1
//   linear    1 for the first half, then down in equal steps; the last epoch still learns
//   step      a tenth after each third
//   cosine    half a cosine wave from 1 towards 0
//   cyclic    a triangle: 1 at the start, 1/10 after half a cycle, 1 again; four cycles (Smith 2017)
double learning_rate_factor(const std::string& policy, int64_t done, int64_t total);

}  // namespace gan
