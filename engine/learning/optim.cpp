// Optimiser steps as one launch over a flat buffer.
#include "engine/learning/optim.h"

#include <cmath>
#include <numbers>

namespace gan {

UpdateScalars::UpdateScalars(DeviceContext& context)
    : context_(&context), slot_(context.step_values().add_numbers(3)) {}

void UpdateScalars::put(int64_t done, std::span<const std::array<double, 3>> updates) {
  GAN_CHECK(context_ && !updates.empty(), "{} updates", updates.size());
  StepValues& values = context_->step_values();
  if (int64_t(updates.size()) > room_) {
    room_ = int64_t(updates.size());
    slot_ = values.add_numbers(3 * room_);
  }
  values.put(slot_, std::span(updates[0].data(), 3 * updates.size()));
  first_ = done;
  announced_ = int64_t(updates.size());
}

In UpdateScalars::of_update(int64_t done) const {
  GAN_CHECK(done >= first_ && done < first_ + announced_,
            "update {} of an optimiser was not announced: prepare() announced {} after {}", done + 1,
            announced_, first_);
  return context_->step_values().in(slot_, 3 * (done - first_));
}

AdamOptimiser::AdamOptimiser(Parameters& parameters, AdamOptions options)
    : parameters_(&parameters), options_(options) {
  DeviceContext& c = parameters.weights().context();
  m = Tensor(c, parameters.weights().shape());
  v = Tensor(c, parameters.weights().shape());
  scalars_ = UpdateScalars(c);
  m.zero();
  v.zero();
}

void AdamOptimiser::prepare(double learning_rate, int64_t updates) {
  std::vector<std::array<double, 3>> scalars;
  for (int64_t t = steps + 1; t <= steps + updates; ++t)
    scalars.push_back(
        {learning_rate, 1 - std::pow(options_.beta1, double(t)), 1 - std::pow(options_.beta2, double(t))});
  scalars_.put(steps, scalars);
}

void AdamOptimiser::step() {
  parameters_->complete_gradients();
  const Tensor w = parameters_->weights();
  DeviceContext& c = w.context();
  c.run(c.kernels().optim.adam, {.count = w.count(),
                                 .beta1 = options_.beta1,
                                 .beta2 = options_.beta2,
                                 .eps = options_.eps,
                                 .weight_decay = options_.weight_decay,
                                 .grad = parameters_->gradients().in(),
                                 .scalars = scalars_.of_update(steps),
                                 .weight = w.out(),
                                 .m = m.out(),
                                 .v = v.out(),
                                 .rounded = parameters_->rounded().out()});
  c.count_on_host([this] { ++steps; });
  w.changed();
  parameters_->rounded_is_current();
}

SgdOptimiser::SgdOptimiser(Parameters& parameters, double momentum, double weight_decay)
    : parameters_(parameters),
      momentum_(momentum),
      weight_decay_(weight_decay),
      scalars_(parameters.weights().context()) {
  DeviceContext& c = parameters.weights().context();
  if (momentum != 0) {
    velocity = Tensor(c, parameters.weights().shape());
    velocity.zero();
  }
}

void SgdOptimiser::prepare(double learning_rate, int64_t updates) {
  scalars_.put(steps_, std::vector<std::array<double, 3>>(size_t(updates), {learning_rate, 1, 1}));
}

void SgdOptimiser::step() {
  parameters_.complete_gradients();
  const Tensor w = parameters_.weights();
  DeviceContext& c = w.context();
  c.run(c.kernels().optim.sgd, {.count = w.count(),
                                .momentum = momentum_,
                                .weight_decay = weight_decay_,
                                .grad = parameters_.gradients().in(),
                                .scalars = scalars_.of_update(steps_),
                                .weight = w.out(),
                                .velocity = velocity.out()});
  c.count_on_host([this] { ++steps_; });
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

Tensor ask_finite(const Tensor& numbers) {
  DeviceContext& c = numbers.context();
  const NoGradient quiet(c);
  const Tensor values = cast(numbers, c.real());
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
