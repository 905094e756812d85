// `gan train`: gathers the settings (flag > environment > --config > the resumed run or the model's preset),
// and hands them to models/train.cpp.
#include "models/train.h"

#include <cmath>
#include <cstdlib>

#include "tools/commands.h"

namespace gan::tools {
namespace {

// Settings that say what the networks are: a run goes on with the ones it was begun with.
constexpr const char* kArchitecture[] = {
    "model", "size",       "channels",       "nz", "ngf",    "ndf", "norm", "netG",
    "netD",  "n-layers-d", "discriminators", "up", "dropout"};
constexpr const char* kLengths[] = {"steps", "epochs", "minutes"};

// Notes every setting that differs from `before` as coming from `origin`.
void note_changes(const Config& before, const Config& after, Origins& origins, const std::string& origin) {
  for_each_field(after, [&](const Field& field, const auto&) {
    if (get_field(before, field.name) != get_field(after, field.name)) origins[field.name] = origin;
  });
}

std::string from_environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

// What --config, the environment and the command line say, over `config`.
void apply_given(const Arguments& arguments, Config& config, Origins& origins) {
  if (const std::string file = arguments.text("config", from_environment("GAN_CONFIG")); !file.empty())
    read_toml_file(config, file, origins);
  read_environment(config, origins);
  apply_options(arguments, config, origins);
  if (!arguments.word(1).empty()) config.data = arguments.words[1], origins["data"] = "command line";
}

void check_same_model(const std::string& word, const std::string& model, const std::string& owner) {
  if (!word.empty() && !model.empty() && word != model)
    fail(Exit::usage, "{} is of model {}, the command line says {}", owner, model, word);
}

Config settings_of_new_run(const Arguments& arguments, Origins& origins) {
  // Which model decides the preset, so that is found first.
  Config given;
  Origins ignored;
  apply_given(arguments, given, ignored);
  check_same_model(arguments.word(0), given.model, "--config or GAN_MODEL");
  const std::string model = arguments.words.empty() ? given.model : arguments.words[0];
  if (model.empty()) {
    if (given.replay.empty()) fail(Exit::usage, "gan train: MODEL is missing; see `gan help train`");
  } else {
    find_model(model);
  }

  Config config;
  if (given.replay.empty()) {  // a replay file's settings are complete: no preset
    find_model(model).preset(config);
    note_changes(Config{}, config, origins, "preset");
  }
  const Config preset = config;
  apply_given(arguments, config, origins);
  config.model = model;
  origins["model"] = arguments.words.empty() ? "config" : "command line";
  if (!config.replay.empty()) return config;
  // A preset that loads larger than it crops keeps that ratio at other sizes.
  const bool load_size_given = origins.count("load-size") && origins["load-size"] != "preset";
  if (preset.load_size > 0 && !load_size_given)
    config.load_size = int(std::lround(double(preset.load_size) * config.size / preset.size));
  if (config.data == "builtin:comics" && !load_size_given && config.load_size > 256 && config.size <= 256)
    config.load_size = 256;  // faces are drawn no larger
  if (config.data.empty())
    fail(Exit::usage, "gan train {}: DATA is missing: a folder of pictures, or builtin:comics", model);
  return config;
}

Config settings_of_resumed_run(const Arguments& arguments, const std::string& run, Origins& origins) {
  Config earlier;
  RunFolder::open(run).read_config(earlier, origins);
  for (auto& [name, origin] : origins) origin = "run " + run;
  check_same_model(arguments.word(0), earlier.model, run);
  find_model(earlier.model);

  Config config = earlier;
  Origins given;
  apply_given(arguments, config, given);
  if (!config.replay.empty()) fail(Exit::usage, "--resume {}: a replay cannot be resumed; run it again", run);
  if (given.count("out") &&
      std::filesystem::weakly_canonical(config.out) != std::filesystem::weakly_canonical(run))
    fail(Exit::usage, "--resume {} goes on in that folder; leave out --out {}", run, config.out);
  if (given.count("init")) fail(Exit::usage, "--resume {} has weights of its own; leave out --init", run);
  const auto refuse = [&](const std::string& name) {
    fail(Exit::usage, "--resume {}: {} is {} in this run and cannot become {}: the networks would be others",
         run, name, get_field(earlier, name), get_field(config, name));
  };
  for (const char* name : kArchitecture)
    if (get_field(config, name) != get_field(earlier, name)) refuse(name);
  if ((config.ema > 0) != (earlier.ema > 0))
    refuse("ema");  // averaged weights are there from the start or never
  // A length given now replaces the run's.
  bool length_given = false;
  for (const char* name : kLengths) length_given |= given.count(name) != 0;
  if (length_given)
    for (const char* name : kLengths)
      if (!given.count(name)) set_field(config, name, "0", "--resume");
  for (const auto& [name, origin] : given) origins[name] = origin;
  config.resume = run;
  config.out = run;
  config.init.clear();
  return config;
}

int run(const Arguments& arguments) {
  Origins origins;
  const std::string resumed = arguments.text("resume", from_environment("GAN_RESUME"));
  const Config config = resumed.empty() ? settings_of_new_run(arguments, origins)
                                        : settings_of_resumed_run(arguments, resumed, origins);
  if (resumed.empty() && !config.resume.empty())
    fail(Exit::usage, "`resume` belongs on the command line (--resume {}), not in a settings file",
         config.resume);
  if (config.resume.empty() && !config.dry_run) RunFolder::check_out(config.out, config.force);
  return train(config, origins);
}

}  // namespace

Command describe_train() {
  Command command;
  command.name = "train";
  command.summary = "train a model on pictures";
  std::string models;
  for (const auto& entry : zoo()) models += fmt::format("{}{}", models.empty() ? "" : ", ", entry.name);
  command.words = {
      {"MODEL", "one of " + models + "; with --resume it may be left out", Word::Kind::model, false, {}},
      {"DATA",
       "folder of pictures (sub-folders welcome), of pairs for pix2pix (train/ with A and B side by side, or "
       "A/ and B/), or builtin:comics, drawn faces that need no files",
       Word::Kind::file,
       false,
       {}}};
  command.options = options_of_settings('t');
  for (size_t i = 0; i < command.options.size(); ++i)
    if (command.options[i].name == "init") {
      command.options.insert(command.options.begin() + i,
                             {"config", "length and output", "settings from this TOML file", "", "", false});
      break;
    }
  command.options.push_back(common_options()[0]);
  command.examples = {"gan train dcgan builtin:comics --size 32 --minutes 2",
                      "gan train dcgan photos/ --batch 32 --epochs 25 --out runs/faces",
                      "gan train pix2pix facades/ --direction BtoA",
                      "gan train pix2pix drawings/ --make-input sketch --size 128",
                      "gan train colorize photos/ --size 128 --batch 4",
                      "gan train --resume runs/faces --epochs 50"};
  command.notes =
      "Every option is also a key of the --config file (lr_policy for --lr-policy) and an environment "
      "variable "
      "(GAN_LR_POLICY). A flag wins over the environment, that over --config, that over the model's preset, "
      "which "
      "holds the paper's values; the brackets show what is left. --dry-run prints all values and where each "
      "came "
      "from. A switch can be turned off again with =false.";
  command.run = run;
  return command;
}

}  // namespace gan::tools
