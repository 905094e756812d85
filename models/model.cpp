// What all models share: players, building, reading a step's scalars.
#include "models/model.h"

#include "kernels/philox.h"
#include "models/noise_gan.h"

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

Player& Model::add_player(const std::string& name) {
  players.push_back(std::make_unique<Player>());
  players.back()->name = name;
  return *players.back();
}

void Model::begin_step(const StepInput& in) {
  prepare(in);
  players[0]->parameters.weights().context().step_values().begin_step(in.step, in.draw);
}

Tensor Model::sample(const Tensor&) {
  fail(Exit::usage, "{} makes pictures from pictures, not from noise; use `gan translate`", config.model);
}

Tensor Model::translate(const Tensor&, const TranslateOptions&) {
  fail(Exit::usage, "{} makes pictures from noise, not from pictures; use `gan sample`", config.model);
}

Tensor Model::picture_of_output(const Tensor&, const Tensor& b) { return b; }

StepInput Model::planned_input(DeviceContext& context, int batch) const {
  StepInput in;
  if (const Channels channels = paired(); channels.a > 0) {
    in.a = Tensor(context, {batch, config.size, config.size, channels.a});
    in.b = Tensor(context, {batch, config.size, config.size, channels.b});
    return in;
  }
  const auto& noise = config.get<NoiseSettings>();
  for (int i = 0; i < noise.n_critic; ++i) {
    in.real.emplace_back(context, Shape{batch, config.size, config.size, config.channels});
    in.z.emplace_back(context, Shape{batch, noise.nz});
  }
  return in;
}

void Model::build_for_use(DeviceContext& context, const Config& settings) {
  config = settings;
  declare();
  players[0]->parameters.build_for_use(context);
  if (config.ema > 0) players[0]->parameters.keep_average();
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
  after_build(context);
}

}  // namespace gan
