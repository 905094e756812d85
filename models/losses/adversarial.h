// The losses of the two players: which one, how real pictures are labelled, and the sum over a discriminator's
// scales.
#pragma once
#include "engine/settings/config.h"
#include "engine/tensor/ops.h"

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

// scale * (loss of the real logits + loss of the fake ones). Several scales count alike: loss and values are the
// means of theirs. values (4): loss_real, loss_fake, D_real, D_fake.
LossValue discriminator_loss(const std::vector<Tensor>& real, const std::vector<Tensor>& fake,
                             const AdversarialSettings& settings, double scale = 1);
// The same of logits whose halves are of real and of fake pictures.
LossValue discriminator_loss(const std::vector<Tensor>& logits, RealHalf real,
                             const AdversarialSettings& settings, double scale = 1);
// scale * the loss of logits of pictures that are to be rejected, as fake ones are; the mean over the scales.
Tensor rejection_loss(const std::vector<Tensor>& logits, const AdversarialSettings& settings,
                      double scale = 1);
// The mean over the scales.
Tensor generator_loss(const std::vector<Tensor>& fake, const AdversarialSettings& settings);

}  // namespace gan
