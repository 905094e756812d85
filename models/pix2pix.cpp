// Pix2pix: the networks by their settings, and the training step.
#include "models/pix2pix.h"

#include "models/adversarial.h"

namespace gan {

Pix2pix::Pix2pix() : g_(add_player("G")), d_(add_player("D")) {}

void Pix2pix::declare() {
  const Channels channels = paired();
  generator_ = make_generator(g_.parameters, config, channels.a, channels.b);
  discriminator_ = make_discriminator(d_.parameters, config, channels.a + channels.b);
}

void Pix2pix::after_build(DeviceContext& context) {
  const Channels channels = paired();
  pool_ =
      ImagePool(context, config.get<PoolSettings>().pool, config.size, config.size, channels.a + channels.b);
}

std::vector<std::pair<std::string, Tensor>> Pix2pix::state() {
  if (!pool_.pictures()) return {};
  return {{"pool", pool_.pictures()}};
}

void Pix2pix::prepare(const StepInput& in) {
  d_.adam.prepare(in.learning_rate_d);
  g_.adam.prepare(in.learning_rate_g);
  pool_.prepare(uint64_t(config.seed), in.step * in.a.dim(0), in.a.dim(0));
}

StepResult Pix2pix::step(const StepInput& in) {
  const auto& adversarial = config.get<AdversarialSettings>();
  const GanLoss kind = adversarial.kind();
  DeviceContext& context = in.a.context();
  Tape& tape = context.tape();
  begin_step(in);
  tape.clear();

  const Pass with_dropout{.dropout = config.get<TranslationSettings>().dropout,
                          .seed = uint64_t(config.seed),
                          .step = context.step_values().step()};
  const Tensor fake = (*generator_)(g_.parameters, in.a, with_dropout);

  // The discriminator sees the pair that the generator made, or an earlier one, then the real pair. Several
  // scales count alike: every loss is the mean of theirs.
  Tensor d_loss, d_values;
  {
    d_.parameters.forget_gradients();
    const Tensor shown = pool_.exchange(concat_channels(in.a, fake.detach()));
    const auto fake_logits = (*discriminator_)(d_.parameters, shown, {});
    const auto real_logits = (*discriminator_)(d_.parameters, concat_channels(in.a, in.b), {});
    const double part = 1.0 / double(fake_logits.size());
    for (size_t i = 0; i < fake_logits.size(); ++i) {
      const LossValue one =
          discriminator_loss(real_logits[i], fake_logits[i], kind, adversarial.real_label(), 0, 0.5 * part);
      d_loss = d_loss ? add(d_loss, one.loss) : one.loss;
      const Tensor values = part == 1 ? one.values : affine(one.values, part);
      d_values = d_values ? add(d_values, values) : values;
    }
  }
  tape.backward(d_loss);
  d_.adam.step();
  const Tensor d_norm = in.log ? gradient_norm(d_.parameters) : Tensor();

  // The generator learns from the improved discriminator, which stands still meanwhile, and from the picture
  // it should have made.
  Tensor gan_loss, g_loss, l1_loss;
  {
    Freeze still(d_.parameters);
    g_.parameters.forget_gradients();
    const auto logits = (*discriminator_)(d_.parameters, concat_channels(in.a, fake), {});
    for (const Tensor& one : logits) {
      const Tensor loss = generator_loss(one, kind, 1.0 / double(logits.size())).loss;
      gan_loss = gan_loss ? add(gan_loss, loss) : loss;
    }
    l1_loss = pixel_loss(fake, in.b, PixelLossKind::l1, config.get<Pix2pixSettings>().lambda_l1).loss;
    g_loss = add(gan_loss, l1_loss);
    tape.backward(g_loss);
    g_.adam.step();
  }
  if (config.ema > 0) update_average(g_.parameters, config.ema);
  tape.clear();

  StepResult result;
  result.scalars = {{"loss_D", d_loss},
                    {"loss_D_real", d_values.view(0, {1})},
                    {"loss_D_fake", d_values.view(1, {1})},
                    {"loss_G", g_loss},
                    {"loss_G_GAN", gan_loss},
                    {"loss_G_L1", l1_loss},
                    {"D_real", d_values.view(2, {1})},
                    {"D_fake", d_values.view(3, {1})}};
  if (in.log) {
    result.scalars.emplace_back("grad_norm_G", gradient_norm(g_.parameters).view(0, {1}));
    result.scalars.emplace_back("grad_norm_D", d_norm.view(0, {1}));
  }
  return result;
}

Tensor Pix2pix::translate(const Tensor& a, const TranslateOptions& o) {
  const int side = side_multiple();
  GAN_CHECK(a.shape().rank == 4 && a.dim(1) % side == 0 && a.dim(2) % side == 0 && a.dim(3) == paired().a,
            "translate {}: height and width must be multiples of {}, channels {}", to_string(a.shape()), side,
            paired().a);
  NoGradient quiet(a.context());
  UseAverage averaged(g_.parameters);
  // Batch statistics shall not move the running ones of a model that is only used.
  KeepStatistics kept(g_.parameters);
  return (*generator_)(g_.parameters, a,
                       {.statistics = o.statistics,
                        .dropout = o.dropout && config.get<TranslationSettings>().dropout,
                        .seed = o.seed});
}

void Pix2pix::describe(DeviceContext& context, int batch, const std::string& player,
                       const LayerObserver& tell) {
  NoGradient quiet(context);
  const StepInput in = planned_input(context, batch);
  const Pass pass{.dropout = config.get<TranslationSettings>().dropout, .tell = tell};
  if (player == "G") (*generator_)(g_.parameters, in.a, pass);
  else (*discriminator_)(d_.parameters, concat_channels(in.a, in.b), pass);
}

// -------------------------------------------------------------------------------------------- settings

void pix2pix_preset(Config& c) {
  c.size = 256, c.load_size = 286;
  c.batch = 1, c.epochs = 200;
  c.lr_policy = "linear";
  c.get<TranslationSettings>().dropout = true;
}

void pix2pix_check(const Config& c) { check_translation_networks(c); }

std::unique_ptr<Model> make_pix2pix() { return std::make_unique<Pix2pix>(); }

}  // namespace gan
