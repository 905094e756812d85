// What all models share: players, building, reading a step's scalars.
#include "models/model.h"

#include "kernels/philox.h"

namespace gan {

Metrics StepResult::read() const {
  Metrics values;
  for (const auto& [name, scalar] : scalars) values.emplace_back(name, scalar.host()[0]);
  return values;
}

Player& Model::player(const std::string& name) {
  for (auto& p : players)
    if (p->name == name) return *p;
  fail(Exit::failure, "model {} has no network {}", config.model, name);
}

void Model::build(DeviceContext& context, const Config& settings) {
  config = settings;
  declare();
  for (size_t i = 0; i < players.size(); ++i) {
    Player& p = *players[i];
    p.parameters.build(context, uint64_t(config.seed), uint32_t(RandomStream::init_g) + uint32_t(i));
    p.adam = AdamOptimiser(
        p.parameters, {.beta1 = config.beta1, .beta2 = config.beta2, .weight_decay = config.weight_decay});
  }
  if (config.ema > 0) players[0]->parameters.keep_average();
}

}  // namespace gan
