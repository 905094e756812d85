// The losses of the two players: which one, and how real pictures are labelled.
#pragma once
#include "engine/ops.h"
#include "engine/settings/config.h"

namespace gan {

// clang-format off
struct AdversarialSettings : Group<AdversarialSettings> {
  AdversarialSettings() : Group("adversarial loss") {}
  Setting<std::string> gan_loss{*this, "gan-loss", "vanilla", "vanilla is the non-saturating form", "vanilla|minimax|lsgan|hinge", kTrain};
  Setting<double> label_smooth{*this, "label-smooth", 0, "the label of real pictures is 1 minus this", "0..0.5", kTrain};

  GanLoss kind() const;
  double real_label() const { return 1 - label_smooth; }
};
// clang-format on

}  // namespace gan
