// Settings to and from text: one value of any field (flags, environment), a TOML file, and back.
//
// Everything ends in set_field(): it finds the field in the list of config.h, parses the text as the member's
// type and checks choices and range, so that a value is refused in the same words wherever it came from.
#include "engine/config.h"

#include <toml++/toml.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <optional>

#include "engine/atomic_file.h"
#include "engine/toml_guard.h"
#include "kernels/check.h"

extern char** environ;

namespace gan {
namespace {

constexpr uint64_t kLargestFile = 1 << 20;  // bytes of a TOML file; ours have about 2,000

std::string replace_all(std::string text, char from, char to) {
  std::replace(text.begin(), text.end(), from, to);
  return text;
}
std::string toml_key(std::string_view name) { return replace_all(std::string(name), '-', '_'); }
std::string field_name(std::string_view key) { return replace_all(std::string(key), '_', '-'); }
std::string environment_name(std::string_view name) {
  std::string text = "GAN_" + toml_key(name);
  for (char& c : text)
    if (c >= 'a' && c <= 'z') c = char(c - 'a' + 'A');
  return text;
}

// --------------------------------------------------------------------------- what a field allows

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
const char* kind_of() {
  if constexpr (std::is_same_v<T, bool>) return "true or false";
  else if constexpr (std::is_integral_v<T>) return "a whole number";
  else if constexpr (std::is_same_v<T, double>) return "a number";
  else if constexpr (std::is_same_v<T, std::vector<double>>) return "numbers separated by commas";
  else return "a text";
}

// "a whole number from 1 to 65536", "one of batch, instance, none"
template <class T>
std::string allowed(const Field& field) {
  if (!*field.values) return kind_of<T>();
  if (!is_range(field.values)) {
    const auto choices = choices_of(field.values);
    return choices.size() == 1 ? choices[0] : fmt::format("one of {}", fmt::join(choices, ", "));
  }
  const Range range = range_of(field.values);
  if (range.low && range.high) return fmt::format("{} from {} to {}", kind_of<T>(), *range.low, *range.high);
  if (range.low) return fmt::format("{}, {} or more", kind_of<T>(), *range.low);
  return fmt::format("{}, at most {}", kind_of<T>(), *range.high);
}

template <class T>
[[noreturn]] void refuse(const Field& field, const std::string& text, const std::string& source) {
  std::string hint;
  if (*field.values && !is_range(field.values))
    if (const std::string nearest = nearest_word(choices_of(field.values), text, 2); !nearest.empty())
      hint = fmt::format("; did you mean \"{}\"?", nearest);
  fail(Exit::usage, "{}: {} must be {}, not \"{}\"{}", source, field.name, allowed<T>(field), text, hint);
}

// ------------------------------------------------------------------------------ text to a member

bool parse(const std::string& text, bool& value) {
  if (text == "true" || text == "1" || text == "yes" || text == "on") return value = true, true;
  if (text == "false" || text == "0" || text == "no" || text == "off") return value = false, true;
  return false;
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
bool parse(const std::string& text, std::string& value) { return value = text, true; }
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

// ------------------------------------------------------------------------------ a member to text

// The shortest text that reads back as the same number.
std::string number_text(double value, bool toml) {
  std::string text = fmt::format("{}", value);
  if (toml && text.find_first_of(".e") == text.npos) text += ".0";  // TOML: a real number, not an integer
  return text;
}

// As a TOML value. JSON's escapes are all TOML's too, and its writer refuses what is no UTF-8.
std::string quoted(const Field& field, const std::string& text) {
  try {
    std::string quoted = nlohmann::json(text).dump();
    for (size_t at; (at = quoted.find('\x7f')) != quoted.npos;) quoted.replace(at, 1, "\\u007F");
    return quoted;
  } catch (const nlohmann::json::exception&) {
    fail(Exit::usage, "--{}: the name is not UTF-8 and cannot be written to a settings file; rename it",
         field.name);
  }
}

template <class T>
std::string toml_value(const Field& field, const T& value) {
  if constexpr (std::is_same_v<T, bool>) return value ? "true" : "false";
  else if constexpr (std::is_integral_v<T>) return std::to_string(value);
  else if constexpr (std::is_same_v<T, double>) return number_text(value, true);
  else if constexpr (std::is_same_v<T, std::string>) return quoted(field, value);
  else {
    std::vector<std::string> items;
    for (double item : value) items.push_back(number_text(item, true));
    return fmt::format("[{}]", fmt::join(items, ", "));
  }
}

template <class T>
std::string plain_text(const T& value) {
  if constexpr (std::is_same_v<T, bool>) return value ? "true" : "false";
  else if constexpr (std::is_integral_v<T>) return std::to_string(value);
  else if constexpr (std::is_same_v<T, double>) return number_text(value, false);
  else if constexpr (std::is_same_v<T, std::string>) return value;
  else return fmt::format("{}", fmt::join(value, ","));
}

// ---------------------------------------------------------------------------------- TOML to text

const char* kind_of(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::string: return "a text";
    case toml::node_type::integer: return "a whole number";
    case toml::node_type::floating_point: return "a real number";
    case toml::node_type::boolean: return "true or false";
    case toml::node_type::array: return "a list";
    case toml::node_type::table: return "a table";
    default: return "a date or time";
  }
}

std::optional<std::string> number_in(const toml::node& node) {
  if (const auto* whole = node.as_integer()) return std::to_string(whole->get());
  if (const auto* real = node.as_floating_point()) return number_text(real->get(), false);
  return {};
}

// The value as set_field() takes it, or nothing when TOML's type is not the member's.
template <class T>
std::optional<std::string> text_in(const toml::node& node) {
  if constexpr (std::is_same_v<T, bool>) {
    if (const auto* flag = node.as_boolean()) return flag->get() ? "true" : "false";
  } else if constexpr (std::is_integral_v<T>) {
    if (const auto* whole = node.as_integer()) return std::to_string(whole->get());
  } else if constexpr (std::is_same_v<T, double>) {
    return number_in(node);
  } else if constexpr (std::is_same_v<T, std::string>) {
    if (const auto* text = node.as_string()) return text->get();
  } else {
    if (const auto* text = node.as_string()) return text->get();
    const auto* list = node.as_array();
    if (!list) return number_in(node);
    std::string joined;
    for (const auto& item : *list) {
      const auto number = number_in(item);
      if (!number) return {};
      joined += (joined.empty() ? "" : ",") + *number;
    }
    return joined;
  }
  return {};
}

}  // namespace

// ---------------------------------------------------------------------------------------- fields

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

bool has_field(std::string_view name) {
  Config config;
  bool found = false;
  for_each_field(config, [&](const Field& field, auto&) { found |= name == field.name; });
  return found;
}

std::string nearest_field(std::string_view name) {
  Config config;
  std::string best;
  int best_distance = std::max<int>(2, int(name.size()) / 3) + 1;
  for_each_field(config, [&](const Field& field, auto&) {
    const int distance = edit_distance(field_name(name), field.name);
    if (distance < best_distance) best = field.name, best_distance = distance;
  });
  return best;
}

std::string get_field(const Config& config, std::string_view name) {
  std::string text;
  GAN_CHECK(has_field(name), "no setting is called {}", name);
  for_each_field(config, [&](const Field& field, const auto& value) {
    if (name == field.name) text = plain_text(value);
  });
  return text;
}

void set_field(Config& config, std::string_view name, const std::string& text, const std::string& source) {
  bool found = false;
  for_each_field(config, [&](const Field& field, auto& member) {
    if (name != field.name) return;
    found = true;
    using T = std::remove_reference_t<decltype(member)>;
    T value{};
    if (!parse(text, value)) refuse<T>(field, text, source);
    if (is_range(field.values)) {
      const Range range = range_of(field.values);
      for (double number : numbers_in(value))
        if ((range.low && number < *range.low) || (range.high && number > *range.high))
          refuse<T>(field, text, source);
    } else if (*field.values) {
      const auto choices = choices_of(field.values);
      if (std::find(choices.begin(), choices.end(), text) == choices.end()) refuse<T>(field, text, source);
    }
    member = std::move(value);
  });
  if (found) return;
  const std::string near = nearest_field(name);
  const auto dressed = [&](std::string_view field) {  // as it is written where the wrong name stands
    if (source.starts_with("--")) return "--" + std::string(field);
    return source.starts_with("GAN_") ? environment_name(field) : toml_key(field);
  };
  fail(Exit::usage, "{}: there is no setting of this name{}", source,
       near.empty() ? "; see `gan help train`" : fmt::format("; did you mean {}?", dressed(near)));
}

// ----------------------------------------------------------------------------------- TOML, files

namespace {
std::string written(const toml::node& node) {
  std::ostringstream text;
  node.visit([&](const auto& value) { text << value; });
  return text.str();
}
}  // namespace

void read_toml_text(Config& config, const std::string& text, const std::string& name, Origins& origins,
                    const std::string& origin, const ForeignKey& foreign) {
  check_toml_text(text, name);
  toml::table table;
  try {
    table = toml::parse(text, name);
  } catch (const toml::parse_error& error) {
    fail(Exit::usage, "{} line {} column {}: {}", name, error.source().begin.line,
         error.source().begin.column, error.description());
  }
  for (const auto& [key, node] : table) {
    const std::string source = fmt::format("{} line {}: {}", name, key.source().begin.line, key.str());
    const std::string field = field_name(key.str());
    if (foreign && foreign(std::string(key.str()), written(node))) continue;
    if (node.is_table() && !has_field(field))
      fail(Exit::usage, "{}: settings are flat, without tables; write its keys at the top level", source);
    if (!has_field(field)) set_field(config, field, "", source);  // throws, naming the nearest
    Config scratch;
    for_each_field(scratch, [&, &node = node](const Field& candidate, auto& member) {
      if (field != candidate.name) return;
      using T = std::remove_reference_t<decltype(member)>;
      const auto value = text_in<T>(node);
      if (!value)
        fail(Exit::usage, "{}: {} must be {}, not {}", source, candidate.name, allowed<T>(candidate),
             kind_of(node));
      set_field(config, field, *value, source);
    });
    origins[field] = origin;
  }
}

void read_toml_file(Config& config, const std::string& path, Origins& origins) {
  read_toml_file(config, InputFile(path), origins);
}

void read_toml_file(Config& config, const InputFile& file, Origins& origins) {
  const auto bytes = file.read_all(kLargestFile);
  const std::string path = file.path().string();
  read_toml_text(config, std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()), path,
                 origins, "config " + path);
}

