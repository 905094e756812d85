// The two kinds of makers.
#include "tools/commands/picture_maker.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "engine/files/talk.h"
#include "engine/run/machine.h"
#include "kernels/shared/colour.h"
#include "models/networks/translation_networks.h"
#include "models/training/plan.h"
#include "models/use/published.h"

namespace gan::tools {
namespace {

// A style picture as networks see it: at most kLargestStyle pixels a side, which is more than their statistics need,
// and at least kSmallestStyle, below which there is nothing to measure.
constexpr int kLargestStyle = 512, kSmallestStyle = 32;

Tensor style_tensor(DeviceContext& context, const std::string& file, const std::array<uint8_t, 3>& matte) {
  Image picture = read_image(file, {.channels = 3, .matte = matte});
  const int longer = std::max(picture.height, picture.width);
  double factor = std::min(1.0, double(kLargestStyle) / longer);
  factor = std::max(factor, double(kSmallestStyle) / std::min(picture.height, picture.width));
  // A line of pixels would become far too long the other way.
  const auto scaled = [&](int side) {
    return std::clamp(int(std::lround(side * factor)), kSmallestStyle, 4 * kLargestStyle);
  };
  picture = resize(picture, scaled(picture.height), scaled(picture.width), Filter::bicubic);
  return tensor_of(context, picture);
}

// The light and shade of `made` with the colours of `picture`: L of one, a and b of the other.
Image with_colours_of(const Image& picture, const Image& made) {
  Image result = made;
  const auto lab = [](const uint8_t* p) {
    return srgb_to_lab(Colour<float>{float(p[0]) / 255, float(p[1]) / 255, float(p[2]) / 255});
  };
  for (size_t i = 0; i < made.pixels.size(); i += 3) {
    const Colour<float> colours = lab(&picture.pixels[i]);
    const Colour<float> rgb = lab_to_srgb(Colour<float>{lab(&made.pixels[i]).x, colours.y, colours.z});
    const float channels[] = {rgb.x, rgb.y, rgb.z};
    for (size_t c = 0; c < 3; ++c)
      result.pixels[i + c] = uint8_t(std::lround(std::clamp(channels[c], 0.0f, 1.0f) * 255));
  }
  return result;
}

// Half of the machine's memory, unless --memory-gb says otherwise: networks that normalise by a picture's statistics
// make other pictures of tiles.
size_t memory_for_whole_pictures(const UseSettings& settings) {
  const auto given = size_t(settings.memory_gb * double(1 << 30));
  if (settings.memory_given) return given;
  return std::max(given, machine_memory() / 2);
}

class TrainedMaker : public PictureMaker {
 public:
  TrainedMaker(const std::string& run, const UseSettings& settings)
      : settings_(settings), loaded_(load_model(run, settings.call.device)), spec_(loaded_.model->use()) {
    const Use use = use_of(settings, *loaded_.model);
    if (spec_.styles) take_styles(use);
    else refuse_styles();
    if (translators_.empty())
      translators_.push_back({translator_of(*loaded_.model, *loaded_.context, use), {}, {}});
    const size_t memory =
        spec_.whole ? memory_for_whole_pictures(settings) : size_t(settings.memory_gb * double(1 << 30));
    tiles_.emplace(settings, plan_of(loaded_.config), loaded_.model->side_multiple(), device(), memory);
  }

  std::string model() const override { return loaded_.config.model; }
  int64_t step() const override { return loaded_.step; }
  Device device() const override { return loaded_.context->device(); }
  int channels() const override { return translators_[0].translator.channels; }
  DataOptions learnt_from() const override { return data_options(loaded_.config); }
  void plan(const Image& picture) override {
    options_ = tiles_->choose(picture.height, picture.width, settings_.call.quiet);
    if (spec_.whole && std::max(picture.height, picture.width) > options_.tile && !said_tiles_ &&
        !settings_.call.quiet) {
      talk(
          "each tile is normalised by its own statistics, so the picture differs from one made whole: see --memory-gb");
      said_tiles_ = true;
    }
  }
  size_t planned_bytes() const override { return tiles_->bytes(); }

  Image make(const Image& picture) override {
    Image result = picture;
    for (const Styled& styled : translators_) {
      const Image made = translate_picture(styled.translator, picture, options_);
      if (styled.mask.pixels.empty()) result = made;
      else blend(result, made, styled);
    }
    if (!settings_.keep_colour) return result;
    // Those of the picture, or of what the model colours it with.
    return with_colours_of(plain_ ? translate_picture(*plain_, picture, options_) : picture, result);
  }

