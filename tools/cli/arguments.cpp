// From what the user wrote to Arguments: the parser (CLI11), the options that are settings, and the words for
// what is wrong.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>

#include "engine/settings/words.h"
#include "kernels/contract/check.h"
#include "models/tasks/zoo.h"
#include "tools/cli/commands.h"

namespace gan::tools {

bool Arguments::is_on(const std::string& name) const {
  const auto found = options.find(name);
  return found != options.end() && found->second != "false";
}

std::string Arguments::text(const std::string& name, const std::string& fallback) const {
  const auto found = options.find(name);
  return found == options.end() ? fallback : found->second;
}

int64_t Arguments::number(const std::string& name, int64_t fallback, int64_t low, int64_t high) const {
  const auto found = options.find(name);
  if (found == options.end()) return fallback;
  const std::string& text = found->second;
  int64_t value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || stop != text.data() + text.size() || value < low || value > high)
    fail(Exit::usage, "--{} must be a whole number from {} to {}, not \"{}\"", name, low, high, text);
  return value;
}

double Arguments::real(const std::string& name, double fallback, double low, double high) const {
  const auto found = options.find(name);
  if (found == options.end()) return fallback;
  const std::string& text = found->second;
  double value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || stop != text.data() + text.size() || !(value >= low && value <= high))
    fail(Exit::usage, "--{} must be a number from {} to {}, not \"{}\"", name, low, high, text);
  return value;
}

std::vector<Option> options_of_settings(SettingFlags command, const std::string& model) {
  std::vector<Option> options;
  const Config config = model.empty() ? config_of_all_models() : tuned_config(model, Device::cpu);
  for (const SettingGroup* group : config.groups())
    for (const AnySetting* setting : group->settings()) {
      if (!setting->is(command)) continue;
      const bool is_switch = setting->is_switch();
      options.push_back({setting->name(), group->heading(), setting->info().help, setting->info().values,
                         is_switch ? (setting->text() == "true" ? "on" : "") : setting->text(), is_switch,
                         // A preset or a file may switch it on.
                         is_switch && std::string_view(setting->name()) == "dropout"});
    }
  return options;
}

std::vector<Option> common_options() {
  return {{"help", "other", "this text", "", "", true},
          {"verbose", "other", "say more about failures on stderr", "", "", true}};
}

Word word_for_trained() {
  return {"RUN|CKPT",
          "folder of a run (its latest checkpoint), RUN/checkpoints/best, or a checkpoint file",
          Word::Kind::file,
          true,
          {}};
}

void apply_options(const Arguments& arguments, Config& config, Origins& origins) {
  const Config every = config_of_all_models();
  for (const auto& [name, text] : arguments.options)
    if (every.find(name)) {
      set_setting(config, name, text, "--" + name);
      origins[name] = "command line";
    }
}

namespace {

std::string nearest_option(const Command& command, const std::string& text) {
  const std::string name =
      text.substr(text.find_first_not_of('-'), text.find('=') - text.find_first_not_of('-'));
  std::vector<std::string> names;
  for (const auto& option : command.options) names.push_back(option.name);
  const std::string meant = our_word_for(name);
  if (std::find(names.begin(), names.end(), meant.substr(0, meant.find(' '))) != names.end()) return meant;
  return nearest_word(names, name, std::max<int>(2, int(name.size()) / 3));
}

}  // namespace

Arguments parse_arguments(const Command& command, const std::vector<std::string>& texts) {
  CLI::App app;
  app.set_help_flag();
  app.allow_extras();  // unknown words come back to us, for a better message
  std::map<std::string, std::string> values;
  for (const auto& option : command.options) {
    std::string names = (option.name == "help" ? "-h,--" : "--") + option.name;
    if (option.negatable) names += ",!--no-" + option.name;
    auto* added = option.is_switch ? app.add_flag(names, values[option.name])
                                   : app.add_option(names, values[option.name]);
    added->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  }
  const std::string hint = fmt::format("; see `gan help {}`", command.name);
  try {
    app.parse(std::vector<std::string>(texts.rbegin(), texts.rend()));  // CLI11 takes them last first
  } catch (const CLI::ParseError& error) {
    fail(Exit::usage, "gan {}: {}{}", command.name, error.what(), hint);
  }

  Arguments arguments;
  bool only_words = false;
  for (const auto& text : app.remaining()) {
    if (text == "--" && !only_words) only_words = true;
    else if (text.size() > 1 && text[0] == '-' && !only_words) {
      const std::string near = nearest_option(command, text);
      fail(Exit::usage, "gan {}: there is no option {}{}{}", command.name, text.substr(0, text.find('=')),
           near.empty() ? "" : fmt::format("; did you mean --{}?", near), near.empty() ? hint : "");
    } else arguments.words.push_back(text);
  }
  for (const auto& option : command.options)
    if (app.count("--" + option.name)) {
      std::string& value = values[option.name];
      if (option.is_switch && value != "true" && value != "false")
        fail(Exit::usage, "--{} is a switch: it takes no value, or true or false, not \"{}\"", option.name,
             value);
      arguments.options[option.name] = value;
    }
  if (arguments.is_on("help")) return arguments;
  size_t required = 0;
  for (const auto& word : command.words) required += word.required;
  if (arguments.words.size() < required)
    fail(Exit::usage, "gan {}: {} is missing{}", command.name, command.words[arguments.words.size()].name,
         hint);
  const bool repeats = !command.words.empty() && command.words.back().repeats;
  if (arguments.words.size() > command.words.size() && !repeats)
    fail(Exit::usage, "gan {}: one word too many: \"{}\"{}", command.name,
         arguments.words[command.words.size()], hint);
  for (size_t i = 0; i < arguments.words.size(); ++i) {
    const Word& word = command.words[std::min(i, command.words.size() - 1)];
    if (word.kind != Word::Kind::choice) continue;
    const std::string& given = arguments.words[i];
    if (std::find(word.choices.begin(), word.choices.end(), given) != word.choices.end()) continue;
    const std::string nearest = nearest_word(word.choices, given, 2);
    fail(Exit::usage, "gan {}: {} cannot be \"{}\"; {}", command.name, word.name, given,
         nearest.empty() ? fmt::format("it is one of {}", fmt::join(word.choices, ", "))
                         : fmt::format("did you mean {}?", nearest));
  }
  return arguments;
}

}  // namespace gan::tools
