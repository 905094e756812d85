// Comic: photos into drawings of a style, learnt from photos and pictures of the style that do not belong together.
// Its parts are those of AnimeGANv2 (Chen et al. 2020) and White-box Cartoonization (Wang & Yu 2020); each has a
// weight, and the presets are sets of weights.
//
//   G           photo A (N,H,W,C) -> drawing (N,H,W,C); with --teacher brushed it sees a grain (N,H,W,1) beside the photo,
//               out of which strokes of a brush come
//   D           drawing -> logits (N,h,w,1): is it of the style? Also shown, to be rejected: the style in grey, so
//               that colours count, and with soft edges, so that clear lines do
//   D_texture   the same of grey pictures: lines and hatching
//   D_surface   the same of pictures smoothed by a filter that keeps edges: areas and their colours
//   features    a frozen encoder: content is what it sees, style the Gram matrices of that
//
// The structure term pulls toward a teacher, the photo as drawn by rules (engine/data/style_examples.h): where photos
// and style have little in common, it says where lines belong. At the beginning G may learn content and structure alone.
#include "models/tasks/comic.h"

#include "engine/data/options.h"
#include "engine/tensor/picture_ops.h"
#include "kernels/shared/philox.h"
#include "models/losses/adversarial.h"
#include "models/losses/perceptual.h"
#include "models/networks/features.h"
#include "models/networks/translation_networks.h"
#include "models/players/generated.h"
#include "models/players/judge.h"
#include "models/tasks/zoo.h"

namespace gan {

namespace {

Tensor as_it_is(const Tensor& picture) { return picture; }
// What White-box's surface discriminator sees: radius and eps of its training code.
Tensor surface_of(const Tensor& picture) { return guided_filter(picture, picture, 5, 0.2); }

class Comic : public Model {
 public:
  Comic() : g_(add_network("G", {.averaged = true, .used = true, .weights_from = ""})) {}

  UseSpec use() const override { return {.pictures = {"picture"}, .controls = {}}; }
  Tensor make(const Use& use) override { return generate(picture(use, "picture"), use); }
  int side_multiple() const override { return generator_->side_multiple(); }

  // What is given, the drawing, and the photo as drawn by rules where it teaches.
  GridRow show(const std::map<std::string, Tensor>& example, const Use& use) override {
    const Tensor& given = example.at(makes_inputs() ? "made" : "A");
    GridRow row{.cells = {given, generate(given, use)}, .made = {1}};
    if (settings().lambda_structure > 0) row.cells.push_back(example.at("drawn"));
    return row;
  }

  void describe(DeviceContext& context, int batch, const std::string& network,
                const LayerObserver& tell) override {
    NoGradient quiet(context);
    const StepInput in = planned_input(context, batch);
    const Tensor &photo = in.tensors.at("A")[0], &style = in.tensors.at("B")[0];
    const Pass pass{.tell = tell};
    if (network == "G")
      (*generator_)(g_.parameters, has_grain() ? with_grain(photo, in.tensors.at("grain")[0]) : photo, pass);
    for (const Critic& critic : critics_)
      if (network == critic.network->name)
        (*critic.discriminator)(critic.network->parameters, critic.looks_at(style), pass);
    if (encoder_ && network == features_->name) (*encoder_)(features_->parameters, style, pass);
  }

