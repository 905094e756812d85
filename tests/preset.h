// Settings for tests to start from.
#pragma once
#include <string>

#include "models/zoo.h"

namespace gan::tests {

inline Config preset(const std::string& model) {
  Config c;
  find_model(model).preset(c);
  c.model = model;
  return c;
}

}  // namespace gan::tests
