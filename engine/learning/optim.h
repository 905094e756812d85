// Optimisers over a network's flat buffer, and learning-rate policies.
#pragma once
#include <string>

#include "engine/learning/nn.h"

namespace gan {

struct AdamOptions {
  double beta1 = 0.5, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
};

// Adam (formula: kernels.h) for one player. What changes from step to step reaches the device as three
// numbers.
class AdamOptimiser {
 public:
  AdamOptimiser() = default;
  AdamOptimiser(Parameters& parameters, AdamOptions options);
  void step(double learning_rate);  // by the gradients in parameters; then weights have a new version

  Tensor m, v;        // moments, laid out like the weights
  int64_t steps = 0;  // taken so far

 private:
  Parameters* parameters_ = nullptr;
  AdamOptions options_;
  Tensor scalars_;  // (3)
};

// Stochastic gradient descent with momentum.
class SgdOptimiser {
 public:
  SgdOptimiser(Parameters& parameters, double momentum, double weight_decay);
  void step(double learning_rate);
  Tensor velocity;

 private:
  Parameters& parameters_;
  double momentum_, weight_decay_;
  Tensor scalars_;  // (3)
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
