// Reading --shape.
#include "tools/cli/shape.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <charconv>

namespace gan::tools {

Shape::Shape(const std::string& text) {
  for (size_t at = 0; at < text.size();) {
    const size_t comma = std::min(text.find(',', at), text.size());
    const std::string item = text.substr(at, comma - at);
    const size_t equals = std::min(item.find('='), item.size());
    const std::string key = item.substr(0, equals);
    if (key.empty() || std::isdigit(key[0]) || equals + 1 == item.size())
      fail(Exit::usage, "--shape {}: write key=value,key=value, for example m=64,n=64,k=64", text);
    if (!given_.emplace(key, equals == item.size() ? "1" : item.substr(equals + 1)).second)
      fail(Exit::usage, "--shape {}: {} is given twice", text, key);
    at = comma + 1;
  }
}

const std::string& Shape::take(const char* key, const std::string& fallback) {
  const auto found = given_.find(key);
  used_.emplace_back(key, found == given_.end() ? fallback : found->second);
  return used_.back().second;
}

void Shape::size(const char* key, int64_t& value, int64_t small, int64_t, int64_t least) {
  const std::string& written = take(key, std::to_string(small));
  constexpr int64_t most = 1 << 24;
  value = small;
  int64_t number = 0;
  const auto [stop, error] = std::from_chars(written.data(), written.data() + written.size(), number);
  const bool is_number = error == std::errc() && stop == written.data() + written.size();
  if (is_number && number >= least && number <= most) value = number;
  else if (problem_.empty())
    problem_ = fmt::format("{} must be a whole number from {} to {}, not \"{}\"", key, least, most, written);
}

void Shape::choice(const char* key, int& value, std::initializer_list<const char*> words) {
  const std::string& written = take(key, *words.begin());
  const auto found = std::find(words.begin(), words.end(), written);
  value = 0;
  if (found != words.end()) value = int(found - words.begin());
  else if (problem_.empty())
    problem_ = fmt::format("{} must be one of {}, not \"{}\"", key, fmt::join(words, ", "), written);
}

void Shape::seldom(const char* port) {
  bool there = false;
  flag(port, there);
  if (!there) absent_[port] = true;
}

bool Shape::fits() const {
  return std::all_of(given_.begin(), given_.end(), [&](const auto& given) {
    return std::any_of(used_.begin(), used_.end(),
                       [&](const auto& used) { return used.first == given.first; });
  });
}

void Shape::finish(const char* op) const {
  for (const auto& [key, value] : given_) {
    const bool known =
        std::any_of(used_.begin(), used_.end(), [&key = key](const auto& used) { return used.first == key; });
    if (!known) fail(Exit::usage, "--shape: {} has no \"{}\"; it has {}", op, key, text());
  }
  if (!problem_.empty()) fail(Exit::usage, "--shape: {}", problem_);
}

std::string Shape::text() const {
  std::string all;
  for (const auto& [key, value] : used_) all += (all.empty() ? "" : ",") + key + "=" + value;
  return all;
}

}  // namespace gan::tools
