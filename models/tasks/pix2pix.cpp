// Pix2pix: its inputs, the training step, and its use.
#include "models/tasks/pix2pix.h"

#include "engine/data/options.h"
#include "models/losses/adversarial.h"
#include "models/players/generated.h"
#include "models/players/judge.h"

namespace gan {

Pix2pix::Pix2pix()
    : g_(add_network("G", {.averaged = true, .used = true, .weights_from = ""})),
      generator_player_(add_player("G", {&g_})) {}

Pix2pix::Sides Pix2pix::sides() const {
  return {{.name = "A", .of = "A"}, {.name = "B", .of = "B"}, config.channels, config.channels};
}

void Pix2pix::declare() {
  const Sides s = sides();
  add_input(s.a);
  add_input(s.b);
  generator_ = make_generator(g_.parameters, config, s.a_channels, s.b_channels);
  if (config.get<Pix2pixSettings>().lambda_gan <= 0) return;
  d_ = &add_network("D");
  discriminator_ = make_discriminator(d_->parameters, config, s.a_channels + s.b_channels);
  discriminator_player_ = &add_player("D", {d_}, true);
}

void Pix2pix::after_build(DeviceContext& context) {
  if (!d_) return;
  const Sides s = sides();
  pool_ = ImagePool(context, config.get<PoolSettings>().pool, config.size, config.size,
                    s.a_channels + s.b_channels);
}

std::vector<std::pair<std::string, Tensor>> Pix2pix::state() {
  if (!pool_.pictures()) return {};
  return {{"pool", pool_.pictures()}};
}

void Pix2pix::prepare(const StepInput& in) {
  const int64_t count = in.tensors.at("A")[0].dim(0);
  pool_.prepare(uint64_t(config.seed), in.step * count, count);
}

void Pix2pix::learn(Step& step) {
  const auto& adversarial = config.get<AdversarialSettings>();
  const auto& weights = config.get<Pix2pixSettings>();
  const Tensor &a = step.input("A"), &b = step.input("B");
  const Tensor fake = (*generator_)(g_.parameters, a, step.pass(config.get<TranslationSettings>().dropout));

  // The discriminator sees the pair that the generator made, or an earlier one, then the real pair.
  if (d_) {
    Turn turn(step, *discriminator_player_);
    const Tensor shown = pool_.exchange(concat_channels(a, fake.detach()));
    const Tensor real = concat_channels(a, b);
    LossValue loss;
    if (config.get<SpectralSettings>().of_discriminator()) {
      const auto fake_logits = judge(*d_, *discriminator_, shown);
      loss = discriminator_loss(judge(*d_, *discriminator_, real), fake_logits, adversarial, 0.5);
    } else {
      loss = discriminator_loss(judge_both(*d_, *discriminator_, shown, real), RealHalf::second, adversarial,
                                0.5);
    }
    step.report("loss_D", loss.loss);
    report_judgement(step, loss);
    turn.learn(loss.loss);
  }

  // The generator learns from the improved discriminator, which stands still meanwhile, and from the picture
  // it should have made.
  {
    Turn turn(step, generator_player_);
    const Tensor distance =
        pixel_loss(fake, b, config.get<PixelLossSettings>().kind(), weights.lambda_l1).loss;
    Tensor sum = distance;
    if (d_) {
      Tensor taken = generator_loss(judge(*d_, *discriminator_, concat_channels(a, fake)), adversarial);
      if (weights.lambda_gan != 1) taken = affine(taken, weights.lambda_gan);
      step.report("loss_G_GAN", taken);
      sum = add(taken, distance);
    }
    step.report("loss_G_L1", distance);
    step.report("loss_G", sum);
    turn.learn(sum);
  }
}

// ------------------------------------------------------------------------------------------------- use

Tensor Pix2pix::generate(const Tensor& a, const Use& use) {
  return generated(g_, *generator_, a, use, config.get<TranslationSettings>().dropout);
}

Tensor Pix2pix::make(const Use& use) { return generate(picture(use, "picture"), use); }

std::vector<Trial> Pix2pix::trials() const {
  const Sides s = sides();
  return {{.measure = "val", .input = s.a.of, .target = s.b.of, .controls = {}}};
}

GridRow Pix2pix::show(const std::map<std::string, Tensor>& example, const Use& use) {
  const Trial trial = trials()[0];
  Use one = use;
  one.pictures["picture"] = example.at(trial.input);
  return {.cells = {seen(example.at(trial.input)), make(one), example.at(trial.target)}, .made = {1}};
}

void Pix2pix::describe(DeviceContext& context, int batch, const std::string& network,
                       const LayerObserver& tell) {
  NoGradient quiet(context);
  const StepInput in = planned_input(context, batch);
  const Tensor &a = in.tensors.at("A")[0], &b = in.tensors.at("B")[0];
  const Pass pass{.dropout = config.get<TranslationSettings>().dropout, .tell = tell};
  if (network == "G") (*generator_)(g_.parameters, a, pass);
  else (*discriminator_)(d_->parameters, concat_channels(a, b), pass);
}

// -------------------------------------------------------------------------------------------- settings

void pix2pix_preset(Config& c) {
  c.size = 256, c.load_size = 286;
  c.batch = 1, c.epochs = 200;
  c.lr_policy = "linear";
  c.get<TranslationSettings>().dropout = true;
}

// Instance norm: what it makes of a picture does not depend on the others of a batch. No transposed convolutions: in ten
// minutes their checkerboard does not go.
void pix2pix_tuned(Config& c, bool cpu) {
  if (cpu) {
    c.size = 128, c.load_size = 143;
    c.get<ConvSettings>().ngf = 32, c.get<ConvSettings>().ndf = 32;
  }
  c.batch = 2, c.ema = 0.998;
  c.get<ConvSettings>().norm = "instance";
  c.get<UpSettings>().up = "resize";
  c.epochs = 30, c.least_steps = 4000;
  if (!c.has<MadeInputSettings>()) return;  // colorize
  // A picture that only lacks sharpness is better changed than drawn anew, and by little: what a discriminator asks for
  // costs more of it than it brings.
  const std::string& made = c.get<MadeInputSettings>().make_input;
  if (made == "noise" || made == "blur" || made == "lowres") {
    c.get<TranslationSettings>().netG = "whitebox";
    c.get<TranslationSettings>().dropout = false;
    c.get<Pix2pixSettings>().lambda_l1 = 1000;
  }
}

void pix2pix_check(const Config& c) {
  check_translation_networks(c);
  const auto& weights = c.get<Pix2pixSettings>();
  if (weights.lambda_gan <= 0 && weights.lambda_l1 <= 0)
    fail(Exit::usage, "--lambda-gan 0 and --lambda-l1 0: nothing would be learnt");
}

std::unique_ptr<Model> make_pix2pix() { return std::make_unique<Pix2pix>(); }

}  // namespace gan
