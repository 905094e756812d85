// `gan eval`: a trained model against pictures that it has not learnt from.
#include <algorithm>

#include "engine/data/layout.h"
#include "models/training/plan.h"
#include "tools/commands/scores.h"
#include "tools/commands/use_model.h"

namespace gan::tools {
namespace {

struct InputAndTarget {
  Image input, target;
};

// "facades: scoring the part test, pairs: 106; 1 other file passed over: txt 1".
std::string words_of(const std::string& data, const Listing::Part& part, const char* counted,
                     const Listing& listing) {
  const std::string which = part.name == "all" ? "all of it, for it has no parts" : "the part " + part.name;
  const std::string others = listing.passed_over.words();
  return fmt::format("{}: scoring {}, {}: {}{}{}", data, which, counted, part.examples.size(),
                     others.empty() ? "" : "; ", others);
}

int run(const Arguments& arguments) {
  const UseSettings settings = read_use_settings(arguments);
  const auto metrics = parse_metrics(arguments.text("metrics", ""));
  if (arguments.has("sheet")) PictureFormat::of(arguments.text("sheet", ""), "--sheet");  // before the work
  const int rows = int(arguments.number("rows", 4, 1, 100));
  const int64_t limit = arguments.number("n", 0, 0, 1'000'000'000);
  const bool full_size = arguments.is_on("full-size");
  const std::string& data = arguments.words[1];

  LoadedModel loaded = load_model(arguments.words[0], settings.call.device);
  Model& model = *loaded.model;
  DeviceContext& context = *loaded.context;
  const Translator translator = translator_of(model, context, use_of(settings, model));
  const Trial trial = trial_of(settings, model);
  TileChooser tiles(settings, loaded);

  // The pairs that the run learnt from, unless the call says otherwise.
  Config config = loaded.config;
  config.data = data;
  config.matte = settings.call.matte;
  for (const char* name : {"direction", "make-input"})
    if (arguments.has(name) && !(std::string(name) == "direction" && has_control(model, name)))
      set_setting(config, name, arguments.text(name, ""), std::string("--") + name);
  config.max_bad = settings.call.max_bad;
  DataOptions options = data_options(config);
  if (limit > 0) options.builtin_test = int(limit);
  const DataLayout& layout = find_layout(options);
  const Listing listing = layout.list(options);
  Listing::Part part = listing.part(arguments.text("part", ""), data);
  std::vector<ListedExample>& examples = part.examples;
  if (limit > 0 && int64_t(examples.size()) > limit) examples.resize(size_t(limit));
  const auto example = [&](size_t i) {
    const InputSeed seed{uint64_t(settings.call.seed), 0, i};
    const Reading reading = reading_of(options, full_size ? 0 : options.size, seed);
    const Example whole = read_example(layout, examples[i], options, reading);
    for (const std::string& wanted : {trial.input, trial.target})
      if (!whole.has(wanted))
        fail(Exit::bad_data, "{}: {} has no partner of the same name, so there is nothing to compare with",
             data, whole.name);
    return InputAndTarget{whole.at(trial.input), whole.at(trial.target)};
  };
  const auto translated = [&](const Image& input) {
    return translate_picture(translator, input, tiles.choose(input.height, input.width, true));
  };
  if (!settings.call.quiet) fmt::print(stderr, "{}\n", words_of(data, part, layout.counted, listing));
  std::vector<Score> scores;
  std::vector<size_t> scored;  // their examples
  LeftOut left_out(layout.counted, int64_t(examples.size()), options.max_bad);
  for (size_t i = 0; i < examples.size(); ++i) {
    InputAndTarget pair;
    if (!left_out.try_to([&] { pair = example(i); })) continue;
    scores.push_back({examples[i].name, measure(translated(pair.input), pair.target, metrics)});
    scored.push_back(i);
  }
  left_out.check(data);
  if (const std::string sheet = arguments.text("sheet", ""); !sheet.empty())
    write_sheet(sheet, scores, rows, [&](size_t i) {
      const InputAndTarget pair = example(scored[i]);
      return std::vector<Image>{seen_by(model, context, pair.input), translated(pair.input), pair.target};
    });
  print_scores(scores, settings.call.json, left_out, {{"part", part.name}});
  return int(Exit::ok);
}

}  // namespace

Command describe_eval() {
  Command command;
  command.name = "eval";
  command.summary = "measure a trained model on held-out pictures";
  command.words = {
      word_for_trained(),
      {"DATA",
       "folder as for training, or builtin:comics, builtin:abstract (pictures that no training saw)",
       Word::Kind::file,
       true,
       {}}};
  command.options = {
      {"part", "pictures", "which part of DATA; empty: test if there is one, else val, else all",
       "train|val|test", "", false},
      {"n", "pictures", "only the first so many; 0: all (of drawn sets 64)", "0..", "0", false},
      {"full-size", "pictures", "pictures at their own size instead of the training size", "", "", true}};
  for (auto& option : options_of_scores())
    if (option.name != "json" && option.name != "workers") command.options.push_back(option);
  for (auto& option : options_of_use()) command.options.push_back(option);
  for (auto& option : options_of_settings(kEval)) {
    if (option.name == "direction" || option.name == "make-input" || option.name == "norm-mode")
      option.fallback = "the run's";
    command.options.push_back(option);
  }
  command.options.push_back(common_options()[0]);
  command.examples = {
      "gan eval runs/00003-pix2pix-facades facades/",
      "gan eval runs/old-photos photos/val --sheet sheet.png --metrics psnr,ssim,colourfulness",
      "gan eval runs/denoise photos/ --make-input noise --full-size --json"};
  command.notes =
      "Pictures are scaled to the training size and cut square, as validation during training does it; "
      "--full-size leaves them as they are. Bad files are named and left out, as many as --max-bad allows. The "
      "measures are those of `gan compare`, of the output against "
      "the "
      "target. The sheet shows input, output and target, the best by the first measure on top, then the "
      "worst.";
  command.run = run;
  return command;
}

}  // namespace gan::tools