 protected:
  void declare() override {
    const ComicSettings& s = settings();
    const StyleLossSettings& w = weights();
    add_input({.name = "A", .of = "A"});
    add_input({.name = "B", .of = "B"});
    if (makes_inputs()) add_input({.name = "made", .of = "made"});
    if (s.lambda_structure > 0) add_input({.name = "drawn", .of = "drawn"});
    if (rejects(s.d_soft)) add_input({.name = "soft", .of = "soft"});
    if (has_grain()) add_input({.name = "grain", .kind = InputSpec::Kind::grain, .of = "grain"});
    generator_ =
        make_generator(g_.parameters, config, config.channels + (has_grain() ? 1 : 0), config.channels);
    if (w.lambda_adversarial > 0) add_critic(add_network("D"), w.lambda_adversarial, "loss_G_GAN", as_it_is);
    if (s.lambda_texture > 0) add_critic(add_network("D_texture"), s.lambda_texture, "loss_G_texture", grey);
    if (s.lambda_surface > 0)
      add_critic(add_network("D_surface"), s.lambda_surface, "loss_G_surface", surface_of);
    if (w.lambda_content > 0 || w.lambda_style > 0) {
      features_ = &add_features(false);
      const std::string kind = feature_kind(config.get<FeatureSettings>().features);
      features_->held_as = kind;
      taps_ = usual_taps(kind);
      std::vector<std::string> taps = taps_.style;
      taps.insert(taps.end(), taps_.content.begin(), taps_.content.end());
      encoder_ = std::make_unique<FeatureNetwork>(features_->parameters, kind, taps);
    }
    std::vector<Network*> critics;
    for (const Critic& critic : critics_) critics.push_back(critic.network);
    generator_player_ = &add_player("G", {&g_});
    if (!critics.empty()) critics_player_ = &add_player("D", critics, true);
    if (s.content_steps > 0) add_stage({.name = "content", .steps = s.content_steps, .trains = {"G"}});
    add_stage({.name = "style", .trains = {}});
  }

  void learn(Step& step) override {
    const ComicSettings& s = settings();
    const StyleLossSettings& w = weights();
    const Tensor &photo = step.input("A"), &style = step.input("B");
    const bool content_alone = step.stage() + 1 < int(stages().size());
    const Tensor& seen = makes_inputs() ? step.input("made") : photo;
    const Tensor given = has_grain() ? with_grain(seen, step.input("grain")) : seen;
    const Tensor made = (*generator_)(g_.parameters, given, step.pass());  // (N,H,W,C)

    // The discriminators' turn: each learns to tell the style from what G makes of photos.
    if (critics_player_ && !content_alone) {
      Turn turn(step, *critics_player_);
      const Tensor shown = made.detach();
      Tensor sum;
      for (size_t i = 0; i < critics_.size(); ++i) {
        const Critic& critic = critics_[i];
        const auto fake = critic.judge(shown), real = critic.judge(style);
        const LossValue loss = discriminator_loss(real, fake, adversarial());
        if (i == 0) report_judgement(step, loss);
        sum = sum ? add(sum, loss.loss) : loss.loss;
      }
      const auto reject = [&](const char* name, double weight, const Tensor& picture) {
        const Tensor loss = rejection_loss(critics_[0].judge(picture), adversarial(), weight);
        step.report(name, loss);
        sum = add(sum, loss);
      };
      if (rejects(s.d_grey)) reject("loss_D_grey", s.d_grey, grey(style));
      if (rejects(s.d_soft)) reject("loss_D_smooth", s.d_soft, grey(step.input("soft")));
      step.report("loss_D", sum);
      turn.learn(sum);
    }

    // The generator's turn: it shall be taken for the style, keep the photo's content and colours, and draw clean
    // areas.
    {
      Turn turn(step, *generator_player_);
      Tensor sum;
      const auto count = [&](const char* name, double weight, const auto& loss) {
        if (weight <= 0) return;
        const Tensor part = loss();
        step.report(name, part);
        sum = sum ? add(sum, part) : part;
      };
      if (!content_alone) {
        for (const Critic& critic : critics_)
          count(critic.reported, critic.weight,
                [&] { return affine(generator_loss(critic.judge(made), adversarial()), critic.weight); });
        count("loss_style", w.lambda_style, [&] {
          return gram_loss(style_of(grey(made)), style_of(grey(style)), PixelLossKind::l1, w.lambda_style);
        });
      }
      count("loss_content", w.lambda_content, [&] {
        return content_loss(content_of(made), content_of(photo), PixelLossKind::l1, w.lambda_content);
      });
      count("loss_structure", s.lambda_structure, [&] {
        return pixel_loss(made, step.input("drawn"), PixelLossKind::l1, s.lambda_structure).loss;
      });
      count("loss_colour", w.lambda_colour, [&] { return colour_loss(made, photo, w.lambda_colour); });
      count("loss_tv", w.lambda_tv, [&] { return smoothness_loss(made, w.lambda_tv); });
      step.report("loss_G", sum);
      turn.learn(sum);
    }
  }

