// A setting's value to and from text, and the words for a value that is refused.
#include "engine/settings/setting.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "engine/settings/words.h"
#include "kernels/contract/check.h"

namespace gan {

namespace {

// --------------------------------------------------------------------------- what a setting allows

struct Range {
  std::optional<double> low, high;
};

bool is_range(std::string_view values) { return values.find("..") != values.npos; }

Range range_of(std::string_view values) {
  Range range;
  const size_t dots = values.find("..");
  const std::string low(values.substr(0, dots)), high(values.substr(dots + 2));
  if (!low.empty()) range.low = std::strtod(low.c_str(), nullptr);
  if (!high.empty()) range.high = std::strtod(high.c_str(), nullptr);
  return range;
}

std::vector<std::string> choices_of(std::string_view values) {
  std::vector<std::string> choices;
  while (!values.empty()) {
    const size_t bar = values.find('|');
    choices.emplace_back(values.substr(0, bar));
    values = bar == values.npos ? std::string_view{} : values.substr(bar + 1);
  }
  return choices;
}

template <class T>
const char* kind_in_words() {
  if constexpr (std::is_same_v<T, bool>) return "true or false";
  else if constexpr (std::is_integral_v<T>) return "a whole number";
  else if constexpr (std::is_same_v<T, double>) return "a number";
  else if constexpr (std::is_same_v<T, std::vector<double>>) return "numbers separated by commas";
  else return "a text";
}

[[noreturn]] void refuse(const AnySetting& setting, const std::string& text, const std::string& source) {
  std::string hint;
  const std::string_view values = setting.info().values;
  if (!values.empty() && !is_range(values))
    if (const std::string nearest = nearest_word(choices_of(values), text, 2); !nearest.empty())
      hint = fmt::format("; did you mean \"{}\"?", nearest);
  fail(Exit::usage, "{}: {} must be {}, not \"{}\"{}", source, setting.name(), setting.allowed(), text, hint);
}

// ------------------------------------------------------------------------------ text to a value

bool parse(const std::string& text, bool& value) {
  value = text == "true" || text == "1" || text == "yes" || text == "on";
  return value || text == "false" || text == "0" || text == "no" || text == "off";
}
template <class T>
bool parse_number(std::string_view text, T& value) {
  if (text.size() > 1 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);
  T parsed{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), parsed);
  if (error != std::errc() || end != text.data() + text.size()) return false;
  if constexpr (std::is_floating_point_v<T>)
    if (!std::isfinite(parsed)) return false;
  value = parsed;
  return true;
}
bool parse(const std::string& text, int& value) { return parse_number(text, value); }
bool parse(const std::string& text, int64_t& value) { return parse_number(text, value); }
bool parse(const std::string& text, double& value) { return parse_number(text, value); }
bool parse(const std::string& text, std::string& value) {
  value = text;
  return true;
}
bool parse(const std::string& text, std::vector<double>& value) {
  std::vector<double> parsed;
  std::string_view rest = text;
  while (!rest.empty()) {
    const size_t comma = rest.find(',');
    double item;
    if (!parse_number(rest.substr(0, comma), item) || comma == rest.size() - 1) return false;
    parsed.push_back(item);
    rest = comma == rest.npos ? std::string_view{} : rest.substr(comma + 1);
  }
  value = std::move(parsed);
  return true;
}

template <class T>
std::vector<double> numbers_in(const T& value) {
  if constexpr (std::is_same_v<T, std::vector<double>>) return value;
  else if constexpr (std::is_arithmetic_v<T> && !std::is_same_v<T, bool>) return {double(value)};
  else return {};
}

// ------------------------------------------------------------------------------ a value to text

// The shortest text that reads back as the same number.
std::string number_text(double value) { return fmt::format("{}", value); }
std::string toml_number(double value) {
  std::string text = number_text(value);
  if (text.find_first_of(".e") == text.npos) text += ".0";  // a real number, not an integer
  return text;
}

// As a TOML text. JSON's escapes are all TOML's too, and its writer refuses what is no UTF-8.
std::string quoted(const AnySetting& setting, const std::string& text) {
  try {
    std::string quoted = nlohmann::json(text).dump();
    for (size_t at; (at = quoted.find('\x7f')) != quoted.npos;) quoted.replace(at, 1, "\\u007F");
    return quoted;
  } catch (const nlohmann::json::exception&) {
    fail(Exit::usage, "--{}: the name is not UTF-8 and cannot be written to a settings file; rename it",
         setting.name());
  }
}

template <class T>
std::string plain_text(const T& value) {
  if constexpr (std::is_same_v<T, bool>) return value ? "true" : "false";
  else if constexpr (std::is_integral_v<T>) return std::to_string(value);
  else if constexpr (std::is_same_v<T, double>) return number_text(value);
  else if constexpr (std::is_same_v<T, std::string>) return value;
  else return fmt::format("{}", fmt::join(value, ","));
}

}  // namespace

