// Options of a trained model's use.
#include "tools/commands/use_model.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>

#include "engine/files/talk.h"
#include "models/networks/translation_networks.h"
#include "models/tasks/colorize.h"

namespace gan::tools {

std::vector<Option> options_of_use() {
  return {
      {"tile", "pictures", "side of the tiles of large pictures; 0: as large as --memory-gb allows",
       "0..16384", "0", false},
      {"overlap", "pictures", "pixels that neighbouring tiles share; at most a quarter of a tile", "0..4096",
       "64", false},
      {"memory-gb", "pictures", "memory that a picture's way through the network may take", "0.1..1024", "1",
       false},
      {"dropout", "pictures",
       "use dropout as while learning, with masks by --seed: other results for other seeds", "", "", true}};
}

std::vector<Option> options_of_styles() {
  return {
      {"style", "style",
       "pictures whose style is taken, with their weights: a.png or a.png:0.7,b.png:0.3; none, of restyle: colour alone",
       "", "", false},
      {"region", "style",
       "a style for a part of the picture: MASK=PICTURE, white where it counts; several with commas", "", "",
       false},
      {"alpha", "style", "how much of the style, from 0 to 1", "0..1", "1", false},
      {"keep-colour", "style",
       "the colours of the picture stay, or those that restyle gives it; only its light and shade are drawn anew",
       "", "", true}};
}

namespace {

std::vector<std::string> parts_of(const std::string& text) {
  std::vector<std::string> parts;
  for (size_t from = 0; from <= text.size();) {
    const size_t comma = std::min(text.find(',', from), text.size());
    if (comma > from) parts.push_back(text.substr(from, comma - from));
    from = comma + 1;
  }
  return parts;
}

// FILE or FILE:WEIGHT. A name with a colon in it that is there is a name.
UseSettings::StylePicture style_picture(const std::string& text) {
  UseSettings::StylePicture style{.picture = text, .mask = {}};
  const size_t colon = text.rfind(':');
  std::error_code ignored;
  if (colon == text.npos || colon == 0 || std::filesystem::exists(text, ignored)) return style;
  const char *begin = text.data() + colon + 1, *end = text.data() + text.size();
  double weight = 0;
  const auto [stop, error] = std::from_chars(begin, end, weight);
  if (error != std::errc() || stop != end || !(weight > 0) || !std::isfinite(weight))
    fail(Exit::usage, "--style {}: the weight behind the colon must be a number above 0", text);
  style.picture = text.substr(0, colon);
  style.weight = weight;
  return style;
}

void read_styles(const Arguments& arguments, UseSettings& settings) {
  for (const std::string& part : parts_of(arguments.text("style", "")))
    settings.styles.push_back(style_picture(part));
  for (const std::string& part : parts_of(arguments.text("region", ""))) {
    const size_t equals = part.find('=');
    if (equals == part.npos || equals == 0 || equals + 1 == part.size())
      fail(Exit::usage, "--region {}: wants MASK=PICTURE, as face.png=portrait.jpg", part);
    UseSettings::StylePicture style = style_picture(part.substr(equals + 1));
    style.mask = part.substr(0, equals);
    settings.styles.push_back(style);
  }
  if (arguments.has("alpha")) settings.alpha = arguments.real("alpha", 1, 0, 1);
  settings.keep_colour = arguments.is_on("keep-colour");
}

}  // namespace

UseSettings read_use_settings(const Arguments& arguments) {
  UseSettings settings;
  Origins origins;
  read_environment(settings.call, origins);
  apply_options(arguments, settings.call, origins);
  settings.norm_mode_given = origins.count("norm-mode") != 0;
  if (origins.count("saturation")) settings.saturation = settings.call.get<ColouringSettings>().saturation;
  settings.saturation_typed = arguments.has("saturation");
  settings.dropout = arguments.is_on("dropout");
  settings.tile = int(arguments.number("tile", 0, 0, 16384));
  settings.overlap = int(arguments.number("overlap", 64, 0, 4096));
  settings.memory_gb = arguments.real("memory-gb", 1, 0.1, 1024);
  settings.memory_given = arguments.has("memory-gb");
  read_styles(arguments, settings);
  return settings;
}

bool has_control(const Model& model, const std::string& name) {
  const UseSpec spec = model.use();
  return std::any_of(spec.controls.begin(), spec.controls.end(),
                     [&](const Control& control) { return control.name == name; });
}

Use use_of(const UseSettings& settings, const Model& model) {
  Use use;
  const Config& run = model.config;
  if (run.has<TranslationSettings>()) {
    const Config& from = settings.norm_mode_given ? settings.call : run;
    use.statistics =
        *from.get<TranslationSettings>().norm_mode == "batch" ? Statistics::batch : Statistics::running;
  }
  use.dropout = settings.dropout;
  use.seed = uint64_t(settings.call.seed);
  if (has_control(model, "direction"))
    use.controls["direction"] = *settings.call.get<PairSettings>().direction == "BtoA" ? 1 : 0;
  if (settings.saturation) {
    if (has_control(model, "saturation")) use.controls["saturation"] = *settings.saturation;
    else if (settings.saturation_typed)
      fail(Exit::usage, "--saturation is for models that colour, {}; {} is none",
           fmt::join(catalogue().owners_of("saturation"), " and "), run.model);
  }
  return use;
}

Trial trial_of(const UseSettings& settings, const Model& model) {
  const std::vector<Trial> trials = model.trials();
  GAN_CHECK(!trials.empty());
  const Use use = use_of(settings, model);
  const auto wanted = use.controls.find("direction");
  for (const Trial& trial : trials) {
    const auto own = trial.controls.find("direction");
    const double direction = own == trial.controls.end() ? 0 : own->second;
    if (wanted == use.controls.end() || direction == wanted->second) return trial;
  }
  return trials[0];
}

TileChooser::TileChooser(const UseSettings& settings, const LoadedModel& loaded)
    : TileChooser(settings, plan_of(loaded.config), loaded.model->side_multiple(), loaded.context->device(),
                  size_t(settings.memory_gb * double(1 << 30))) {}

TileChooser::TileChooser(const UseSettings& settings, TranslatorPlan plan, int multiple, Device device,
                         size_t memory)
    : settings_(settings), plan_(std::move(plan)), multiple_(multiple), device_(device), memory_(memory) {
  const int tile = settings.tile;
  if (tile % multiple != 0)
    fail(Exit::usage, "--tile {}: this network takes multiples of {}; the nearest is {}", tile, multiple,
         std::max(1, (tile + multiple / 2) / multiple) * multiple);
  if (tile > 0 && settings.overlap > tile / 4)
    fail(Exit::usage, "--overlap {} is more than a quarter of --tile {}; use at most {}", settings.overlap,
         tile, tile / 4);
}

TileOptions TileChooser::choose(int height, int width, bool quiet) {
  const auto found = known_.find({height, width});
  if (found != known_.end()) {
    bytes_ = found->second.second;
    return found->second.first;
  }
  TileOptions options{settings_.tile, settings_.overlap};
  if (settings_.tile == 0) options = fit_tiles(plan_, device_, height, width, settings_.overlap, memory_);
  bytes_ = translation_bytes(plan_, device_, height, width, options);
  known_[{height, width}] = {options, bytes_};
  const size_t rows = tile_axis(height, multiple_, options).starts.size();
  const size_t columns = tile_axis(width, multiple_, options).starts.size();
  if (!quiet && rows * columns > 1)
    talk(fmt::format("{} x {} pixels in {} x {} tiles of {} with an overlap of {}, about {}", width, height,
                     columns, rows, options.tile, options.overlap, bytes_text(double(bytes_))));
  return options;
}

}  // namespace gan::tools
