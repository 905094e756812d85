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

namespace {
// The mean over scales of one(scale's number, factor).
template <class One>
LossValue over_scales(size_t scales, double scale, const One& one_of) {
  const double part = 1.0 / double(scales);
  LossValue sum;
  for (size_t i = 0; i < scales; ++i) {
    const LossValue one = one_of(i, scale * part);
    sum.loss = sum.loss ? add(sum.loss, one.loss) : one.loss;
    const Tensor values = part == 1 ? one.values : affine(one.values, part);
    sum.values = sum.values ? add(sum.values, values) : values;
  }
  return sum;
}
}  // namespace

LossValue discriminator_loss(const std::vector<Tensor>& real, const std::vector<Tensor>& fake,
                             const AdversarialSettings& settings, double scale) {
  return over_scales(fake.size(), scale, [&](size_t i, double factor) {
    return discriminator_loss(real[i], fake[i], settings.kind(), settings.real_label(), 0, factor);
  });
}

LossValue discriminator_loss(const std::vector<Tensor>& logits, RealHalf real,
                             const AdversarialSettings& settings, double scale) {
  return over_scales(logits.size(), scale, [&](size_t i, double factor) {
    return discriminator_loss(logits[i], real, settings.kind(), settings.real_label(), 0, factor);
  });
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
