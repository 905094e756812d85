// Settings of a model as tests write them.
#pragma once
#include <fmt/format.h>

#include <string>

#include "models/tasks/zoo.h"

namespace gan::tests {
inline Config preset(const std::string& model) { return preset_config(model); }
}  // namespace gan::tests

namespace gan {

// A model's own setting by its name.
template <class T>
void put(Config& config, const std::string& name, const T& value) {
  set_setting(config, name, fmt::format("{}", value), "a test");
}

}  // namespace gan
