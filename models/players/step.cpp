// A step's inputs and reports, and the turn.
#include "models/players/step.h"

#include <algorithm>

#include "models/players/model.h"

namespace gan {

Metrics StepResult::read() const {
  Metrics values;
  for (const auto& [name, scalar] : scalars) values.emplace_back(name, scalar.host()[0]);
  return values;
}

Step::Step(Model& model, const StepInput& input) : model_(model), input_(input) {
  for (const InputSpec& spec : model.inputs()) {
    const auto found = input.tensors.find(spec.name);
    const size_t have = found == input.tensors.end() ? 0 : found->second.size();
    GAN_CHECK(have == size_t(spec.draws), "a step of {} takes {} x {}, not {}", model.config.model,
              spec.draws, spec.name, have);
  }
}

const Tensor& Step::input(const std::string& name, int draw) const {
  GAN_CHECK(draw >= 0 && draw < draws(name), "a step of {} has {} x {}, not number {}", model_.config.model,
            draws(name), name, draw);
  return input_.tensors.at(name)[size_t(draw)];
}

int Step::draws(const std::string& name) const {
  const auto found = input_.tensors.find(name);
  GAN_CHECK(found != input_.tensors.end(), "a step of {} has no input {}", model_.config.model, name);
  return int(found->second.size());
}

DeviceContext& Step::context() const { return input_.tensors.begin()->second[0].context(); }

Pass Step::pass(bool dropout) const {
  return {.dropout = dropout, .seed = uint64_t(model_.config.seed), .step = context().step_values().step()};
}

void Step::report(const std::string& name, const Tensor& scalar) {
  result_.scalars.emplace_back(name, scalar);
}

StepResult Step::result() {
  StepResult all = result_;
  for (const auto& network : model_.networks)  // in one order, whoever had the first turn
    for (const auto& norm : norms_)
      if (norm.first == "grad_norm_" + network->name) all.scalars.push_back(norm);
  return all;
}

Turn::Turn(Step& step, Player& player) : step_(step), player_(player) {
  for (auto& other : step.model_.players) {
    if (other.get() == &player) continue;
    for (Network* network : other->networks) still_.push_back(std::make_unique<Freeze>(network->parameters));
  }
  for (Network* network : player.networks) network->parameters.forget_gradients();
}

Turn::~Turn() {
  while (!still_.empty()) still_.pop_back();  // in the reverse order
}

void Turn::learn(const Tensor& loss) {
  const StepInput& in = step_.input_;
  const Model& model = step_.model_;
  step_.context().tape().backward(loss);
  for (Network* network : player_.networks) {
    if (!model.trains(in.stage, *network)) continue;
    network->adam.step();
    if (network->parameters.average()) update_average(network->parameters, model.config.ema);
    if (!in.log) continue;
    // The gradients are still there: nothing is written over them before the player's next turn.
    const std::string name = "grad_norm_" + network->name;
    auto& norms = step_.norms_;
    std::erase_if(norms, [&](const auto& norm) { return norm.first == name; });
    norms.emplace_back(name, gradient_norm(network->parameters).view(0, {1}));
  }
}

}  // namespace gan
