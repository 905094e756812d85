// The commands of `gan` and how their words and options are described. One table (commands()) drives the
// parser, --help and shell completion: a new command is one file with its describe function and one row in
// gan.cpp, where that function is declared.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "engine/settings/config.h"
#include "tools/cli/table.h"

namespace gan::tools {

struct Option {
  std::string name;   // without dashes: "lr-policy"
  std::string group;  // a heading of --help
  std::string help;
  std::string values;    // "a|b|c", "low..high" (either end may be missing), or ""
  std::string fallback;  // the default as text; empty: none
  bool is_switch = false;
  bool negatable = false;  // a switch that --no-NAME switches off
};

// A word that is no option. What it names is for completion: one of the zoo's models, a file, or a choice.
struct Word {
  enum class Kind { model, file, model_or_file, choice };
  std::string name;  // as in the usage line: "MODEL"
  std::string help;
  Kind kind;
  bool required;
  std::vector<std::string> choices;  // of Kind::choice
  bool repeats = false;              // the last word only: any number of them
};

// What the user wrote.
struct Arguments {
  std::vector<std::string> words;
  std::map<std::string, std::string> options;  // the given ones, by name; a switch is "true"

  bool has(const std::string& name) const { return options.count(name) != 0; }
  bool is_on(const std::string& name) const;  // a switch
  std::string text(const std::string& name, const std::string& fallback) const;
  // Throws Exit::usage unless it is a whole number from `low` to `high`.
  int64_t number(const std::string& name, int64_t fallback, int64_t low, int64_t high) const;
  double real(const std::string& name, double fallback, double low, double high) const;
  std::string word(size_t i) const { return i < words.size() ? words[i] : ""; }
};

struct Command {
  std::string name, summary;
  std::vector<Word> words;
  std::vector<Option> options;
  std::vector<std::string> examples;
  std::string notes;             // last in --help
  int (*run)(const Arguments&);  // returns the exit code; failures are gan::Error
};

// In the order of `gan help`.
const std::vector<Command>& commands();
// Throws Exit::usage naming the nearest.
const Command& find_command(const std::string& name);

// ---- options and words that commands share

// The settings that a command takes, kTrain, kSample, ...: of all models, or of one with its preset's values.
std::vector<Option> options_of_settings(SettingFlags command, const std::string& model = "");
// Switches every command has: --help and --verbose.
std::vector<Option> common_options();
// RUN|CKPT: the word of commands that use a trained model.
Word word_for_trained();
// Overwrites the settings that `arguments` gives, and notes where they came from.
void apply_options(const Arguments& arguments, Config& config, Origins& origins);

// Throws Exit::usage on an unknown option (naming the nearest), a missing value or word, or a word too many.
Arguments parse_arguments(const Command& command, const std::vector<std::string>& texts);

// ---- help, at most 100 columns wide

std::string general_help();
// `model`: of `gan train`, its settings alone with its preset's values; empty: those of all models.
std::string help_of(const Command& command, const std::string& model = "");
std::string version_text();

}  // namespace gan::tools
