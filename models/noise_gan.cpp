// The training step of a generator and a discriminator.
#include "models/noise_gan.h"

#include "models/adversarial.h"

namespace gan {

NoiseGan::NoiseGan() : g_(add_player("G")), d_(add_player("D")) {}

void NoiseGan::prepare(const StepInput& in) {
  d_.adam.prepare(in.learning_rate_d, int64_t(in.real.size()));
  g_.adam.prepare(in.learning_rate_g);
}

StepResult NoiseGan::step(const StepInput& in) {
  const auto& adversarial = config.get<AdversarialSettings>();
  const GanLoss kind = adversarial.kind();
  const size_t updates = in.real.size();
  GAN_CHECK(updates >= 1 && in.z.size() == updates);
  DeviceContext& context = in.real[0].context();
  Tape& tape = context.tape();
  begin_step(in);
  tape.clear();

  // The discriminator learns to tell real pictures from generated ones. What it sees of the generator is
  // detached: its mistakes teach the generator nothing yet.
  Tensor fake;
  LossValue d_loss;
  for (size_t i = 0; i < updates; ++i) {
    if (i + 1 < updates) {
      NoGradient quiet(context);
      fake = generate(in.z[i], Statistics::batch);
    } else {
      fake = generate(in.z[i], Statistics::batch);  // recorded: the generator learns from this one
    }
    d_.parameters.forget_gradients();
    const Tensor real_logits = discriminate(in.real[i]);
    const Tensor fake_logits = discriminate(fake.detach());
    d_loss = discriminator_loss(real_logits, fake_logits, kind, adversarial.real_label());
    tape.backward(d_loss.loss);
    d_.adam.step();
  }
  const Tensor d_norm = in.log ? gradient_norm(d_.parameters) : Tensor();

  // The generator learns from the improved discriminator, which stands still meanwhile.
  LossValue g_loss;
  {
    Freeze still(d_.parameters);
    g_.parameters.forget_gradients();
    g_loss = generator_loss(discriminate(fake), kind);
    tape.backward(g_loss.loss);
    g_.adam.step();
  }
  if (config.ema > 0) update_average(g_.parameters, config.ema);
  tape.clear();

  StepResult result;
  result.scalars = {{"loss_D", d_loss.loss},
                    {"loss_D_real", d_loss.values.view(0, {1})},
                    {"loss_D_fake", d_loss.values.view(1, {1})},
                    {"loss_G", g_loss.loss},
                    {"D_real", d_loss.values.view(2, {1})},
                    {"D_fake", d_loss.values.view(3, {1})}};
  if (in.log) {
    result.scalars.emplace_back("grad_norm_G", gradient_norm(g_.parameters).view(0, {1}));
    result.scalars.emplace_back("grad_norm_D", d_norm.view(0, {1}));
  }
  return result;
}

Tensor NoiseGan::sample(const Tensor& z) {
  NoGradient quiet(z.context());
  UseAverage averaged(g_.parameters);
  return generate(z, Statistics::running);
}

void NoiseGan::describe(DeviceContext& context, int batch, const std::string& player,
                        const LayerObserver& tell) {
  NoGradient quiet(context);
  if (player == "G")
    generate(Tensor(context, {batch, config.get<NoiseSettings>().nz}), Statistics::batch, tell);
  else discriminate(Tensor(context, {batch, config.size, config.size, config.channels}), tell);
}

}  // namespace gan
