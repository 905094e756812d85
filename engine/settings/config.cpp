// All settings of a run: found by name, read from TOML and the environment, written as TOML and JSON.
#include "engine/settings/config.h"

#include <toml++/toml.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>

#include "engine/files/atomic_file.h"
#include "engine/settings/toml_guard.h"
#include "engine/settings/words.h"

extern char** environ;

namespace gan {
namespace {

constexpr uint64_t kLargestFile = 1 << 20;  // bytes of a TOML file; ours have about 2,000
// Versions before models had settings of their own began their files with this, and wrote every setting there
// was.
constexpr std::string_view kEarlierMark = "# Settings of a run of gan. ";

std::string replace_all(std::string text, char from, char to) {
  std::replace(text.begin(), text.end(), from, to);
  return text;
}
std::string toml_key(std::string_view name) { return replace_all(std::string(name), '-', '_'); }
std::string setting_name(std::string_view key) { return replace_all(std::string(key), '_', '-'); }
std::string environment_name(std::string_view name) {
  std::string text = "GAN_" + toml_key(name);
  for (char& c : text)
    if (c >= 'a' && c <= 'z') c = char(c - 'a' + 'A');
  return text;
}

std::vector<std::string> all_names(const Config& config) {
  if (config.catalogue()) return config.catalogue()->names();
  std::vector<std::string> names;
  for (const SettingGroup* group : config.groups())
    for (const AnySetting* setting : group->settings()) names.push_back(setting->name());
  return names;
}

std::vector<std::string> owners_of(const Config& config, const std::string& name) {
  return config.catalogue() ? config.catalogue()->owners_of(name) : std::vector<std::string>{};
}

// Throws for a name that `config` does not have: of another model, or of none.
[[noreturn]] void refuse_name(const Config& config, std::string_view name, const std::string& source) {
  if (const auto owners = owners_of(config, std::string(name)); !owners.empty())
    fail(Exit::usage, "{}: {} belongs to {}; {} has no such setting", source, name, fmt::join(owners, ", "),
         config.model->empty() ? std::string("this command") : *config.model);
  const std::string near = nearest_setting(config, name);
  const auto dressed = [&](std::string_view setting) {  // as it is written where the wrong name stands
    if (source.starts_with("--")) return "--" + std::string(setting);
    return source.starts_with("GAN_") ? environment_name(setting) : toml_key(setting);
  };
  fail(Exit::usage, "{}: there is no setting of this name{}", source,
       near.empty() ? "; see `gan help train`" : fmt::format("; did you mean {}?", dressed(near)));
}

}  // namespace

// ---------------------------------------------------------------------------------------- groups

Config::Config(const Config& other)
    : WhatSettings(other),
      RunSettings(other),
      LengthSettings(other),
      DataSettings(other),
      LearningSettings(other),
      catalogue_(other.catalogue_) {
  for (const auto& group : other.own_) own_.push_back(group->clone());
}

Config& Config::operator=(const Config& other) { return *this = Config(other); }

std::vector<SettingGroup*> Config::groups() {
  std::vector<SettingGroup*> all = {static_cast<WhatSettings*>(this), static_cast<RunSettings*>(this),
                                    static_cast<LengthSettings*>(this), static_cast<DataSettings*>(this),
                                    static_cast<LearningSettings*>(this)};
  for (const auto& group : own_) all.push_back(group.get());
  return all;
}

std::vector<const SettingGroup*> Config::groups() const {
  const auto all = const_cast<Config*>(this)->groups();
  return {all.begin(), all.end()};
}

AnySetting* Config::find(std::string_view name) {
  for (SettingGroup* group : groups())
    for (AnySetting* setting : group->settings())
      if (name == setting->name()) return setting;
  return nullptr;
}

const AnySetting* Config::find(std::string_view name) const { return const_cast<Config*>(this)->find(name); }

std::string get_setting(const Config& config, std::string_view name) {
  const AnySetting* setting = config.find(name);
  GAN_CHECK(setting, "no setting is called {}", name);
  return setting->text();
}

void set_setting(Config& config, std::string_view name, const std::string& text, const std::string& source) {
  AnySetting* setting = config.find(name);
  if (!setting) refuse_name(config, name, source);
  setting->set(text, source);
}

std::string nearest_setting(const Config& config, std::string_view name) {
  const std::string meant = our_word_for(setting_name(name)), setting = meant.substr(0, meant.find(' '));
  const auto names = all_names(config);
  if (!meant.empty() && std::find(names.begin(), names.end(), setting) != names.end()) return setting;
  return nearest_word(all_names(config), setting_name(name), std::max<int>(2, int(name.size()) / 3));
}

// ------------------------------------------------------------------------------------------ TOML

namespace {

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
  if (const auto* real = node.as_floating_point()) return fmt::format("{}", real->get());
  return {};
}

// The value as set_setting() takes it, or nothing when TOML's type is not the setting's.
std::optional<std::string> text_in(const toml::node& node, char kind) {
  const auto* text = node.as_string();
  switch (kind) {
    case 'b':
      if (const auto* flag = node.as_boolean()) return flag->get() ? "true" : "false";
      return {};
    case 'i': return node.as_integer() ? number_in(node) : std::nullopt;
    case 'r': return number_in(node);
    case 's': return text ? std::optional(text->get()) : std::nullopt;
    default: break;
  }
  if (text) return text->get();
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

std::string written(const toml::node& node) {
  std::ostringstream text;
  node.visit([&](const auto& value) { text << value; });
  return text.str();
}

}  // namespace

void read_toml_text(Config& config, const std::string& text, const std::string& name, Origins& origins,
                    const std::string& origin, Foreign foreign, const SkipKey& skip) {
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
    const std::string field = setting_name(key.str());
    if (skip && skip(std::string(key.str()), written(node))) continue;
    AnySetting* setting = config.find(field);
    if (!setting && foreign == Foreign::pass_over && !owners_of(config, field).empty()) {
      origins.passed_over.push_back(field);
      continue;
    }
    if (!setting && node.is_table())
      fail(Exit::usage, "{}: settings are flat, without tables; write its keys at the top level", source);
    if (!setting) refuse_name(config, field, source);
    const auto value = text_in(node, setting->kind());
    if (!value)
      fail(Exit::usage, "{}: {} must be {}, not {}", source, setting->name(), setting->allowed(),
           kind_of(node));
    setting->set(*value, source);
    origins[field] = origin;
  }
}