 private:
  // A way of making the whole picture, and where it counts.
  struct Styled {
    Translator translator;
    Image mask;  // 1 channel, white where it counts; none: everywhere
    std::string file;
  };

  static constexpr const char* kNoStyle = "none";

  void refuse_styles() const {
    if (settings_.styles.empty() && !settings_.alpha && !settings_.keep_colour) return;
    const char* option = !settings_.styles.empty() ? "style" : settings_.alpha ? "alpha" : "keep-colour";
    if (!settings_.styles.empty() && !settings_.styles[0].mask.empty()) option = "region";
    fail(Exit::usage, "--{} belongs to models that take a style when they are used; this one is a {}", option,
         model());
  }

  // Whether the whole picture shall have no style: --style none. Exit::usage where it cannot be so.
  bool wants_no_style() const {
    int whole = 0, none = 0, regions = 0;
    for (const auto& style : settings_.styles) {
      if (!style.mask.empty()) ++regions;
      else ++whole, none += style.picture == kNoStyle;
    }
    if (none == 0) return false;
    if (!spec_.styleless)
      fail(
          Exit::usage,
          "--style none is for models that make a picture without a style too; {} needs one: --style PICTURE",
          model());
    if (whole > 1) fail(Exit::usage, "--style none stands alone: there is nothing to mix with other styles");
    const char* option = settings_.alpha ? "alpha" : "keep-colour";
    if (regions == 0 && (settings_.alpha || settings_.keep_colour))
      fail(Exit::usage, "--{} is about a style, and with --style none there is none", option);
    return true;
  }

  // All styles for the whole picture are one mix; each region has a style of its own.
  void take_styles(Use use) {
    if (settings_.styles.empty())
      fail(Exit::usage, "{} needs a picture of a style: --style PICTURE, or --region MASK=PICTURE{}", model(),
           spec_.styleless ? ", or --style none for colour alone" : "");
    const bool no_style = wants_no_style();
    if (spec_.styleless && settings_.keep_colour)
      plain_ = translator_of(*loaded_.model, *loaded_.context, use);
    if (no_style) translators_.push_back({translator_of(*loaded_.model, *loaded_.context, use), {}, {}});
    if (settings_.alpha) use.controls["alpha"] = *settings_.alpha;
    const auto matte = parse_colour(settings_.call.matte);
    Use whole = use;
    for (const auto& style : settings_.styles)
      if (style.mask.empty() && !no_style)
        whole.styles.push_back({style_tensor(*loaded_.context, style.picture, matte), style.weight});
    if (!whole.styles.empty())
      translators_.push_back({translator_of(*loaded_.model, *loaded_.context, whole), {}, {}});
    for (const auto& style : settings_.styles) {
      if (style.mask.empty()) continue;
      Use part = use;
      part.styles = {{style_tensor(*loaded_.context, style.picture, matte), 1}};
      translators_.push_back({translator_of(*loaded_.model, *loaded_.context, part),
                              read_image(style.mask, {.channels = 1, .matte = {0, 0, 0}}), style.mask});
    }
  }

  // A mask fits pictures of its shape, at any size.
  static void blend(Image& into, const Image& made, const Styled& styled) {
    const double shape = double(styled.mask.width) / styled.mask.height,
                 wanted = double(into.width) / into.height;
    if (std::abs(std::log(shape / wanted)) > 0.02)
      fail(Exit::bad_data, "{}: {} x {} pixels is no mask for a picture of {} x {}; it needs the same shape",
           styled.file, styled.mask.width, styled.mask.height, into.width, into.height);
    const Image mask = resize(styled.mask, into.height, into.width, Filter::bilinear);
    for (size_t i = 0; i < into.pixels.size(); ++i) {
      const int part = mask.pixels[i / size_t(into.channels)];
      into.pixels[i] = uint8_t((into.pixels[i] * (255 - part) + made.pixels[i] * part + 127) / 255);
    }
  }

