// Restyle's row of the zoo; how it works is in restyle.cpp.
#pragma once
#include "models/players/model.h"

namespace gan {

// clang-format off
struct RestyleSettings : Group<RestyleSettings> {
  RestyleSettings() : Group("stages") {}
  Setting<int64_t> colour_steps{*this, "colour-steps", 1600, "steps of the first stage, in which colouring is learnt; 0: none", "0..", kTrain};
  Setting<int64_t> style_steps{*this, "style-steps", 1400, "steps of the second stage, in which the decoder of styles learns from photos in their own colours; 0: none. In the rest of the run both learn together", "0..", kTrain};
};
// clang-format on

void restyle_preset(Config& config);
void restyle_tuned(Config& config, bool cpu);
void restyle_check(const Config& config);
std::unique_ptr<Model> make_restyle();
}  // namespace gan
