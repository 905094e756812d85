// What the pages promise, where a change of the code would make it untrue.
#include <doctest/doctest.h>

#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support/shell.h"

namespace gan::tests {

namespace {

// The indented lines of a page that call the program, without what they say behind #.
std::vector<std::string> commands_of(const std::string& page) {
  std::vector<std::string> commands;
  std::ifstream text(fs::path(source_dir) / page);
  for (std::string line; std::getline(text, line);)
    if (line.starts_with("    gan ")) commands.push_back(line.substr(4, line.find("  #") - 4));
  return commands;
}

std::vector<std::string> words_of(const std::string& command) {
  std::vector<std::string> words;
  std::istringstream text(command);
  for (std::string word; text >> word;) words.push_back(word);
  return words;
}

}  // namespace

TEST_CASE("pages: every command that they show exists and takes the options that it is shown with") {
  Shell shell;
  std::map<std::string, std::string> helps;
  const auto help_of = [&](const std::vector<std::string>& words) -> const std::string& {
    std::string key;
    for (const std::string& word : words) key += word + " ";
    const auto [entry, is_new] = helps.try_emplace(key);
    if (is_new) {
      const auto result = shell.gan(words);
      REQUIRE_MESSAGE(result.code == 0, key, result.err);
      entry->second = result.out;
    }
    return entry->second;
  };
  const std::string summary = help_of({"help"});
  int options = 0;
  for (const char* page : {"README.md", "models/README.md", "kernels/README.md", "bench/README.md"})
    for (const std::string& command : commands_of(page)) {
      CAPTURE(std::string(page));
      CAPTURE(command);
      const auto words = words_of(command);
      REQUIRE(words.size() > 1);
      if (words[1].starts_with("-") || words[1] == "help") continue;
      REQUIRE(contains(summary, "\n  " + words[1] + " "));
      std::vector<std::string> help = {"help", words[1]};
      if (words[1] == "train" && words.size() > 2 && !words[2].starts_with("-")) help.push_back(words[2]);
      for (const std::string& word : words)
        if (word.starts_with("--")) {
          CHECK_MESSAGE(contains(help_of(help), word + " "), word);
          ++options;
        }
    }
  CHECK(options > 50);
}

TEST_CASE("pages: the debugger's recipe stops in the kernel that it forces") {
  std::vector<std::string> lines;
  std::ifstream kernels(fs::path(source_dir) / "kernels/gpu/norm.cu");
  for (std::string line; std::getline(kernels, line);) lines.push_back(line);
  size_t begin = 0, end = 0;  // of backward_naive, which is norm_bwd=naive
  while (begin < lines.size() && !contains(lines[begin], "void backward_naive(")) ++begin;
  REQUIRE(begin < lines.size());
  for (end = begin; end < lines.size() && lines[end] != "}";) ++end;
  for (const char* page : {"README.md", "kernels/README.md"}) {
    CAPTURE(std::string(page));
    const std::string text = text_of(fs::path(source_dir) / page), before = "(gdb) break norm.cu:";
    const size_t at = text.find(before);
    REQUIRE(at != text.npos);
    REQUIRE(text.find("GAN_KERNEL=norm_bwd=naive") < at);
    const size_t line = std::stoul(text.substr(at + before.size())) - 1;
    REQUIRE(line > begin);
    REQUIRE(line < end);
    CHECK(contains(lines[line], "="));  // a statement, where a debugger can stop
    CHECK(contains(text, "cmake --preset debug && cmake --build --preset debug --target gan"));
  }
  CHECK(contains(text_of(fs::path(source_dir) / "CMakePresets.json"), "\"name\": \"debug\""));
}

}  // namespace gan::tests
