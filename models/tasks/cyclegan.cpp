// CycleGAN (Zhu et al. 2017): two sets of pictures, A and B, of which none belong together. G_A makes A into B and
// D_A judges B; G_B makes B into A and D_B judges A. A picture that has gone there and back shall be what it was:
// that is what ties the outputs to their inputs.
//
//   G_A, G_B   (N,H,W,C) -> (N,H,W,C): a residual network with instance norm, or a U-Net
//   D_A, D_B   (N,H,W,C) -> logits (N,h,w,1): a patch discriminator each
//
// The two generators are one player and the two discriminators another. Discriminators see earlier pictures too
// (Shrivastava et al. 2017), from a pool for each side.
#include "models/tasks/cyclegan.h"

#include "models/losses/adversarial.h"
#include "models/losses/image_pool.h"
#include "models/networks/translation_networks.h"
#include "models/players/judge.h"

namespace gan {

namespace {

class CycleGan : public Model {
 public:
  CycleGan()
      : ga_(add_network("G_A", {.averaged = true, .used = true, .weights_from = ""})),
        gb_(add_network("G_B", {.averaged = true, .used = true, .weights_from = ""})),
        da_(add_network("D_A")),
        db_(add_network("D_B")),
        generators_(add_player("G", {&ga_, &gb_})),
        discriminators_(add_player("D", {&da_, &db_}, true)) {}

  UseSpec use() const override {
    return {
        .pictures = {"picture"},
        .controls = {{.name = "direction", .help = "0: A to B, 1: B to A", .value = 0, .low = 0, .high = 1}}};
  }

  Tensor make(const Use& use) override {
    const bool back = control(use, "direction") > 0.5;
    return generate(back ? gb_ : ga_, back ? *to_a_ : *to_b_, picture(use, "picture"), use);
  }

  int side_multiple() const override { return to_b_->side_multiple(); }

  std::vector<Trial> trials() const override {
    return {{.measure = "val_AtoB", .input = "A", .target = "B", .controls = {}},
            {.measure = "val_BtoA", .input = "B", .target = "A", .controls = {{"direction", 1.0}}}};
  }

  // A, made into B, and back; B, made into A, and back.
  GridRow show(const std::map<std::string, Tensor>& example, const Use& use) override {
    const Tensor &a = example.at("A"), &b = example.at("B");
    const Tensor fake_b = generate(ga_, *to_b_, a, use), fake_a = generate(gb_, *to_a_, b, use);
    return {.cells = {a, fake_b, generate(gb_, *to_a_, fake_b, use), b, fake_a,
                      generate(ga_, *to_b_, fake_a, use)},
            .made = {1, 4}};
  }

  std::vector<std::pair<std::string, Tensor>> state() override {
    if (!pool_a_.pictures()) return {};
    return {{"pool_A", pool_a_.pictures()}, {"pool_B", pool_b_.pictures()}};
  }

  void describe(DeviceContext& context, int batch, const std::string& network,
                const LayerObserver& tell) override {
    NoGradient quiet(context);
    const StepInput in = planned_input(context, batch);
    const Tensor &a = in.tensors.at("A")[0], &b = in.tensors.at("B")[0];
    const Pass pass{.dropout = config.get<TranslationSettings>().dropout, .tell = tell};
    if (network == "G_A") (*to_b_)(ga_.parameters, a, pass);
    if (network == "G_B") (*to_a_)(gb_.parameters, b, pass);
    if (network == "D_A") (*judge_b_)(da_.parameters, b, pass);
    if (network == "D_B") (*judge_a_)(db_.parameters, a, pass);
  }

 protected:
  void declare() override {
    const int channels = config.channels;
    add_input({.name = "A", .of = "A"});
    add_input({.name = "B", .of = "B"});
    to_b_ = make_generator(ga_.parameters, config, channels, channels);
    to_a_ = make_generator(gb_.parameters, config, channels, channels);
    judge_b_ = make_discriminator(da_.parameters, config, channels);
    judge_a_ = make_discriminator(db_.parameters, config, channels);
  }

  void after_build(DeviceContext& context) override {
    const int size = config.size, pool = config.get<PoolSettings>().pool;
    pool_b_ = ImagePool(context, pool, size, size, config.channels);
    pool_a_ = ImagePool(context, pool, size, size, config.channels);
  }

  void prepare(const StepInput& in) override {
    const int64_t count = in.tensors.at("A")[0].dim(0), first = in.step * count;
    pool_b_.prepare(uint64_t(config.seed), first, count);
    pool_a_.prepare(uint64_t(config.seed) + 1, first, count);
  }