std::string to_toml(const Config& config, bool for_checkpoint) {
  std::string text(kConfigFileMark);
  text += ". They can be given back with --config.\n";
  std::string group;
  for_each_field(config, [&](const Field& field, const auto& value) {
    const std::string_view where = field.where;
    if (where.find('x') != where.npos || (for_checkpoint && where.find('p') != where.npos)) return;
    if (group != field.group) text += fmt::format("\n# {}\n", group = field.group);
    text += fmt::format("{} = {}\n", toml_key(field.name), toml_value(field, value));
  });
  return text;
}

std::string to_json(const Config& config) {
  nlohmann::ordered_json json;
  for_each_field(config, [&](const Field& field, const auto& value) {
    if (std::string_view(field.where).find('x') == std::string_view::npos) json[toml_key(field.name)] = value;
  });
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// ----------------------------------------------------------------------------------- environment

void read_environment(Config& config, Origins& origins) {
  static constexpr std::string_view no_settings[] = {"GAN_CONFIG", "GAN_KERNEL", "GAN_NVTX",  "GAN_ALLOC",
                                                     "GAN_LOG",    "GAN_SIMT",   "GAN_SHARED"};
  for (char** entry = environ; *entry; ++entry) {
    const std::string_view text = *entry;
    const size_t equals = text.find('=');
    if (!text.starts_with("GAN_") || equals == text.npos || equals + 1 == text.size()) continue;
    const std::string name(text.substr(0, equals));
    if (name.starts_with("GAN_TEST_") ||
        std::find(std::begin(no_settings), std::end(no_settings), name) != std::end(no_settings))
      continue;
    std::string field = field_name(name.substr(4));
    for (char& c : field)
      if (c >= 'A' && c <= 'Z') c = char(c - 'A' + 'a');
    set_field(config, field, std::string(text.substr(equals + 1)), name);
    origins[field] = "environment " + name;
  }
}

}  // namespace gan
