// The engine's own encoder, learnt from pictures without labels: models/tasks/encoder.cpp.
#pragma once
#include <memory>

#include "models/players/model.h"

namespace gan {

// clang-format off
struct EncoderSettings : Group<EncoderSettings> {
  EncoderSettings() : Group("encoder") {}
  Setting<std::string> task{*this, "task", "colour", "what the encoder learns by: guessing colours, telling which way up a picture stands, finding the other half of a picture among others, or giving a picture back", "colour|rotation|halves|autoencoder", kTrain | kInspect | kNetwork};
  Setting<double> lambda_size{*this, "lambda-size", 0.1, "weight of keeping each level's activations as large as those of random filters, so that losses on levels need no other weights", "0..", kTrain};
};
// clang-format on

void encoder_preset(Config& config);
void encoder_tuned(Config& config, bool cpu);
void encoder_check(const Config& config);
std::unique_ptr<Model> make_encoder();

}  // namespace gan
