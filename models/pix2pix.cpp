// Pix2pix: the networks by their settings, and the training step.
#include "models/pix2pix.h"

#include <algorithm>
#include <charconv>

#include "models/patchgan.h"
#include "models/resnet.h"
#include "models/unet.h"

namespace gan {

namespace {

constexpr int kMostDowns = 8, kFewestDowns = 5;

// How often a U-Net halves the side: `unet_256` down to one pixel of 256, so 8 times; `unet` as often as
// --size allows. 0 for what is no U-Net.
int unet_downs(const std::string& net, int size) {
  int downs = 0;
  if (net == "unet")
    for (; downs < kMostDowns && size % (2 << downs) == 0; ++downs) {}
  else if (net.starts_with("unet_"))
    for (int side = std::stoi(net.substr(5)); side > 1; side /= 2) ++downs;
  return downs;
}

std::unique_ptr<Generator> make_generator(Parameters& p, const Config& c, Model::Channels channels) {
  const NormKind norm = norm_kind_of(c.norm);
  const ConvBlock::Kind up = up_kind_of(c.up);
  if (const int downs = unet_downs(c.netG, c.size); downs > 0)
    return std::make_unique<Unet>(p, UnetOptions{.in = channels.a,
                                                 .out = channels.b,
                                                 .width = c.ngf,
                                                 .downs = downs,
                                                 .norm = norm,
                                                 .up = up,
                                                 .dropout = c.dropout});
  return std::make_unique<Resnet>(p, ResnetOptions{.in = channels.a,
                                                   .out = channels.b,
                                                   .width = c.ngf,
                                                   .blocks = c.netG == "resnet_6" ? 6 : 9,
                                                   .norm = norm,
                                                   .up = up,
                                                   .dropout = c.dropout});
}

std::unique_ptr<Discriminator> make_discriminator(Parameters& p, const Config& c, int channels) {
  const NormKind norm = norm_kind_of(c.norm);
  if (c.netD == "pixel") return std::make_unique<PixelGan>(p, channels, c.ndf, norm);
  return std::make_unique<PatchGan>(
      p,
      PatchOptions{
          .in = channels, .width = c.ndf, .layers = c.n_layers_d, .norm = norm, .scales = c.discriminators});
}

}  // namespace

Pix2pix::Pix2pix() : g_(add_player("G")), d_(add_player("D")) {}

void Pix2pix::declare() {
  const Channels channels = paired();
  generator_ = make_generator(g_.parameters, config, channels);
  discriminator_ = make_discriminator(d_.parameters, config, channels.a + channels.b);
}

void Pix2pix::after_build(DeviceContext& context) {
  const Channels channels = paired();
  pool_ = ImagePool(context, config.pool, config.size, config.size, channels.a + channels.b);
}

std::vector<std::pair<std::string, Tensor>> Pix2pix::state() {
  if (!pool_.pictures()) return {};
  return {{"pool", pool_.pictures()}};
}

StepResult Pix2pix::step(const StepInput& in) {
  const GanLoss kind = gan_loss_of(config.gan_loss);
  DeviceContext& context = in.a.context();
  Tape& tape = context.tape();
  tape.clear();

  const Pass with_dropout{
      .dropout = config.dropout, .seed = uint64_t(config.seed), .step = uint32_t(in.step)};
  const Tensor fake = (*generator_)(g_.parameters, in.a, with_dropout);

  // The discriminator sees the pair that the generator made, or an earlier one, then the real pair. Several
  // scales count alike: every loss is the mean of theirs.
  Tensor d_loss, d_values;
  {
    d_.parameters.forget_gradients();
    const Tensor shown =
        pool_.exchange(concat_channels(in.a, fake.detach()), uint64_t(config.seed), in.step * in.a.dim(0));
    const auto fake_logits = (*discriminator_)(d_.parameters, shown, {});
    const auto real_logits = (*discriminator_)(d_.parameters, concat_channels(in.a, in.b), {});
    const double part = 1.0 / double(fake_logits.size());
    for (size_t i = 0; i < fake_logits.size(); ++i) {
      const LossValue one =
          discriminator_loss(real_logits[i], fake_logits[i], kind, 1 - config.label_smooth, 0, 0.5 * part);
      d_loss = d_loss ? add(d_loss, one.loss) : one.loss;
      const Tensor values = part == 1 ? one.values : affine(one.values, part);
      d_values = d_values ? add(d_values, values) : values;
    }
  }
  tape.backward(d_loss);
  d_.adam.step(in.learning_rate_d);
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
    l1_loss = pixel_loss(fake, in.b, PixelLossKind::l1, config.lambda_l1).loss;
    g_loss = add(gan_loss, l1_loss);
    tape.backward(g_loss);
    g_.adam.step(in.learning_rate_g);
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
                       {.statistics = o.statistics, .dropout = o.dropout && config.dropout, .seed = o.seed});
}

void Pix2pix::describe(DeviceContext& context, int batch, const std::string& player,
                       const LayerObserver& tell) {
  NoGradient quiet(context);
  const StepInput in = planned_input(context, batch);
  const Pass pass{.dropout = config.dropout, .tell = tell};
  if (player == "G") (*generator_)(g_.parameters, in.a, pass);
  else (*discriminator_)(d_.parameters, concat_channels(in.a, in.b), pass);
}

// -------------------------------------------------------------------------------------------- settings

void pix2pix_preset(Config& c) {
  c.size = 256, c.load_size = 286, c.channels = 3;
  c.ngf = 64, c.ndf = 64, c.norm = "batch";
  c.netG = "unet", c.netD = "patch", c.n_layers_d = 3, c.discriminators = 1;
  c.up = "convt", c.dropout = true;
  c.batch = 1, c.epochs = 200;
  c.lr = 2e-4, c.beta1 = 0.5, c.beta2 = 0.999, c.lr_policy = "linear";
  c.gan_loss = "vanilla", c.lambda_l1 = 100, c.pool = 0;
}

void pix2pix_check(const Config& c) {
  const bool resnet = c.netG.starts_with("resnet");
  const int downs = unet_downs(c.netG, c.size);
  const int multiple = resnet ? 4 : 1 << std::max(downs, kFewestDowns);
  if (c.size % multiple != 0 || c.size < 8) {
    const int nearest = std::max(resnet ? 8 : multiple, (c.size + multiple / 2) / multiple * multiple);
    fail(Exit::usage,
         "{} with --netG {} takes pictures whose side is a multiple of {}, not {}; the nearest is "
         "--size {}",
         c.model, c.netG, multiple, c.size, nearest);
  }
  if (c.netD == "pixel") {
    if (c.discriminators > 1)
      fail(Exit::usage, "--discriminators {}: only --netD patch looks at several scales", c.discriminators);
  } else if (const int least = PatchGan::smallest_side(c.n_layers_d, c.discriminators); c.size < least) {
    fail(Exit::usage,
         "a patch discriminator with --n-layers-d {} at {} scale{} needs pictures of at least {} pixels, not "
         "{}; "
         "use fewer layers or --netD pixel",
         c.n_layers_d, c.discriminators, c.discriminators > 1 ? "s" : "", least, c.size);
  }
  if (c.n_critic != 1) fail(Exit::usage, "{} updates its discriminator once a step: --n-critic 1", c.model);
}

std::unique_ptr<Model> make_pix2pix() { return std::make_unique<Pix2pix>(); }

}  // namespace gan
