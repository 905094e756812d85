// Automatic colorization's row of the zoo; how it works is in colorize.cpp. What restyle shares with it.
#pragma once
#include "models/players/model.h"

namespace gan {

// clang-format off
struct ColouringSettings : Group<ColouringSettings> {
  ColouringSettings() : Group("colouring") {}
  Setting<double> saturation{*this, "saturation", 1, "how strong colours become: 1 as they were learnt, which is the mean of what is possible and paler than most of it; 0 none", "0..4", kTrain | kTranslate | kEval};
};
// clang-format on

// The same as a control of one use; the run's setting unless a call says otherwise.
Control saturation_control(const Config& config);

void colorize_preset(Config& config);
void colorize_tuned(Config& config, bool cpu);
void colorize_check(const Config& config);
std::unique_ptr<Model> make_colorize();
}  // namespace gan
