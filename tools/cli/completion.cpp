// `gan completion`: a shell's completion script, written from the table of commands.
#include <algorithm>

#include "kernels/contract/check.h"
#include "models/tasks/zoo.h"
#include "tools/cli/commands.h"

namespace gan::tools {
namespace {

std::vector<std::string> choices_of(const Option& option) {
  std::vector<std::string> choices;
  if (option.name == "device" && option.values.empty()) return {"auto", "cpu", "cuda", "simt", "ref"};
  if (option.values.find("..") != std::string::npos) return choices;
  for (size_t at = 0; at < option.values.size();) {
    const size_t bar = std::min(option.values.find('|', at), option.values.size());
    choices.push_back(option.values.substr(at, bar - at));
    at = bar + 1;
  }
  return choices;
}

std::vector<std::string> choices_of(const Word& word) {
  std::vector<std::string> choices = word.choices;
  if (word.kind == Word::Kind::model || word.kind == Word::Kind::model_or_file)
    for (const auto& entry : zoo()) choices.push_back(entry.name);
  return choices;
}

bool takes_file(const Word& word) {
  return word.kind == Word::Kind::file || word.kind == Word::Kind::model_or_file;
}

// In single quotes for a shell.
std::string quoted(std::string text) {
  for (size_t at = 0; (at = text.find('\'', at)) != text.npos; at += 4) text.replace(at, 1, "'\\''");
  return "'" + text + "'";
}

std::string bash() {
  std::string names, cases;
  for (const auto& command : commands()) {
    names += command.name + " ";
    std::string options, values, words;
    for (const auto& option : command.options) {
      options += "--" + option.name + " ";
      if (option.negatable) options += "--no-" + option.name + " ";
      if (option.is_switch) continue;
      const auto choices = choices_of(option);
      // A value without choices may be a file: the empty reply makes bash offer files.
      values += fmt::format("        --{}) COMPREPLY=($(compgen -W \"{}\" -- \"$current\")); return ;;\n",
                            option.name, fmt::join(choices, " "));
    }
    for (size_t i = 0; i < command.words.size(); ++i)
      if (const auto choices = choices_of(command.words[i]); !choices.empty())
        words += fmt::format("        {}) words=\"{}\" ;;\n", i + 2, fmt::join(choices, " "));
    cases += fmt::format("    {})\n      options=\"{}\"\n", command.name, options);
    if (!values.empty()) cases += "      case \"$previous\" in\n" + values + "      esac\n";
    if (!words.empty()) cases += "      case \"$COMP_CWORD\" in\n" + words + "      esac\n";
    cases += "      ;;\n";
  }
  return fmt::format(R"(# bash completion of gan. Load it with: source <(gan completion bash)
_gan() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" previous="${{COMP_WORDS[COMP_CWORD-1]}}" options="" words=""
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "{}--help --version" -- "$current"))
    return
  fi
  case "${{COMP_WORDS[1]}}" in
{}  esac
  case "$current" in
    -*) COMPREPLY=($(compgen -W "$options" -- "$current")) ;;
    *) COMPREPLY=($(compgen -W "$words" -- "$current")) ;;
  esac
}}
complete -o bashdefault -o default -F _gan gan
)",
                     names, cases);
}

std::string zsh() {
  const auto described = [](std::string text) {  // in a specification [ ] : are special
    std::string result;
    for (char c : text) result += std::string(c == '[' || c == ']' || c == ':' || c == '\\' ? "\\" : "") + c;
    return result;
  };
  std::string names, cases;
  for (const auto& command : commands()) {
    names += "    " + quoted(command.name + ":" + command.summary) + "\n";
    cases += fmt::format("    {})\n      _arguments \\\n", command.name);
    for (const auto& option : command.options) {
      std::string spec = fmt::format("--{}[{}]", option.name, described(option.help));
      if (!option.is_switch) {
        const auto choices = choices_of(option);
        spec += fmt::format(":{}:{}", option.name,
                            choices.empty() ? "_files" : fmt::format("({})", fmt::join(choices, " ")));
      }
      cases += "        " + quoted(spec) + " \\\n";
      if (option.negatable)
        cases +=
            "        " + quoted(fmt::format("--no-{}[no {}]", option.name, described(option.help))) + " \\\n";
    }
    for (size_t i = 0; i < command.words.size(); ++i) {
      const auto choices = choices_of(command.words[i]);
      std::string action = fmt::format("({})", fmt::join(choices, " "));
      if (takes_file(command.words[i]))
        action = choices.empty()
                     ? "_files"
                     : fmt::format("_alternative \"models:model:{}\" \"files:file:_files\"", action);
      cases += "        " + quoted(fmt::format("{}:{}:{}", i + 2, described(command.words[i].name), action)) +
               " \\\n";
    }
    cases += "        && return\n      ;;\n";
  }
  return fmt::format(R"(#compdef gan
# zsh completion of gan. Save it as _gan in a folder of $fpath, or: source <(gan completion zsh)
_gan() {{
  local -a commands
  commands=(
{}  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  case "$words[2]" in
{}  esac
}}
if [ "$funcstack[1]" = _gan ]; then
  _gan "$@"
else
  compdef _gan gan
fi
)",
                     names, cases);
}

std::string fish() {
  const auto described = [](std::string text) {  // in single quotes fish knows \' and \\.
    std::string result;
    for (char c : text) result += std::string(c == '\'' || c == '\\' ? "\\" : "") + c;
    return "'" + result + "'";
  };
  std::string text = "# fish completion of gan. Load it with: gan completion fish | source\n";
  for (const auto& command : commands()) {
    text += fmt::format("complete -c gan -n __fish_use_subcommand -f -a {} -d {}\n", command.name,
                        described(command.summary));
    const std::string here = fmt::format("complete -c gan -n '__fish_seen_subcommand_from {}'", command.name);
    for (const auto& option : command.options) {
      text += fmt::format("{} -l {} -d {}", here, option.name, described(option.help));
      const auto choices = choices_of(option);
      if (!choices.empty()) text += fmt::format(" -x -a '{}'", fmt::join(choices, " "));
      else if (!option.is_switch) text += " -r";
      text += "\n";
      if (option.negatable)
        text += fmt::format("{} -l no-{} -d {}\n", here, option.name, described("no " + option.help));
    }
    for (const auto& word : command.words)
      if (const auto choices = choices_of(word); !choices.empty())
        text += fmt::format("{}{} -a '{}'\n", here, takes_file(word) ? "" : " -f", fmt::join(choices, " "));
  }
  return text + "complete -c gan -n __fish_use_subcommand -l version -d 'version and devices'\n";
}

int run(const Arguments& arguments) {
  const std::string& shell = arguments.words[0];
  fmt::print("{}", shell == "bash" ? bash() : shell == "zsh" ? zsh() : fish());
  return int(Exit::ok);
}

}  // namespace

Command describe_completion() {
  Command command;
  command.name = "completion";
  command.summary = "print a shell's completion script";
  command.words = {{"SHELL", "bash, zsh or fish", Word::Kind::choice, true, {"bash", "zsh", "fish"}}};
  command.options = common_options();
  command.examples = {"source <(gan completion bash)", "gan completion zsh > ~/.zfunc/_gan",
                      "gan completion fish > ~/.config/fish/completions/gan.fish"};
  command.run = run;
  return command;
}

}  // namespace gan::tools
