// CycleGAN's row of the zoo; how it works is in cyclegan.cpp.
#pragma once
#include "models/players/model.h"

namespace gan {

// clang-format off
struct CycleGanSettings : Group<CycleGanSettings> {
  CycleGanSettings() : Group("cycle") {}
  Setting<double> lambda_cycle{*this, "lambda-cycle", 10, "weight of the mean distance between a picture and its way there and back", "0..", kTrain};
  Setting<double> lambda_identity{*this, "lambda-identity", 0, "weight of leaving a picture of the other side as it is, times --lambda-cycle; 0: not asked", "0..", kTrain};
};
// clang-format on

void cyclegan_preset(Config& config);
void cyclegan_tuned(Config& config, bool cpu);
void cyclegan_check(const Config& config);
std::unique_ptr<Model> make_cyclegan();
}  // namespace gan
