// Style's row of the zoo; how it works is in style.cpp.
#pragma once
#include "models/players/model.h"

namespace gan {

void style_preset(Config& config);
void style_tuned(Config& config, bool cpu);
void style_check(const Config& config);
std::unique_ptr<Model> make_style();
}  // namespace gan
