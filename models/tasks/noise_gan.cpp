// The training step of a generator and a discriminator.
#include "models/tasks/noise_gan.h"

#include "models/losses/adversarial.h"

namespace gan {

NoiseGan::NoiseGan()
    : g_(add_network("G", {.averaged = true, .used = true, .weights_from = ""})),
      d_(add_network("D")),
      generator_player_(add_player("G", {&g_})),
      discriminator_player_(add_player("D", {&d_}, true)) {}

void NoiseGan::declare() {
  const auto& noise = config.get<NoiseSettings>();
  add_input({.name = "real", .of = "picture", .draws = noise.n_critic});
  add_input(
      {.name = "z", .kind = InputSpec::Kind::noise, .of = "", .width = noise.nz, .draws = noise.n_critic});
  discriminator_player_.updates = noise.n_critic;
  declare_layers();
}

void NoiseGan::learn(Step& step) {
  const auto& adversarial = config.get<AdversarialSettings>();
  const int updates = step.draws("real");

  // The discriminator learns to tell real pictures from generated ones. What it sees of the generator is
  // detached: its mistakes teach the generator nothing yet.
  Tensor fake;
  LossValue d_loss;
  for (int i = 0; i < updates; ++i) {
    if (i + 1 < updates) {
      NoGradient quiet(step.context());
      fake = generate(step.input("z", i), Statistics::batch);
    } else {
      fake = generate(step.input("z", i), Statistics::batch);  // recorded: the generator learns from this one
    }
    Turn turn(step, discriminator_player_);
    // Both batches in one pass, half as many launches; each is normalised by itself.
    const Tensor both = concat_batch(step.input("real", i), fake.detach());
    d_loss = discriminator_loss({discriminate(both, {.batches = 2})}, RealHalf::first, adversarial);
    turn.learn(d_loss.loss);
  }

  // The generator learns from the improved discriminator, which stands still meanwhile.
  Tensor g_loss;
  {
    Turn turn(step, generator_player_);
    g_loss = generator_loss({discriminate(fake, {})}, adversarial);
    turn.learn(g_loss);
  }

  step.report("loss_D", d_loss.loss);
  step.report("loss_D_real", d_loss.values.view(0, {1}));
  step.report("loss_D_fake", d_loss.values.view(1, {1}));
  step.report("loss_G", g_loss);
  step.report("D_real", d_loss.values.view(2, {1}));
  step.report("D_fake", d_loss.values.view(3, {1}));
}

Tensor NoiseGan::sample(const Tensor& z) {
  NoGradient quiet(z.context());
  UseAverage averaged(g_.parameters);
  return generate(z, Statistics::running);
}

void NoiseGan::describe(DeviceContext& context, int batch, const std::string& network,
                        const LayerObserver& tell) {
  NoGradient quiet(context);
  const StepInput in = planned_input(context, batch);
  if (network == "G") generate(in.tensors.at("z")[0], Statistics::batch, tell);
  else discriminate(in.tensors.at("real")[0], {.tell = tell});
}

}  // namespace gan