  const UseSettings& settings_;
  LoadedModel loaded_;
  UseSpec spec_;
  std::vector<Styled> translators_;
  std::optional<Translator> plain_;  // without a style, where its colours are kept
  std::optional<TileChooser> tiles_;
  TileOptions options_;
  bool said_tiles_ = false;
};

class PublishedMaker : public PictureMaker {
 public:
  PublishedMaker(const Arguments& arguments, const UseSettings& settings)
      : settings_(settings),
        model_(arguments.words[0], arguments.text("as", ""), settings.call.device,
               arguments.text("features", ""), arguments.text("style", ""), use_of_call(arguments, settings)),
        translator_(model_.translator()),
        tiles_(settings, model_.plan(), translator_.multiple, device(), memory_for_whole_pictures(settings)) {
    if (arguments.has("alpha") && !model_.form().has_style)
      fail(Exit::usage, "--alpha belongs to adain; {} has no such setting", model());
    say(fmt::format("{}: {} ({})", arguments.words[0], model_.form().name, model_.form().source));
  }

  std::string model() const override { return model_.form().name; }
  Device device() const override { return model_.context().device(); }
  int channels() const override { return translator_.channels; }
  DataOptions learnt_from() const override {
    DataOptions options;
    options.size = 256;
    options.b_to_a = *settings_.call.get<PairSettings>().direction == "BtoA";
    return options;
  }

  void plan(const Image& picture) override {
    prepared_ = model_.prepare(picture);
    const int height = prepared_.height, width = prepared_.width;
    options_ = tiles_.choose(height, width, settings_.call.quiet);
    whole_ = model_.takes_any_size() && std::max(height, width) <= options_.tile;
    if (model_.takes_any_size() && !whole_ && !said_tiles_) {
      say("each tile is normalised by its own statistics, so the picture differs from one made whole: see --memory-gb");
      said_tiles_ = true;
    }
  }
  size_t planned_bytes() const override { return tiles_.bytes(); }
  Image make(const Image& picture) override {
    Image made = whole_ ? translate_whole(translator_, prepared_)
                        : translate_picture(translator_, prepared_, options_);
    if ((made.height != picture.height || made.width != picture.width) && !said_size_) {
      say(fmt::format("{} x {} pixels become {} x {}, as with the authors' program: `gan help weights`",
                      picture.width, picture.height, made.width, made.height));
      said_size_ = true;
    }
    return made;
  }

 private:
  static PublishedUse use_of_call(const Arguments& arguments, const UseSettings& settings) {
    PublishedUse use;
    if (arguments.has("load-size")) use.load_size = int(arguments.number("load-size", 0, 0, 8192));
    if (settings.norm_mode_given && *settings.call.get<TranslationSettings>().norm_mode == "running")
      use.statistics = Statistics::running;
    use.dropout = settings.dropout;
    use.seed = uint64_t(settings.call.seed);
    if (arguments.has("align-corners")) use.align_corners = arguments.is_on("align-corners");
    use.alpha = arguments.real("alpha", 1, 0, 1);
    return use;
  }
  void say(const std::string& text) const {
    if (!settings_.call.quiet) talk(text);
  }

  const UseSettings& settings_;
  PublishedModel model_;
  Translator translator_;
  TileChooser tiles_;
  Image prepared_;
  TileOptions options_;
  bool whole_ = false, said_tiles_ = false, said_size_ = false;
};

}  // namespace

std::vector<Option> options_of_published() {
  std::string names;
  for (const PublishedForm& form : published_forms())
    names += (names.empty() ? "" : "|") + std::string(form.name);
  const char* group = "published weights";
  return {{"as", group, "whose network it is; without, the names of the tensors say so", names, "", false},
          {"features", group, "adain: the file of its feature network", "", "", false},
          {"load-size", group, "side that pictures are scaled to first; 0: none", "0..8192", "the authors'",
           false},
          {"align-corners", group, "animegan2: enlarges inside as face2paint does, not as test.py", "", "",
           true, true}};
}

std::unique_ptr<PictureMaker> make_maker(const Arguments& arguments, const UseSettings& settings) {
  const std::string& word = arguments.words[0];
  if (arguments.has("as") || is_published_file(word))
    return std::make_unique<PublishedMaker>(arguments, settings);
  for (const Option& option : options_of_published())
    if (arguments.has(option.name))
      fail(Exit::usage, "--{} belongs to weights as their authors publish them; {} is no such file",
           option.name, word);
  return std::make_unique<TrainedMaker>(word, settings);
}

}  // namespace gan::tools
