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
#include "models/losses/perceptual.h"
#include "models/networks/features.h"
#include "models/networks/style_decoder.h"
#include "models/networks/translation_networks.h"
#include "models/players/judge.h"

namespace gan {

namespace {

class StyleTransfer : public Model {
 public:
  StyleTransfer()
      : g_(add_network("G", {.averaged = true, .used = true, .weights_from = ""})),
        features_(add_network(
            "features",
            {.averaged = false, .used = true, .weights_from = "features", .built_in = fill_filters})),
        generator_player_(add_player("G", {&g_})) {}

  UseSpec use() const override {
    return {.pictures = {"picture"},
            .controls = {{.name = "alpha",
                          .help = "how much of the style: 0 none, 1 all",
                          .value = 1,
                          .low = 0,
                          .high = 1}},
            .styles = true,
            .whole = true};
  }
  int side_multiple() const override { return 1 << (int(levels_) - 1); }

  // Several styles are mixed by their weights; where there are masks, by those too.
  Tensor make(const Use& use) override {
    const Tensor& photo = picture(use, "picture");
    NoGradient quiet(photo.context());
    UseAverage averaged(g_.parameters);
    if (use.styles.empty()) fail(Exit::usage, "{} needs a picture of a style: --style PICTURE", config.model);
    const Features own = see(photo);
    Features mixed;
    double sum = 0;
    for (const Use::Style& style : use.styles) sum += style.weight;
    for (const Use::Style& style : use.styles) {
      const Features styled = with_style(own, see(style.picture));
      const double alpha = control(use, "alpha");
      for (size_t k = 0; k < own.size(); ++k) {
        Tensor level = alpha < 1 ? add(affine(styled[k], alpha), affine(own[k], 1 - alpha)) : styled[k];
        level = affine(level, style.weight / sum);
        if (mixed.size() <= k) mixed.push_back(level);
        else mixed[k] = add(mixed[k], level);
      }
    }
    return decoder_->operator()(g_.parameters, mixed, {});
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
    const Pass pass{.tell = tell};
    if (network == "G") (*decoder_)(g_.parameters, see(photo), pass);
    if (network == "features") (*encoder_)(features_.parameters, photo, pass);
    if (network == "D") (*judge_)(d_->parameters, style, pass);
  }

 protected:
  void declare() override {
    add_input({.name = "A", .of = "A"});
    add_input({.name = "B", .of = "B"});
    const std::string kind = feature_kind(config.get<FeatureSettings>().features);
    const std::vector<std::string> taps = usual_taps(kind).style;
    levels_ = taps.size();
    encoder_ = std::make_unique<FeatureNetwork>(features_.parameters, kind, taps);
    decoder_ = std::make_unique<StyleDecoder>(
        g_.parameters, StyleDecoderOptions{.channels = encoder_->channels(),
                                           .width = config.get<ConvSettings>().ngf,
                                           .levels = config.get<StyleSettings>().style_levels});
    if (config.get<StyleLossSettings>().lambda_adversarial > 0) {
      d_ = &add_network("D");
      judge_ = make_discriminator(d_->parameters, config, config.channels);
      discriminator_player_ = &add_player("D", {d_}, true);
    }
  }

  void learn(Step& step) override {
    const auto& w = config.get<StyleLossSettings>();
    const auto& adversarial = config.get<AdversarialSettings>();
    const Tensor &photo = step.input("A"), &style = step.input("B");
    const Features of_photo = see(photo), of_style = see(style);
    const Features wanted = with_style(of_photo, of_style);
    const Tensor made = (*decoder_)(g_.parameters, wanted, step.pass());  // (N,H,W,3)

    if (d_) {
      Turn turn(step, *discriminator_player_);
      const auto fake = judge(*d_, *judge_, made.detach()), real = judge(*d_, *judge_, style);
      const LossValue loss = discriminator_loss(real, fake, adversarial);
      step.report("loss_D", loss.loss);
      step.report("loss_D_real", loss.values.view(0, {1}));
      step.report("loss_D_fake", loss.values.view(1, {1}));
      step.report("D_real", loss.values.view(2, {1}));
      step.report("D_fake", loss.values.view(3, {1}));
      turn.learn(loss.loss);
    }

    Turn turn(step, generator_player_);
    Tensor sum;
    const auto count = [&](const char* name, const Tensor& part) {
      step.report(name, part);
      sum = sum ? add(sum, part) : part;
    };
    const Features of_made = see(made);
    if (d_)
      count("loss_G_GAN",
            affine(generator_loss(judge(*d_, *judge_, made), adversarial), w.lambda_adversarial));
    count("loss_content",
          content_loss({of_made.back()}, {wanted.back()}, PixelLossKind::l2, w.lambda_content));
    count("loss_style", statistics_loss(of_made, of_style, w.lambda_style));
    if (const double same = config.get<StyleSettings>().lambda_same; same > 0) {
      const Tensor again = (*decoder_)(g_.parameters, of_photo, step.pass());
      count("loss_same", pixel_loss(again, photo, PixelLossKind::l1, same).loss);
    }
    if (w.lambda_tv > 0) count("loss_tv", smoothness_loss(made, w.lambda_tv));
    step.report("loss_G", sum);
    turn.learn(sum);
  }

 private:
  Features see(const Tensor& picture) const { return (*encoder_)(features_.parameters, picture); }

  // Each level of a photo with the statistics of a style's.
  static Features with_style(const Features& photo, const Features& style) {
    Features styled;
    for (size_t k = 0; k < photo.size(); ++k) styled.push_back(adain(photo[k], style[k]));
    return styled;
  }

  Network &g_, &features_;
  Network* d_ = nullptr;  // where --lambda-adversarial asks for it
  Player& generator_player_;
  Player* discriminator_player_ = nullptr;
  std::unique_ptr<FeatureNetwork> encoder_;
  std::unique_ptr<StyleDecoder> decoder_;
  std::unique_ptr<Discriminator> judge_;
  size_t levels_ = 0;
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
}

void style_check(const Config& c) {
  check_translation_networks(c);
  if (c.channels != 3)
    fail(Exit::usage, "style learns from colour pictures: --channels 3, not {}", c.channels);
  const auto& w = c.get<StyleLossSettings>();
  if (w.lambda_style <= 0 || w.lambda_content <= 0)
    fail(Exit::usage, "style needs a weight for both: --lambda-content {} --lambda-style {}",
         w.lambda_content, w.lambda_style);
  if (c.size < 32) fail(Exit::usage, "style looks at pictures of 32 pixels at least, not {}", c.size);
}

std::unique_ptr<Model> make_style() { return std::make_unique<StyleTransfer>(); }

}  // namespace gan
