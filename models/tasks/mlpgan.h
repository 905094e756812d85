// The MLP GAN's row of the zoo; the network is in mlpgan.cpp.
#pragma once
#include "models/players/model.h"

namespace gan {
void mlpgan_preset(Config& config);
void mlpgan_tuned(Config& config, bool cpu);
void mlpgan_check(const Config& config);
std::unique_ptr<Model> make_mlpgan();
}  // namespace gan
