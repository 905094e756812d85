// Restyle: a grey photo in, a picture in colour and in the style of another picture out. Two models in one, that of
// colorize and that of style, trained one after the other and then together:
//
//   colour   G, D         what colours a photo of this lightness has
//   style    decoder      how a photo in its own colours looks in a style
//   fused    all of them  the decoder gets what G has coloured, and G feels what becomes of its colours
//
//   G         lightness A (N,H,W,1) -> colour (N,H,W,2)
//   D         lightness and colour (N,H,W,3) -> logits: are these the photo's own colours? Only with
//             --lambda-adversarial
//   features  picture (N,H,W,3) -> levels, frozen
//   decoder   levels with the statistics of a style's -> picture (N,H,W,3)
//
// A trained model does all three: without a style it colours. G and D are named as colorize's, whose checkpoints can be
// the beginning (--init).
#include "models/tasks/restyle.h"

#include "engine/data/options.h"
#include "models/losses/adversarial.h"
#include "models/losses/pixel.h"
#include "models/networks/translation_networks.h"
#include "models/players/generated.h"
#include "models/players/judge.h"
#include "models/players/reference_style.h"
#include "models/tasks/colorize.h"

namespace gan {

namespace {

class Restyle : public Model {
 public:
  Restyle()
      : g_(add_network("G", {.averaged = true, .used = true, .weights_from = ""})),
        decoder_(add_network("decoder", {.averaged = true, .used = true, .weights_from = ""})),
        features_(add_features(true)),
        maker_(add_player("G", {&g_, &decoder_})),
        style_(features_, decoder_) {}

  // ---- use

  UseSpec use() const override {
    UseSpec spec = ReferenceStyle::use();
    spec.controls.push_back(saturation_control(config));
    spec.styleless = true;
    return spec;
  }
  int side_multiple() const override { return std::max(colourist_->side_multiple(), style_.side_multiple()); }

  // Coloured, then in the mix of styles if there is one.
  Tensor make(const Use& use) override {
    const Tensor l = rgb_to_lab(picture(use, "picture")).l;  // (N,H,W,1)
    const bool dropout = config.get<TranslationSettings>().dropout;
    const Tensor coloured =
        lab_to_rgb(l, affine(generated(g_, *colourist_, l, use, dropout), control(use, "saturation")));
    if (use.styles.empty()) return coloured;
    return style_.styled(coloured, use.styles, control(use, "alpha"));
  }

  Tensor seen(const Tensor& picture) const override { return without_colour(picture); }
  // Plain colouring: only there it is known what is right.
  std::vector<Trial> trials() const override {
    return {{.measure = "val", .input = given(), .target = "A", .controls = {}}};
  }

  // What is given, the style, the photo coloured, and that in the style.
  GridRow show(const std::map<std::string, Tensor>& example, const Use& use) override {
    Use one = use;
    one.pictures["picture"] = example.at(given());
    const Tensor coloured = make(one);
    const auto style = example.find("B");
    one.styles = {{.picture = style == example.end() ? coloured : style->second}};
    return {.cells = {seen(example.at(given())), one.styles[0].picture, coloured, make(one)}, .made = {2, 3}};
  }

  void describe(DeviceContext& context, int batch, const std::string& network,
                const LayerObserver& tell) override {
    NoGradient quiet(context);
    const StepInput in = planned_input(context, batch);
    const Tensor &l = in.tensors.at("A")[0], &colour = in.tensors.at("colour")[0];
    const Pass pass{.dropout = config.get<TranslationSettings>().dropout, .tell = tell};
    if (network == "G") (*colourist_)(g_.parameters, l, pass);
    else if (network == "D") (*critic_)(d_->parameters, concat_channels(l, colour), pass);
    else style_.describe(in.tensors.at("B")[0], network, tell);
  }

 protected:
  void declare() override {
    add_input({.name = "A", .kind = InputSpec::Kind::lightness, .of = given()});
    add_input({.name = "B", .of = "B"});
    add_input({.name = "colour", .kind = InputSpec::Kind::colour, .of = "A"});
    if (makes_inputs()) add_input({.name = "light", .kind = InputSpec::Kind::lightness, .of = "A"});
    colourist_ = make_generator(g_.parameters, config, 1, 2);
    if (config.get<StyleLossSettings>().lambda_adversarial > 0) {
      d_ = &add_network("D");
      critic_ = make_discriminator(d_->parameters, config, 3);
      judging_ = &add_player("D", {d_}, true);
    }
    style_.declare(config);
    const auto& stages = config.get<RestyleSettings>();
    if (stages.colour_steps > 0) {
      std::vector<std::string> trained = {"G"};
      if (d_) trained.push_back("D");
      add_stage({.name = "colour", .steps = stages.colour_steps, .trains = trained});
    }
    if (stages.style_steps > 0)
      add_stage({.name = "style", .steps = stages.style_steps, .trains = {"decoder"}});
    add_stage({.name = "fused", .trains = {}});
  }

