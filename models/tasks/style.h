// Style's row of the zoo; how it works is in style.cpp.
#pragma once
#include "models/players/model.h"

namespace gan {

// clang-format off
struct StyleSettings : Group<StyleSettings> {
  StyleSettings() : Group("style transfer") {}
  Setting<int> style_levels{*this, "style-levels", 4, "finest levels that the decoder sees besides the coarsest; fewer keep less of the photo", "0..4", kTrain | kInspect | kNetwork};
  Setting<double> lambda_same{*this, "lambda-same", 1, "weight of giving a photo back that is its own style", "0..", kTrain};
};
// clang-format on

void style_preset(Config& config);
void style_tuned(Config& config, bool cpu);
void style_check(const Config& config);
std::unique_ptr<Model> make_style();
}  // namespace gan