void read_toml_file(Config& config, const std::string& path, Origins& origins) {
  read_toml_file(config, InputFile(path), origins);
}

void read_toml_file(Config& config, const InputFile& file, Origins& origins) {
  const auto bytes = file.read_all(kLargestFile);
  const std::string path = file.path().string();
  const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  read_toml_text(config, text, path, origins, "config " + path,
                 text.starts_with(kEarlierMark) ? Foreign::pass_over : Foreign::refuse);
}

std::string to_toml(const Config& config, bool for_checkpoint) {
  std::string text(kConfigFileMark);
  text += ", of its model alone. They can be given back with --config.\n";
  for (const SettingGroup* group : config.groups()) {
    bool heading = false;
    for (const AnySetting* setting : group->settings()) {
      if (setting->is(kOneCall) || (for_checkpoint && setting->is(kPace))) continue;
      if (!heading) text += fmt::format("\n# {}\n", group->heading());
      heading = true;
      text += fmt::format("{} = {}\n", toml_key(setting->name()), setting->toml());
    }
  }
  return text;
}

std::string to_json(const Config& config) {
  nlohmann::ordered_json json;
  for (const SettingGroup* group : config.groups())
    for (const AnySetting* setting : group->settings())
      if (!setting->is(kOneCall))
        json[toml_key(setting->name())] = nlohmann::ordered_json::parse(setting->json());
  return json.dump();
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
    std::string field;  // the setting whose environment name this is, so that netG and netg are one
    for (const auto& known : all_names(config))
      if (environment_name(known) == name) field = known;
    if (field.empty()) {
      field = setting_name(name.substr(4));
      for (char& c : field)
        if (c >= 'A' && c <= 'Z') c = char(c - 'A' + 'a');
    }
    if (!config.find(field) && !owners_of(config, field).empty()) {
      origins.passed_over.push_back(name);
      continue;
    }
    set_setting(config, field, std::string(text.substr(equals + 1)), name);
    origins[field] = "environment " + name;
  }
}

}  // namespace gan
