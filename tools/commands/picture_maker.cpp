// The two kinds of makers.
#include "tools/commands/picture_maker.h"

#include <unistd.h>

#include <algorithm>

#include "engine/files/talk.h"
#include "models/networks/translation_networks.h"
#include "models/training/plan.h"
#include "models/use/published.h"

namespace gan::tools {
namespace {

class TrainedMaker : public PictureMaker {
 public:
  TrainedMaker(const std::string& run, const UseSettings& settings)
      : quiet_(settings.call.quiet),
        loaded_(load_model(run, settings.call.device)),
        translator_(translator_of(*loaded_.model, *loaded_.context, use_of(settings, *loaded_.model))),
        tiles_(settings, loaded_) {}

  std::string model() const override { return loaded_.config.model; }
  int64_t step() const override { return loaded_.step; }
  Device device() const override { return loaded_.context->device(); }
  int channels() const override { return translator_.channels; }
  DataOptions learnt_from() const override { return data_options(loaded_.config); }
  void plan(const Image& picture) override {
    options_ = tiles_.choose(picture.height, picture.width, quiet_);
  }
  size_t planned_bytes() const override { return tiles_.bytes(); }
  Image make(const Image& picture) override { return translate_picture(translator_, picture, options_); }

 private:
  bool quiet_;
  LoadedModel loaded_;
  Translator translator_;
  TileChooser tiles_;
  TileOptions options_;
};

// Half of the machine's memory, unless --memory-gb says otherwise: networks that normalise by a picture's statistics
// make other pictures of tiles.
size_t memory_for_whole_pictures(const UseSettings& settings) {
  const auto given = size_t(settings.memory_gb * double(1 << 30));
  if (settings.memory_given) return given;
  const auto pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
  return std::max(given, pages > 0 && page > 0 ? size_t(pages) * size_t(page) / 2 : 0);
}

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
          {"style", group, "adain: the picture whose style is taken", "", "", false},
          {"alpha", group, "adain: how much of the style, from 0 to 1", "0..1", "1", false},
          {"load-size", group, "side that pictures are scaled to first; 0: none", "0..8192", "the authors'",
           false},
          {"align-corners", group, "animegan2: how it enlarges inside", "", "on", true, true}};
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
