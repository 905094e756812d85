// One pass over the text that knows texts (four kinds of quotes), comments, brackets and dots, and nothing
// else of TOML.
#include "engine/settings/toml_guard.h"

#include <algorithm>

#include "kernels/contract/check.h"

namespace gan {

namespace {

constexpr size_t kLongestText = 1 << 20;  // bytes; ours have about 2,000
constexpr int kDeepest = 8;

class Guard {
 public:
  Guard(std::string_view text, const std::string& name) : text_(text), name_(name) {}

  void run() {
    if (text_.size() > kLongestText)
      fail(Exit::usage, "{}: {} bytes of settings; at most {} are read", name_, text_.size(), kLongestText);
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '"' || c == '\'') {
        skip_quoted();
        continue;
      }
      if (c == '#') {
        skip_comment();
        continue;
      }
      look_at(c);
      ++at_;
    }
  }

 private:
  [[noreturn]] void refuse(const std::string& why) const {
    const std::string_view before = text_.substr(0, at_);
    const size_t start = before.rfind('\n') + 1;  // 0 in the first line: npos + 1
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    fail(Exit::usage, "{} line {} column {}: {}", name_, line, at_ - start + 1, why);
  }

  void look_at(char c) {
    static constexpr std::string_view allowed = " \t\r\n=.,:+-_[]{}";
    const bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!word && allowed.find(c) == allowed.npos)
      refuse(fmt::format("byte {:#04x} outside of quotes; texts stand in \"quotes\"",
                         static_cast<unsigned char>(c)));
    if (c == '[' || c == '{') ++depth_;
    if ((c == ']' || c == '}') && depth_ > 0) --depth_;
    if (depth_ > kDeepest) refuse(fmt::format("brackets more than {} deep", kDeepest));
    const bool between_words = c == '=' || c == ',' || c == '\n' || c == '[' || c == '{';
    if (between_words) dots_ = 0;
    if (c == '.' && ++dots_ > kDeepest) refuse(fmt::format("a key of more than {} dotted parts", kDeepest));
  }

  void skip_comment() {
    while (at_ < text_.size() && text_[at_] != '\n') ++at_;
  }

  // At a quote. A text without end is the parser's to complain about.
  void skip_quoted() {
    const char quote = text_[at_];
    const std::string_view three = text_.substr(at_, 3);
    const bool long_text = three == "\"\"\"" || three == "'''";
    const std::string_view end = three.substr(0, long_text ? 3 : 1);
    for (at_ += end.size(); at_ < text_.size(); ++at_) {
      if (text_.substr(at_, end.size()) == end) {
        at_ += end.size();
        return;
      }
      if (!long_text && text_[at_] == '\n') return;
      if (quote == '"' && text_[at_] == '\\') ++at_;
    }
  }

  std::string_view text_;
  const std::string& name_;
  size_t at_ = 0;
  int depth_ = 0, dots_ = 0;
};

}  // namespace

void check_toml_text(std::string_view text, const std::string& name) { Guard(text, name).run(); }

}  // namespace gan