  // The two networks that make pictures are one player: what the fused stage learns, they learn in one turn.
  void learn(Step& step) override {
    const std::string& stage = stages()[size_t(step.stage())].name;
    const bool colours = stage != "style", styles = stage != "colour";
    const auto& w = config.get<StyleLossSettings>();
    const auto& adversarial = config.get<AdversarialSettings>();
    const Tensor &l = step.input("A"), &colour = step.input("colour");
    Tensor coloured;  // (N,H,W,2)
    if (colours)
      coloured = (*colourist_)(g_.parameters, l, step.pass(config.get<TranslationSettings>().dropout));

    // The discriminator sees lightness with the colours that G gave it, then with its own.
    if (colours && d_) {
      Turn turn(step, *judging_);
      const auto fake = judge(*d_, *critic_, concat_channels(l, coloured.detach()));
      const auto real = judge(*d_, *critic_, concat_channels(l, colour));
      const LossValue loss = discriminator_loss(real, fake, adversarial, 0.5);
      step.report("loss_D", loss.loss);
      report_judgement(step, loss);
      turn.learn(loss.loss);
    }

    // Colours shall be taken for the photo's own, and be near them; the picture shall keep the photo's content and
    // have the style's statistics.
    Turn turn(step, maker_);
    Tensor sum;
    const auto count = [&](const Tensor& part) { sum = sum ? add(sum, part) : part; };
    if (colours) {
      const Tensor near =
          pixel_loss(coloured, colour, config.get<PixelLossSettings>().kind(), w.lambda_colour).loss;
      step.report("loss_colour", near);
      count(near);
      if (d_) {
        const Tensor taken =
            affine(generator_loss(judge(*d_, *critic_, concat_channels(l, coloured)), adversarial),
                   w.lambda_adversarial);
        step.report("loss_G_GAN", taken);
        count(taken);
      }
    }
    if (styles) {
      const Tensor photo =
          colours ? lab_to_rgb_by_parts(l, coloured) : lab_to_rgb(own_lightness(step), colour);
      const auto made = style_.attempt(photo, step.input("B"), step.pass());
      count(style_.loss(step, made, config));
    }
    step.report("loss_G", sum);
    turn.learn(sum);
  }

 private:
  // Which picture of an example is coloured: the photo, or what --make-input makes of it.
  bool makes_inputs() const { return config.get<MadeInputSettings>().on(); }
  const char* given() const { return makes_inputs() ? "made" : "A"; }
  const Tensor& own_lightness(const Step& step) const { return step.input(makes_inputs() ? "light" : "A"); }

  Network &g_, &decoder_, &features_;
  Network* d_ = nullptr;  // where --lambda-adversarial asks for it
  Player& maker_;
  Player* judging_ = nullptr;
  std::unique_ptr<Generator> colourist_;
  std::unique_ptr<Discriminator> critic_;
  ReferenceStyle style_;
};

}  // namespace

// There is no paper of all three: what those of the parts have, colorize's and style's.
void restyle_preset(Config& c) {
  c.size = 128, c.load_size = 192;
  c.batch = 4, c.epochs = 100, c.lr = 2e-4;
  c.get<ConvSettings>().norm = "instance";
  auto& w = c.get<StyleLossSettings>();
  w.lambda_colour = 100, w.lambda_content = 1, w.lambda_style = 10;
}

// Colours are learnt as colorize learns them.
void restyle_tuned(Config& c, bool cpu) {
  if (cpu) c.batch = 4, c.get<ConvSettings>().ngf = 16, c.get<ConvSettings>().ndf = 16;
  c.lr = 3e-4, c.weight_decay = 1e-4, c.ema = 0.998;
  c.get<ConvSettings>().norm = "none";
  c.get<ExposureSettings>().jitter_exposure = 0.5;
  c.get<PixelLossSettings>().pixel_loss = "l2";
  c.get<StyleSettings>().style_base = "recoloured";
  auto& w = c.get<StyleLossSettings>();
  w.lambda_adversarial = 0, w.lambda_colour = 100;
  c.epochs = 30, c.least_steps = 4000;
}

void restyle_check(const Config& c) {
  check_translation_networks(c);
  check_reference_style(c);
  if (c.get<StyleLossSettings>().lambda_colour <= 0)
    fail(Exit::usage, "restyle cannot learn colours without a weight for them: --lambda-colour {}",
         c.get<StyleLossSettings>().lambda_colour);
}

std::unique_ptr<Model> make_restyle() { return std::make_unique<Restyle>(); }

}  // namespace gan
