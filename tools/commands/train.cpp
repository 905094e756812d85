// `gan train`: gathers the settings (flag > environment > --config > the resumed run or the model's preset),
// and hands them to models/training/loop.cpp.
#include "models/training/loop.h"

#include <cmath>
#include <cstdlib>

#include "engine/data/drawn_sets.h"
#include "engine/files/stop.h"
#include "engine/files/talk.h"
#include "engine/run/runlog.h"
#include "models/tasks/zoo.h"
#include "tools/cli/commands.h"

namespace gan::tools {
namespace {

// Notes every setting that differs from its default as coming from `origin`.
void note_preset(const Config& config, Origins& origins) {
  for (const SettingGroup* group : config.groups())
    for (const AnySetting* setting : group->settings())
      if (setting->text() != setting->default_text()) origins[setting->name()] = "preset";
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

// Which model is meant decides what else may stand in a settings file, so that is found first.
std::string model_of(const Arguments& arguments) {
  std::string model = arguments.word(0), named = from_environment("GAN_MODEL");
  if (const std::string file = arguments.text("config", from_environment("GAN_CONFIG")); !file.empty()) {
    Config every = config_of_all_models();
    Origins ignored;
    read_toml_file(every, file, ignored);
    if (named.empty()) named = every.model;
  }
  check_same_model(model, named, "--config or GAN_MODEL");
  return model.empty() ? named : model;
}

// What is given, whatever the model: for what must be known before the model's own values are.
Config settings_of_call(const Arguments& arguments) {
  Config every = config_of_all_models();
  Origins ignored;
  apply_given(arguments, every, ignored);
  return every;
}

Config settings_of_new_run(const Arguments& arguments, Origins& origins) {
  const std::string model = model_of(arguments);
  const Config call = settings_of_call(arguments);
  if (!call.replay->empty()) {  // a replay file's settings are complete: no preset
    Config config = config_of_all_models();
    apply_given(arguments, config, origins);
    config.model = model;
    return config;
  }
  if (model.empty()) fail(Exit::usage, "gan train: MODEL is missing; see `gan help train`");
  Config config = config_of_preset(call.preset, model, choose_device(call.device).device,
                                   call.get<MadeInputSettings>().make_input);
  if (const DrawnSet* drawn = find_drawn_set(call.data); drawn && config.size < drawn->smallest)
    config.size = drawn->smallest, config.channels = 3;  // as they are drawn
  note_preset(config, origins);
  const Config preset = config;
  apply_given(arguments, config, origins);
  config.model = model;
  origins["model"] = arguments.words.empty() ? "config" : "command line";
  // A preset that loads larger than it crops keeps that ratio at other sizes.
  const bool load_size_given = origins.count("load-size") && origins["load-size"] != "preset";
  if (preset.load_size > 0 && !load_size_given)
    config.load_size = int(std::lround(double(preset.load_size) * config.size / preset.size));
  // And one that lets the two players learn at different rates keeps theirs when one rate is given.
  const bool rates_given = origins.count("lr-d") && origins["lr-d"] != "preset";
  if (preset.lr_d > 0 && !rates_given) config.lr_d = preset.lr_d * config.lr / preset.lr;
  const DrawnSet* drawn = find_drawn_set(config.data);
  if (drawn && !load_size_given && config.load_size > drawn->largest && config.size <= drawn->largest)
    config.load_size = drawn->largest;
  if (config.data->empty())
    fail(Exit::usage, "gan train {}: DATA is missing: a folder of pictures, or {}", model,
         names_of_drawn_sets());
  return config;
}

// The settings of a run that is there. One of an earlier version holds other models' settings too, at values
// that nobody chose: they are left without a word.
Config read_run_config(const std::string& run, Origins& origins) {
  const auto folder = RunFolder::open(run);
  Config first = config_of_all_models();
  folder.read_config(first, origins);
  if (first.model->empty()) fail(Exit::bad_data, "{}: config.toml names no model", run);
  Config config = neutral_config(first.model);
  origins = {};
  folder.read_config(config, origins);
  origins.passed_over.clear();
  for (auto& [name, origin] : origins) origin = "run " + run;
  return config;
}

// `word`: the run, or one of its checkpoints, to go on from.
Config settings_of_resumed_run(const Arguments& arguments, const std::string& word, Origins& origins) {
  const auto point = find_run_point(word);
  std::error_code ignored;
  if (!point && std::filesystem::exists(word, ignored))
    fail(Exit::bad_data,
         "--resume {}: no run, and no checkpoint in a run's checkpoints/; a new run starts from the "
         "weights of a checkpoint with --init {}",
         word, word);
  if (!point)
    fail(Exit::bad_data, "--resume {}: no such run folder or checkpoint{}", word, other_checkpoints(word));
  const std::string run = point->run.string();
  const Config earlier = read_run_config(run, origins);
  check_same_model(arguments.word(0), earlier.model, run);

  Config config = earlier;
  Origins given;
  apply_given(arguments, config, given);
  if (!config.replay->empty())
    fail(Exit::usage, "--resume {}: a replay cannot be resumed; run it again", run);
  if (given.count("out") &&
      std::filesystem::weakly_canonical(*config.out) != std::filesystem::weakly_canonical(run))
    fail(Exit::usage, "--resume {} goes on in that folder; leave out --out {}", run, config.out);
  if (given.count("init")) fail(Exit::usage, "--resume {} has weights of its own; leave out --init", run);
  const auto refuse = [&](const std::string& name) {
    fail(Exit::usage, "--resume {}: {} is {} in this run and cannot become {}: the networks would be others",
         run, name, get_setting(earlier, name), get_setting(config, name));
  };
  bool length_given = false;
  for (const SettingGroup* group : config.groups())
    for (const AnySetting* setting : group->settings()) {
      if (setting->is(kNetwork) && setting->text() != get_setting(earlier, setting->name()))
        refuse(setting->name());
      length_given |= setting->is(kLength) && given.count(setting->name()) != 0;
    }
  if ((config.ema > 0) != (earlier.ema > 0))
    refuse("ema");   // averaged weights are there from the start or never
  if (length_given)  // a length given now replaces the run's
    for (SettingGroup* group : config.groups())
      for (AnySetting* setting : group->settings())
        if (setting->is(kLength) && !given.count(setting->name())) setting->set("0", "--resume");
  for (const auto& [name, origin] : given) origins[name] = origin;
  origins.passed_over = given.passed_over;
  config.resume = word;
  config.out = run;
  config.init = "";
  return config;
}

int run_with(const Arguments& arguments) {
  Origins origins;
  const std::string resumed = arguments.text("resume", from_environment("GAN_RESUME"));
  const Config config = resumed.empty() ? settings_of_new_run(arguments, origins)
                                        : settings_of_resumed_run(arguments, resumed, origins);
  if (!origins.passed_over.empty() && !config.quiet)
    talk(fmt::format("passed over, settings that {} does not have: {}", config.model,
                     fmt::join(origins.passed_over, ", ")));
  if (resumed.empty() && !config.resume->empty())
    fail(Exit::usage, "`resume` belongs on the command line (--resume {}), not in a settings file",
         config.resume);
  // A file is read again and again, and its owner may have forgotten the line.
  if (config.force && origins["force"].starts_with("config"))
    fail(Exit::usage,
         "`force` belongs on the command line (--force), not in a settings file: it clears a run");
  if (config.resume->empty() && !config.dry_run) RunFolder::check_out(config.out, config.force);
  return train(config, origins);
}

int run(const Arguments& arguments) {
  const StopSignals signals;
  try {
    return run_with(arguments);
  } catch (const Stopped& stop) {
    talk("stopped by a signal before the first step; nothing was changed");
    return stop.exit_code();
  }
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
       "folders A and B, trainA and trainB, train/A and train/B, or x_A.png beside x_B.png), or drawn ones that need no files: builtin:comics (faces), builtin:abstract (paintings)",
       Word::Kind::file,
       false,
       {}}};
  command.options = options_of_settings(kTrain);
  for (size_t i = 0; i < command.options.size(); ++i)
    if (command.options[i].name == "init") {
      command.options.insert(command.options.begin() + i,
                             {"config", "length and output", "settings from this TOML file", "", "", false});
      break;
    }
  command.options.push_back(common_options()[0]);
  command.examples = {"gan train dcgan builtin:comics --size 32 --minutes 2",
                      "gan train dcgan builtin:abstract --minutes 30",
                      "gan train dcgan photos/ --batch 32 --epochs 25 --out runs/faces",
                      "gan train pix2pix facades/ --direction BtoA",
                      "gan train pix2pix drawings/ --make-input sketch --size 128",
                      "gan train colorize photos/ --size 128 --batch 4",
                      "gan train --resume runs/faces --epochs 50",
                      "gan train --resume runs/faces/checkpoints/best --steps 9000"};
  command.notes =
      "`gan help train MODEL` shows one model's options with its own defaults. "
      "Every option is also a key of the --config file (lr_policy for --lr-policy) and an environment variable "
      "(GAN_LR_POLICY). A flag wins over the environment, that over --config, that over the model's preset, which "
      "holds tuned values, or with --preset paper the paper's; the brackets show the tuned ones. --dry-run prints all values and where each came "
      "from. A switch can be turned off again with =false.";
  command.run = run;
  return command;
}

}  // namespace gan::tools
