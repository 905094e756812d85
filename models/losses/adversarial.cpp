// The losses by their names, and over several scales.
#include "models/losses/adversarial.h"

namespace gan {

GanLoss AdversarialSettings::kind() const {
  if (gan_loss == "vanilla") return GanLoss::vanilla;
  if (gan_loss == "minimax") return GanLoss::minimax;
  if (gan_loss == "lsgan") return GanLoss::lsgan;
  if (gan_loss == "hinge") return GanLoss::hinge;
  fail(Exit::usage, "unknown gan-loss `{}`: vanilla, minimax, lsgan or hinge", gan_loss);
}

LossValue discriminator_loss(const std::vector<Tensor>& real, const std::vector<Tensor>& fake,
                             const AdversarialSettings& settings, double scale) {
  const double part = 1.0 / double(fake.size());
  LossValue sum;
  for (size_t i = 0; i < fake.size(); ++i) {
    const LossValue one =
        discriminator_loss(real[i], fake[i], settings.kind(), settings.real_label(), 0, scale * part);
    sum.loss = sum.loss ? add(sum.loss, one.loss) : one.loss;
    const Tensor values = part == 1 ? one.values : affine(one.values, part);
    sum.values = sum.values ? add(sum.values, values) : values;
  }
  return sum;
}

Tensor rejection_loss(const std::vector<Tensor>& logits, const AdversarialSettings& settings, double scale) {
  Tensor sum;
  for (const Tensor& one : logits) {
    // The kernel computes both halves; of the half for real pictures, which gets no gradient, nothing is left.
    const double part = scale / double(logits.size());
    const LossValue both =
        discriminator_loss(one.detach(), one, settings.kind(), settings.real_label(), 0, part);
    const Tensor loss = subtract(both.loss, affine(both.values.view(0, {1}), part));
    sum = sum ? add(sum, loss) : loss;
  }
  return sum;
}

Tensor generator_loss(const std::vector<Tensor>& fake, const AdversarialSettings& settings) {
  Tensor sum;
  for (const Tensor& logits : fake) {
    const Tensor loss = generator_loss(logits, settings.kind(), 1.0 / double(fake.size())).loss;
    sum = sum ? add(sum, loss) : loss;
  }
  return sum;
}

}  // namespace gan
