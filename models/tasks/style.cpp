// Style transfer by reference: the style is a picture that is given when the model is used. A frozen encoder looks at
// photo and style; at each of its levels the photo's features get the means and deviations of the style's, channel by
// channel (AdaIN, Huang and Belongie 2017), and a decoder makes a picture of that.
//
//   features  picture (N,H,W,3) -> levels (N,H,W,C0), (N,H/2,W/2,C1), ..., frozen
//   G         levels with the style's statistics -> picture (N,H,W,3)
//   D         picture -> logits: is it of the set of styles? Only with --lambda-adversarial
//
// The decoder sees fine levels too (--style-levels), where the paper's sees the coarsest alone: a small encoder keeps
// too little there to draw a photo from.
#include "models/tasks/style.h"

#include "engine/data/options.h"
#include "models/losses/adversarial.h"
#include "models/networks/translation_networks.h"
#include "models/players/judge.h"
#include "models/players/reference_style.h"

namespace gan {

namespace {

class StyleTransfer : public Model {
 public:
  StyleTransfer()
      : g_(add_network("G", {.averaged = true, .used = true, .weights_from = ""})),
        features_(add_features(true)),
        generator_player_(add_player("G", {&g_})),
        style_(features_, g_) {}

  UseSpec use() const override { return ReferenceStyle::use(); }
  int side_multiple() const override { return style_.side_multiple(); }

  Tensor make(const Use& use) override {
    if (use.styles.empty()) fail(Exit::usage, "{} needs a picture of a style: --style PICTURE", config.model);
    return style_.styled(picture(use, "picture"), use.styles, control(use, "alpha"));
  }

  // The photo, the style, and the photo in that style.
  GridRow show(const std::map<std::string, Tensor>& example, const Use& use) override {
    const Tensor& photo = example.at("A");
    const auto style = example.find("B");
    Use one = use;
    one.pictures["picture"] = photo;
    one.styles = {{.picture = style == example.end() ? photo : style->second}};
    return {.cells = {photo, one.styles[0].picture, make(one)}, .made = {2}};
  }

  void describe(DeviceContext& context, int batch, const std::string& network,
                const LayerObserver& tell) override {
    NoGradient quiet(context);
    const StepInput in = planned_input(context, batch);
    const Tensor &photo = in.tensors.at("A")[0], &style = in.tensors.at("B")[0];
    if (network == "D") (*judge_)(d_->parameters, style, {.tell = tell});
    else style_.describe(photo, network, tell);
  }

 protected:
  void declare() override {
    add_input({.name = "A", .of = "A"});
    add_input({.name = "B", .of = "B"});
    style_.declare(config);
    if (config.get<StyleLossSettings>().lambda_adversarial > 0) {
      d_ = &add_network("D");
      judge_ = make_discriminator(d_->parameters, config, config.channels);
      discriminator_player_ = &add_player("D", {d_}, true);
    }
  }

  void learn(Step& step) override {
    const auto& w = config.get<StyleLossSettings>();
    const auto& adversarial = config.get<AdversarialSettings>();
    const Tensor& style = step.input("B");
    const auto made = style_.attempt(step.input("A"), style, step.pass());

    if (d_) {
      Turn turn(step, *discriminator_player_);
      const auto fake = judge(*d_, *judge_, made.picture.detach()), real = judge(*d_, *judge_, style);
      const LossValue loss = discriminator_loss(real, fake, adversarial);
      step.report("loss_D", loss.loss);
      report_judgement(step, loss);
      turn.learn(loss.loss);
    }

    Turn turn(step, generator_player_);
    Tensor sum = style_.loss(step, made, config);
    if (d_) {
      const Tensor taken =
          affine(generator_loss(judge(*d_, *judge_, made.picture), adversarial), w.lambda_adversarial);
      step.report("loss_G_GAN", taken);
      sum = add(sum, taken);
    }
    step.report("loss_G", sum);
    turn.learn(sum);
  }

 private:
  Network &g_, &features_;
  Network* d_ = nullptr;  // where --lambda-adversarial asks for it
  Player& generator_player_;
  Player* discriminator_player_ = nullptr;
  std::unique_ptr<Discriminator> judge_;
  ReferenceStyle style_;
};

}  // namespace

void style_preset(Config& c) {
  c.size = 128, c.load_size = 192;
  c.batch = 4, c.epochs = 100, c.lr = 1e-4, c.beta1 = 0.9;
  c.get<ConvSettings>().norm = "none";
  c.get<SpectralSettings>().sn = "D";
  c.get<AdversarialSettings>().gan_loss = "lsgan";
  auto& w = c.get<StyleLossSettings>();
  w.lambda_adversarial = 0, w.lambda_content = 1, w.lambda_style = 10;
}

void style_tuned(Config& c, bool cpu) {
  if (cpu) c.batch = 2, c.get<ConvSettings>().ngf = 32, c.get<ConvSettings>().ndf = 32;
  c.lr = 5e-4, c.ema = 0.998, c.least_steps = 4000;
  c.get<StyleSettings>().style_base = "recoloured";
}

void style_check(const Config& c) {
  check_reference_style(c);
  if (c.get<StyleLossSettings>().lambda_adversarial > 0) check_discriminator(c);
}

std::unique_ptr<Model> make_style() { return std::make_unique<StyleTransfer>(); }

}  // namespace gan