  void learn(Step& step) override {
    const auto& adversarial = config.get<AdversarialSettings>();
    const auto& cycle = config.get<CycleGanSettings>();
    const double way_back = cycle.lambda_cycle, identity = cycle.lambda_cycle * cycle.lambda_identity;
    const Tensor &a = step.input("A"), &b = step.input("B");
    const Pass pass = step.pass(config.get<TranslationSettings>().dropout);

    // The generators' turn: each fools the discriminator of its side, and each undoes what the other did.
    Tensor fake_b, fake_a, gan_a, gan_b, cycle_a, cycle_b, same_a, same_b, g_loss;
    {
      Turn turn(step, generators_);
      fake_b = (*to_b_)(ga_.parameters, a, pass);                    // (N,H,W,C)
      const Tensor back_a = (*to_a_)(gb_.parameters, fake_b, pass);  // as A
      fake_a = (*to_a_)(gb_.parameters, b, pass);
      const Tensor back_b = (*to_b_)(ga_.parameters, fake_a, pass);  // as B
      gan_a = generator_loss(judge(da_, *judge_b_, fake_b), adversarial);
      gan_b = generator_loss(judge(db_, *judge_a_, fake_a), adversarial);
      cycle_a = pixel_loss(back_a, a, PixelLossKind::l1, way_back).loss;
      cycle_b = pixel_loss(back_b, b, PixelLossKind::l1, way_back).loss;
      g_loss = add(add(gan_a, gan_b), add(cycle_a, cycle_b));
      if (identity > 0) {  // what is of the side already stays as it is
        same_a = pixel_loss((*to_b_)(ga_.parameters, b, pass), b, PixelLossKind::l1, identity).loss;
        same_b = pixel_loss((*to_a_)(gb_.parameters, a, pass), a, PixelLossKind::l1, identity).loss;
        g_loss = add(g_loss, add(same_a, same_b));
      }
      turn.learn(g_loss);
    }

    // The discriminators' turn, on the pictures that the generators made before they learnt, or on earlier ones.
    LossValue loss_a, loss_b;
    {
      Turn turn(step, discriminators_);
      const Tensor shown_b = pool_b_.exchange(fake_b.detach());
      const Tensor shown_a = pool_a_.exchange(fake_a.detach());
      // Real first, then fake: running statistics keep the order, which the arguments of a call do not have.
      const auto real_b = judge(da_, *judge_b_, b), made_b = judge(da_, *judge_b_, shown_b);
      const auto real_a = judge(db_, *judge_a_, a), made_a = judge(db_, *judge_a_, shown_a);
      loss_a = discriminator_loss(real_b, made_b, adversarial, 0.5);
      loss_b = discriminator_loss(real_a, made_a, adversarial, 0.5);
      turn.learn(add(loss_a.loss, loss_b.loss));
    }
    report(step, g_loss, {gan_a, gan_b, cycle_a, cycle_b, same_a, same_b}, loss_a, loss_b);
  }

 private:
  void report(Step& step, const Tensor& g_loss, const std::vector<Tensor>& parts, const LossValue& loss_a,
              const LossValue& loss_b) {
    static constexpr const char* names[] = {"loss_G_A",     "loss_G_B",   "loss_cycle_A",
                                            "loss_cycle_B", "loss_idt_A", "loss_idt_B"};
    const auto mean = [](const Tensor& one, const Tensor& other) { return affine(add(one, other), 0.5); };
    step.report("loss_D", add(loss_a.loss.detach(), loss_b.loss.detach()));
    step.report("loss_D_A", loss_a.loss);
    step.report("loss_D_B", loss_b.loss);
    step.report("loss_G", g_loss);
    for (size_t i = 0; i < parts.size(); ++i)
      if (parts[i]) step.report(names[i], parts[i]);
    const Tensor values = mean(loss_a.values, loss_b.values);
    step.report("loss_D_real", values.view(0, {1}));
    step.report("loss_D_fake", values.view(1, {1}));
    step.report("D_real", values.view(2, {1}));
    step.report("D_fake", values.view(3, {1}));
  }

  Tensor generate(const Network& network, const Generator& generator, const Tensor& picture, const Use& use) {
    NoGradient quiet(picture.context());
    UseAverage averaged_a(ga_.parameters), averaged_b(gb_.parameters);
    KeepStatistics kept_a(ga_.parameters), kept_b(gb_.parameters);
    const bool dropout = use.dropout && config.get<TranslationSettings>().dropout;
    return generator(network.parameters, picture,
                     {.statistics = use.statistics, .dropout = dropout, .seed = use.seed});
  }

  Network &ga_, &gb_, &da_, &db_;
  Player &generators_, &discriminators_;
  std::unique_ptr<Generator> to_b_, to_a_;
  std::unique_ptr<Discriminator> judge_b_, judge_a_;
  ImagePool pool_b_, pool_a_;  // of pictures made into B, into A
};

}  // namespace

void cyclegan_preset(Config& c) {
  c.size = 256, c.load_size = 286;
  c.batch = 1, c.epochs = 200;
  c.lr_policy = "linear";
  c.get<ConvSettings>().norm = "instance";
  c.get<TranslationSettings>().netG = "resnet_9";
  c.get<AdversarialSettings>().gan_loss = "lsgan";
  c.get<PoolSettings>().pool = 50;
  c.get<CycleGanSettings>().lambda_identity = 0.5;
}

// Enlarging by resampling: a transposed convolution's checkerboard would be learnt from nobody.
void cyclegan_tuned(Config& c, bool cpu) {
  if (cpu) {
    c.size = 128, c.load_size = 143;
    c.get<ConvSettings>().ngf = 16, c.get<ConvSettings>().ndf = 32;
    c.get<TranslationSettings>().netG = "resnet_6";
  }
  c.get<UpSettings>().up = "resize";
  c.ema = 0.998, c.epochs = 50, c.least_steps = 4000;
}

void cyclegan_check(const Config& c) { check_translation_networks(c); }

std::unique_ptr<Model> make_cyclegan() { return std::make_unique<CycleGan>(); }

}  // namespace gan
