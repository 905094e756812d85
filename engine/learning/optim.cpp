// Optimiser steps as one launch over a flat buffer.
#include "engine/learning/optim.h"

#include <cmath>
#include <numbers>

namespace gan {

AdamOptimiser::AdamOptimiser(Parameters& parameters, AdamOptions options)
    : parameters_(&parameters), options_(options) {
  DeviceContext& c = parameters.weights().context();
  m = Tensor(c, parameters.weights().shape());
  v = Tensor(c, parameters.weights().shape());
  scalars_ = Tensor(c, {3});
  m.zero();
  v.zero();
}

void AdamOptimiser::step(double learning_rate) {
  ++steps;
  const double scalars[3] = {learning_rate, 1 - std::pow(options_.beta1, double(steps)),
                             1 - std::pow(options_.beta2, double(steps))};
  scalars_.upload(std::span<const double>(scalars));
  parameters_->complete_gradients();
  const Tensor w = parameters_->weights();
  DeviceContext& c = w.context();
  c.run(c.kernels().optim.adam, {.count = w.count(),
                                 .beta1 = options_.beta1,
                                 .beta2 = options_.beta2,
                                 .eps = options_.eps,
                                 .weight_decay = options_.weight_decay,
                                 .grad = parameters_->gradients().in(),
                                 .scalars = scalars_.in(),
                                 .weight = w.out(),
                                 .m = m.out(),
                                 .v = v.out()});
  w.changed();
}

SgdOptimiser::SgdOptimiser(Parameters& parameters, double momentum, double weight_decay)
    : parameters_(parameters), momentum_(momentum), weight_decay_(weight_decay) {
  DeviceContext& c = parameters.weights().context();
  if (momentum != 0) {
    velocity = Tensor(c, parameters.weights().shape());
    velocity.zero();
  }
  scalars_ = Tensor(c, {3});
}

void SgdOptimiser::step(double learning_rate) {
  const double scalars[3] = {learning_rate, 1, 1};
  scalars_.upload(std::span<const double>(scalars));
  parameters_.complete_gradients();
  const Tensor w = parameters_.weights();
  DeviceContext& c = w.context();
  c.run(c.kernels().optim.sgd, {.count = w.count(),
                                .momentum = momentum_,
                                .weight_decay = weight_decay_,
                                .grad = parameters_.gradients().in(),
                                .scalars = scalars_.in(),
                                .weight = w.out(),
                                .velocity = velocity.out()});
  w.changed();
}

void update_average(Parameters& parameters, double decay) {
  const Tensor average = parameters.average();
  DeviceContext& c = average.context();
  c.run(c.kernels().optim.moving_average, {.count = average.count(),
                                           .decay = decay,
                                           .weight = parameters.weights().in(),
                                           .average = average.out()});
  average.changed();
}

Tensor gradient_norm(const Parameters& parameters) { return ask_finite(parameters.gradients()); }

Tensor ask_finite(const Tensor& values) {
  DeviceContext& c = values.context();
  Tensor result(c, {2});
  c.run(c.kernels().optim.grad_norm, {.count = values.count(), .grad = values.in(), .values = result.out()});
  return result;
}

double learning_rate_factor(const std::string& policy, int64_t done, int64_t total) {
  const double e = double(done), n = double(std::max<int64_t>(total, 1));
  if (policy == "constant") return 1;
  if (policy == "linear") {
    const double constant = std::ceil(n / 2), decay = n - constant;
    return 1 - std::max(0.0, e + 1 - constant) / (decay + 1);
  }
  if (policy == "step") return std::pow(0.1, std::floor(e / std::max(1.0, std::ceil(n / 3))));
  if (policy == "cosine") return 0.5 * (1 + std::cos(std::numbers::pi * e / n));
  if (policy == "cyclic") {
    const double cycle = std::max(2.0, n / 4), phase = std::fmod(e, cycle) / cycle;
    return 0.1 + 0.9 * std::abs(1 - 2 * phase);
  }
  fail(Exit::usage, "unknown learning-rate policy `{}`: constant, linear, step, cosine or cyclic", policy);
}

}  // namespace gan
