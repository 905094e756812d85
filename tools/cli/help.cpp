// `gan help`, --help and --version.
#include <algorithm>
#include <cstdlib>

#include "engine/run/version.h"
#include "kernels/kernels.h"
#include "models/tasks/zoo.h"
#include "models/use/published.h"
#include "tools/cli/commands.h"

namespace gan::tools {
namespace {

constexpr size_t kWidth = 100, kIndent = 28;  // columns

// Words of `text` in lines of at most kWidth columns; all but the first begin at column `indent`.
std::string wrapped(const std::string& text, size_t indent, size_t column) {
  std::string result, word;
  for (size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size() && text[i] != ' ') {
      word += text[i];
      continue;
    }
    if (column + word.size() > kWidth && column > indent) {
      result.back() = '\n';
      result += std::string(indent, ' ');
      column = indent;
    }
    result += word + " ";
    column += word.size() + 1;
    word.clear();
  }
  result.back() = '\n';
  return result;
}

// "  label        help text" with the text in its own column.
std::string entry(const std::string& label, const std::string& text) {
  std::string line = "  " + label;
  if (line.size() + 2 > kIndent) line += "\n" + std::string(kIndent, ' ');
  else line += std::string(kIndent - line.size(), ' ');
  return line + wrapped(text, kIndent, kIndent);
}

std::string option_entry(const Option& option) {
  std::string label = (option.name == "help" ? "-h, --" : "--") + option.name;
  if (option.negatable) label += ", --no-" + option.name;
  if (!option.is_switch) label += " " + (option.values.empty() ? "TEXT" : option.values);
  std::string text = option.help;
  if (!option.fallback.empty()) text += " [" + option.fallback + "]";
  return entry(label, text);
}

// Weights that others have published, and how each kind is used.
std::string weights_help() {
  std::string text =
      "Published weights: `gan translate FILE INPUT... --out DIR` runs generators from the files that their authors "
      "publish, ";
  text = wrapped(
      text +
          "as their own test scripts do. Files of PyTorch (.pth, .pt; nothing in one is executed) and "
          "safetensors files with the same names are read; the names of the tensors say what a file is, "
          "or --as does.",
      0, 0);
  for (const PublishedForm& form : published_forms()) {
    text += fmt::format("\n{}\n", form.name);
    text += entry("makes", form.summary) + entry("from", form.source) + entry("licence", form.licence) +
            entry("size", form.sizes) + fmt::format("  {}\n", form.example);
  }
  text +=
      "\n" + wrapped(
                 "A picture that does not fit half of the memory (or --memory-gb) goes through in tiles. "
                 "`gan inspect FILE` lists a file's tensors; `gan train pix2pix PAIRS --preset paper "
                 "--init FILE` goes on from weights of pix2pix; --preset paper has the authors' networks.",
                 0, 0);
  return text;
}

int run(const Arguments& arguments) {
  if (arguments.word(0) == "weights") fmt::print("{}", weights_help());
  else if (arguments.words.empty()) fmt::print("{}", general_help());
  else fmt::print("{}", help_of(find_command(arguments.words[0]), arguments.word(1)));
  return int(Exit::ok);
}

}  // namespace

std::string version_text() {
  std::string text = fmt::format("gan {} (devices:", version());
  for (Device device : {Device::cpu, Device::cuda, Device::simt, Device::ref})
    if (find_backend(device)) text += std::string(" ") + name_of(device);
  return text + ")\n";
}

std::string general_help() {
  std::string text =
      "gan: train, use and inspect generative adversarial networks\n\n"
      "Usage: gan COMMAND [words] [options]\n\nCommands:\n";
  for (const auto& command : commands()) text += entry(command.name, command.summary);
  text += "\nModels:\n";
  for (const auto& model : zoo()) text += entry(model.name, model.summary);
  text +=
      "\nExamples:\n"
      "  gan train dcgan builtin:comics --minutes 2 --size 32\n"
      "  gan sample runs/00000-dcgan-comics --n 64 --seed 7 --out grid.png\n"
      "  gan train pix2pix photos/ --make-input noise --size 128 --out runs/denoise\n"
      "  gan translate runs/denoise old/*.jpg --out clean\n"
      "  gan help train\n\n"
      "`gan help weights` says which published weights can be used.\n"
      "`gan COMMAND --help` tells a command's options; `gan --version` the version and devices.\n"
      "Exit codes: 0 done, 1 failure, 2 usage, 3 bad file or data, 4 no GPU, 5 out of GPU memory,\n"
      "6 diverged, 7 disk full or I/O, 129, 130 and 143 after SIGHUP, SIGINT, SIGTERM.\n";
  return text;
}

namespace {
// The options of `gan train` that a model has.
std::vector<Option> options_of_model(const Command& command, const std::string& model) {
  const Config every = config_of_all_models();
  const auto own = options_of_settings(kTrain, model);
  std::vector<Option> options;
  for (const auto& option : command.options) {
    const auto found =
        std::find_if(own.begin(), own.end(), [&](const Option& o) { return o.name == option.name; });
    if (found != own.end()) options.push_back(*found);
    else if (!every.find(option.name)) options.push_back(option);
  }
  return options;
}
}  // namespace

std::string help_of(const Command& command, const std::string& model) {
  if (!model.empty() && command.name != "train")
    fail(Exit::usage, "gan help {} {}: only train has options that depend on the model", command.name, model);
  std::string text = fmt::format("gan {}: {}\n\nUsage: gan {}", command.name, command.summary, command.name);
  for (const auto& word : command.words) text += word.required ? " " + word.name : " [" + word.name + "]";
  text += " [options]\n";
  if (!command.words.empty()) text += "\n";
  for (const auto& word : command.words) text += entry(word.name, word.help);
  std::string group;
  for (const auto& option : model.empty() ? command.options : options_of_model(command, model)) {
    if (option.group != group) text += fmt::format("\n{} (default in brackets):\n", group = option.group);
    text += option_entry(option);
  }
  text += "\nExamples:\n";
  for (const auto& example : command.examples) text += "  " + example + "\n";
  if (!command.notes.empty()) text += "\n" + wrapped(command.notes, 0, 0);
  return text;
}

Command describe_help() {
  Command command;
  command.name = "help";
  command.summary = "explain a command";
  command.words = {
      {"COMMAND",
       "which one; `weights`: what published weights there are, and how to use them",
       Word::Kind::choice,
       false,
       {}},
      {"MODEL", "with train: this model's options and its own defaults", Word::Kind::model, false, {}}};
  command.words[0].choices = {"weights"};  // and every command: commands() adds them
  command.options = common_options();
  command.examples = {"gan help", "gan help train", "gan help train pix2pix", "gan help weights",
                      "gan sample --help"};
  command.run = run;
  return command;
}

}  // namespace gan::tools