 private:
  // A discriminator, and what of a picture it looks at.
  struct Critic {
    Network* network;
    std::unique_ptr<Discriminator> discriminator;
    Tensor (*looks_at)(const Tensor& picture);
    double weight;         // in the generator's loss
    const char* reported;  // as which

    std::vector<Tensor> judge(const Tensor& picture) const {
      return gan::judge(*network, *discriminator, looks_at(picture));
    }
  };

  const StyleLossSettings& weights() const { return config.get<StyleLossSettings>(); }
  const ComicSettings& settings() const { return config.get<ComicSettings>(); }
  const AdversarialSettings& adversarial() const { return config.get<AdversarialSettings>(); }
  // Whether G gets what --make-input makes of the photo, which is still what its drawing is compared with.
  bool makes_inputs() const { return config.get<MadeInputSettings>().on(); }

  // What D alone is shown to be rejected, where there is a D.
  bool rejects(double weight) const { return weight > 0 && weights().lambda_adversarial > 0; }

  void add_critic(Network& network, double weight, const char* reported, Tensor (*looks_at)(const Tensor&)) {
    critics_.push_back({&network, make_discriminator(network.parameters, config, config.channels), looks_at,
                        weight, reported});
  }

  // What the encoder sees at its taps for style, for content.
  Features style_of(const Tensor& picture) const {
    return encoder_->at(taps_.style, features_->parameters, picture);
  }
  Features content_of(const Tensor& picture) const {
    return encoder_->at(taps_.content, features_->parameters, picture);
  }

  bool has_grain() const { return config.get<TeacherSettings>().has_grain(); }
  static Tensor with_grain(const Tensor& photo, const Tensor& grain) {
    return concat_channels(photo, grain);  // (N,H,W,C+1)
  }

  // Where its strokes lie is up to the use's seed.
  Tensor generate(const Tensor& photo, const Use& use) {
    if (!has_grain()) return generated(g_, *generator_, photo, use, false);
    NoGradient quiet(photo.context());
    const Tensor noise = random_normal(photo.context(), {photo.dim(0), photo.dim(1), photo.dim(2), 1},
                                       use.seed, uint32_t(RandomStream::grain), 0);
    // As the bytes of grain_of() are taken.
    return generated(g_, *generator_, with_grain(photo, affine(noise, 1.0 / 3)), use, false);
  }

