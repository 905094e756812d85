// DCGAN's row of the zoo; the network is in dcgan.cpp.
#pragma once
#include "models/players/model.h"

namespace gan {
void dcgan_preset(Config& config);
void dcgan_tuned(Config& config, bool cpu);
void dcgan_check(const Config& config);
std::unique_ptr<Model> make_dcgan();
}  // namespace gan