// -------------------------------------------------------------------------------------- settings

AnySetting::AnySetting(SettingGroup& group, const SettingInfo& info) : info_(info) {
  group.places_.push_back(reinterpret_cast<char*>(this) - reinterpret_cast<char*>(&group));
}

template <class T>
std::string Setting<T>::text() const {
  return plain_text(value_);
}

template <class T>
std::string Setting<T>::default_text() const {
  return plain_text(default_);
}

template <class T>
std::string Setting<T>::toml() const {
  if constexpr (std::is_same_v<T, double>) return toml_number(value_);
  else if constexpr (std::is_same_v<T, std::string>) return quoted(*this, value_);
  else if constexpr (std::is_same_v<T, std::vector<double>>) {
    std::vector<std::string> items;
    for (double item : value_) items.push_back(toml_number(item));
    return fmt::format("[{}]", fmt::join(items, ", "));
  } else {
    return plain_text(value_);
  }
}

template <class T>
std::string Setting<T>::json() const {
  return nlohmann::json(value_).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

template <class T>
std::string Setting<T>::allowed() const {
  const char* kind = kind_in_words<T>();
  const std::string_view values = info().values;
  if (values.empty()) return kind;
  if (!is_range(values)) {
    const auto choices = choices_of(values);
    return choices.size() == 1 ? choices[0] : fmt::format("one of {}", fmt::join(choices, ", "));
  }
  const Range range = range_of(values);
  if (range.low && range.high) return fmt::format("{} from {} to {}", kind, *range.low, *range.high);
  if (range.low) return fmt::format("{}, {} or more", kind, *range.low);
  return fmt::format("{}, at most {}", kind, *range.high);
}

template <class T>
char Setting<T>::kind() const {
  if constexpr (std::is_same_v<T, bool>) return 'b';
  else if constexpr (std::is_integral_v<T>) return 'i';
  else if constexpr (std::is_same_v<T, double>) return 'r';
  else if constexpr (std::is_same_v<T, std::string>) return 's';
  else return 'l';
}

template <class T>
void Setting<T>::set(const std::string& text, const std::string& source) {
  T value{};
  if (!parse(text, value)) refuse(*this, text, source);
  const std::string_view values = info().values;
  if (is_range(values)) {
    const Range range = range_of(values);
    for (double number : numbers_in(value))
      if ((range.low && number < *range.low) || (range.high && number > *range.high))
        refuse(*this, text, source);
  } else if (!values.empty()) {
    const auto choices = choices_of(values);
    if (std::find(choices.begin(), choices.end(), text) == choices.end()) refuse(*this, text, source);
  }
  value_ = std::move(value);
}

template class Setting<bool>;
template class Setting<int>;
template class Setting<int64_t>;
template class Setting<double>;
template class Setting<std::string>;
template class Setting<std::vector<double>>;

std::vector<AnySetting*> SettingGroup::settings() {
  std::vector<AnySetting*> all;
  for (const std::ptrdiff_t place : places_)
    all.push_back(reinterpret_cast<AnySetting*>(reinterpret_cast<char*>(this) + place));
  return all;
}

std::vector<const AnySetting*> SettingGroup::settings() const {
  const auto all = const_cast<SettingGroup*>(this)->settings();
  return {all.begin(), all.end()};
}

// ----------------------------------------------------------------------------------------- words

int edit_distance(std::string_view a, std::string_view b) {
  std::vector<int> row(b.size() + 1);  // distances of a's prefix to every prefix of b
  for (size_t j = 0; j <= b.size(); ++j) row[j] = int(j);
  for (size_t i = 1; i <= a.size(); ++i) {
    int diagonal = row[0];
    row[0] = int(i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const int replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

}  // namespace gan