  Network& g_;
  Network* features_ = nullptr;
  Player* generator_player_ = nullptr;
  Player* critics_player_ = nullptr;  // where one of the discriminators counts
  std::unique_ptr<Generator> generator_;
  std::vector<Critic> critics_;
  FeatureTaps taps_;
  std::unique_ptr<FeatureNetwork> encoder_;  // where content or style count
};

}  // namespace

void comic_preset(Config& c) {
  c.size = 128, c.load_size = 192;
  c.batch = 4, c.epochs = 100;
  c.get<ConvSettings>().norm = "none";
  c.get<ConvSettings>().ngf = 32, c.get<ConvSettings>().ndf = 32;
  c.get<TranslationSettings>().netG = "whitebox";
  c.get<SpectralSettings>().sn = "D";
  c.get<AdversarialSettings>().gan_loss = "lsgan";
  auto& s = c.get<ComicSettings>();
  auto& w = c.get<StyleLossSettings>();
  w.lambda_adversarial = 0.5, s.lambda_texture = 0.5, s.lambda_surface = 0.25;
  s.d_grey = 0.3, s.d_soft = 0.6;
  w.lambda_content = 20, w.lambda_style = 60, w.lambda_colour = 10, s.lambda_structure = 4, w.lambda_tv = 5;
  s.content_steps = 300;
}

// The generator learns the teacher at first, alone: from far away all other parts pull it elsewhere, and what it learns
// in minutes so would take hours. Then discriminators that weigh little bend it toward the style. It has no norm: fast
// rates are fine, with a short memory of squares for the moment when the discriminators come in. Gram matrices of random
// filters draw ripples beside edges, so they are left to what shall be abstract. Discriminators of half the width
// cost a quarter, and are most of a step.
void comic_tuned(Config& c, bool cpu) {
  if (cpu) {
    c.batch = 2;
    c.get<ConvSettings>().ngf = 16, c.get<ConvSettings>().ndf = 16;
  }
  c.load_size = 256;
  c.lr = 8e-4, c.lr_d = 2e-4, c.beta1 = 0.9, c.beta2 = 0.99, c.lr_policy = "linear";
  c.ema = 0.99, c.epochs = 10, c.least_steps = 20000;
  auto& s = c.get<ComicSettings>();
  auto& w = c.get<StyleLossSettings>();
  s.lambda_structure = 30, s.lambda_texture = 0.4, s.lambda_surface = 0.5;
  w.lambda_content = 0, w.lambda_colour = 0, w.lambda_style = 0, w.lambda_tv = 0;
  s.content_steps = 4000;
}

// Kinds of styles: what of the photo stays, and what of the style counts.
std::span<const NamedPreset> comic_presets() {
  static constexpr NamedPreset presets[] = {
      // Clean areas, soft lines, the photo's colours.
      {"anime",
       [](Config& c) {
         auto& s = c.get<ComicSettings>();
         auto& w = c.get<StyleLossSettings>();
         s.lambda_structure = 20, w.lambda_colour = 3, s.lambda_surface = 1;
       }},
      {"comic", [](Config&) {}},  // ink lines, flat areas
      // Strokes instead of lines. The teacher says where they run, and the grey discriminator what they look like. One of
      // colours would ask for the bright flecks of the style, which would lie on skies and faces as drops. Strokes that
      // turn with the picture take longer to learn than lines.
      {"paint",
       [](Config& c) {
         auto& s = c.get<ComicSettings>();
         c.get<TeacherSettings>().teacher = "brushed";
         s.content_steps = 8000, s.lambda_structure = 20;
         c.get<StyleLossSettings>().lambda_adversarial = 0, s.d_grey = 0, s.d_soft = 0;
         s.lambda_texture = 0.5, s.lambda_surface = 0.1;
       }},
      // The photo's composition stays, and the style's colours come in: flecks and all.
      {"abstract",
       [](Config& c) {
         auto& s = c.get<ComicSettings>();
         c.get<TeacherSettings>().teacher = "brushed";
         s.content_steps = 8000, s.lambda_structure = 10, s.d_soft = 0;
         s.lambda_texture = 1, s.lambda_surface = 0.7;
       }},
  };
  return presets;
}

void comic_check(const Config& c) {
  check_translation_networks(c);
  if (c.channels != 3)
    fail(Exit::usage, "comic learns from colour pictures: --channels 3, not {}", c.channels);
  if (c.get<TeacherSettings>().has_grain() && c.get<TranslationSettings>().netG == "animegan2")
    fail(
        Exit::usage,
        "--teacher brushed: strokes come out of a grain that the generator sees beside the photo, and --netG "
        "animegan2 sees colour pictures alone; take another --netG, or --teacher painted");
  const auto& s = c.get<ComicSettings>();
  const auto& w = c.get<StyleLossSettings>();
  if (w.lambda_adversarial + s.lambda_texture + s.lambda_surface + w.lambda_style <= 0)
    fail(
        Exit::usage,
        "nothing pulls toward the style: give one of --lambda-adversarial, --lambda-texture, --lambda-surface "
        "or --lambda-style a weight");
  if (const std::string& features = c.get<FeatureSettings>().features;
      !features.empty() && w.lambda_content + w.lambda_style <= 0)
    fail(Exit::usage,
         "--features {}: nothing would be compared there; give --lambda-style or --lambda-content a weight",
         features);
  if (s.content_steps > 0 && w.lambda_content + s.lambda_structure + w.lambda_colour <= 0)
    fail(
        Exit::usage,
        "--content-steps {} without a weight for content, structure or colour: nothing would be learnt in them",
        s.content_steps);
  if (const int side = c.size; side < 32)
    fail(Exit::usage, "comic looks at pictures of 32 pixels at least, not {}", side);
}

std::unique_ptr<Model> make_comic() { return std::make_unique<Comic>(); }

}  // namespace gan
