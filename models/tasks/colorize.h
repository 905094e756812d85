// Automatic colorization's row of the zoo; how it works is in colorize.cpp.
#pragma once
#include "models/players/model.h"

namespace gan {
void colorize_preset(Config& config);
void colorize_tuned(Config& config, bool cpu);
void colorize_check(const Config& config);
std::unique_ptr<Model> make_colorize();
}  // namespace gan
