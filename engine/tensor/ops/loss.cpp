// Losses. A kernel computes the value and the gradients of the logits or pictures together; the backward pass
// only scales them. In operations the gradient is written out again where it depends on its input.
#include "engine/tensor/ops/backward.h"

namespace gan {

namespace {

constexpr const char* kPixelLossNames[] = {"l1", "l2", "huber"};
constexpr const char* kLossNames[] = {"vanilla", "minimax", "lsgan", "hinge", "wasserstein"};

Tensor like_if_wanted(const Tensor& t) {
  return t.needs_gradient() ? Tensor(t.context(), t.shape(), t.dtype()) : Tensor();
}

// Adds to the gradient of `input` what the kernel `saved`, times the loss's gradient, unless that is the 1 which the
// backward pass began with.
void give_saved(const Tensor& input, const Tensor& saved, const Tensor& dy) {
  if (!input.needs_gradient()) return;
  const bool whole = dy.context().tape().is_seed(dy);
  give_gradient(input, whole ? saved : multiply_by(saved, dy));
}

// The gradient of scale * loss with respect to logits that shall have this label. Where it depends on them it
// is sigmoid(x) - label, or 2 (x - label); for hinge and wasserstein it is constant, what the kernel saved.
Tensor logit_gradient(GanLoss kind, const Tensor& logits, double label, double scale, const Tensor& saved) {
  const double each = scale / double(logits.count());
  switch (kind) {
    case GanLoss::vanilla:
    case GanLoss::minimax: return affine(activation(logits, {Act::sigmoid}), each, -label * each);
    case GanLoss::lsgan: return affine(logits, 2 * each, -2 * label * each);
    case GanLoss::hinge:
    case GanLoss::wasserstein: break;
  }
  return saved;
}

// x where it lies between -1 and 1, else the nearer of the two.
Tensor between_ones(const Tensor& x) {
  const Activation relu{Act::relu};
  return affine(subtract(activation(affine(x, 1, 1), relu), activation(affine(x, 1, -1), relu)), 1, -1);
}

Exported no_loss() { return not_exported("a loss belongs to training"); }

struct DiscriminatorLossRecord {
  Tensor real, fake, d_real, d_fake;
  GanLoss kind;
  double real_label, fake_label, scale;

  const char* name() const { return "discriminator_loss"; }
  Tensors inputs() const { return {&real, &fake}; }
  Attributes attributes() const {
    return {{"kind", kLossNames[int(kind)]},
            {"real_label", real_label},
            {"fake_label", fake_label},
            {"scale", scale}};
  }
  void backward(const Tensor& dy) const {
    give_saved(real, d_real, dy);
    give_saved(fake, d_fake, dy);
  }
  void backward_in_operations(const Tensor& dy, Gradients& to) const {
    if (to.wants(real)) to.give(real, multiply_by(logit_gradient(kind, real, real_label, scale, d_real), dy));
    if (to.wants(fake)) to.give(fake, multiply_by(logit_gradient(kind, fake, fake_label, scale, d_fake), dy));
  }
  Exported exported() const { return no_loss(); }
};

struct HalvesLossRecord {
  Tensor logits, saved;
  RealHalf real;
  GanLoss kind;

  static constexpr const char* refuses_second_gradient = "give the logits of real and of fake pictures apart";
  const char* name() const { return "discriminator_loss_of_halves"; }
  Tensors inputs() const { return {&logits}; }
  Attributes attributes() const {
    return {{"kind", kLossNames[int(kind)]}, {"real", real == RealHalf::first ? "first" : "second"}};
  }
  void backward(const Tensor& dy) const { give_saved(logits, saved, dy); }
  Exported exported() const { return no_loss(); }
};

struct GeneratorLossRecord {
  Tensor fake, d_fake;
  GanLoss kind;
  double scale;

  const char* name() const { return "generator_loss"; }
  Tensors inputs() const { return {&fake}; }
  Attributes attributes() const { return {{"kind", kLossNames[int(kind)]}, {"scale", scale}}; }
  void backward(const Tensor& dy) const { give_saved(fake, d_fake, dy); }
  void backward_in_operations(const Tensor& dy, Gradients& to) const {
    // minimax is what the discriminator loses on fakes, with the other sign; the others want the label 1.
    const bool minimax = kind == GanLoss::minimax;
    const Tensor d = logit_gradient(kind, fake, minimax ? 0 : 1, minimax ? -scale : scale, d_fake);
    to.give(fake, multiply_by(d, dy));
  }
  Exported exported() const { return no_loss(); }
};

struct PixelLossRecord {
  Tensor a, b, da, db;
  PixelLossKind kind;
  double scale;

  const char* name() const { return "pixel_loss"; }
  Tensors inputs() const { return {&a, &b}; }
  Attributes attributes() const { return {{"kind", kPixelLossNames[int(kind)]}, {"scale", scale}}; }
  void backward(const Tensor& dy) const {
    give_saved(a, da, dy);
    give_saved(b, db, dy);
  }
  void backward_in_operations(const Tensor& dy, Gradients& to) const {
    if (kind == PixelLossKind::l1) {  // constant pieces
      if (to.wants(a)) to.give(a, multiply_by(da, dy));
      if (to.wants(b)) to.give(b, multiply_by(db, dy));
      return;
    }
    Tensor slope = subtract(a, b);  // of l2 twice that
    if (kind == PixelLossKind::huber) slope = between_ones(slope);
    const double each = (kind == PixelLossKind::l2 ? 2 : 1) * scale / double(a.count());
    slope = multiply_by(slope, dy);
    if (to.wants(a)) to.give(a, affine(slope, each));
    if (to.wants(b)) to.give(b, affine(slope, -each));
  }
  Exported exported() const { return no_loss(); }
};

}  // namespace

LossValue discriminator_loss(const Tensor& real_logits, const Tensor& fake_logits, GanLoss kind,
                             double real_label, double fake_label, double scale) {
  const auto [real, fake] = in_one_type(real_logits, fake_logits);
  DeviceContext& c = real.context();
  const Tensor d_real = like_if_wanted(real), d_fake = like_if_wanted(fake), values(c, {4});
  Tensor loss(c, {1});
  c.run(c.kernels().loss.discriminator, {.kind = kind,
                                         .real_count = real.count(),
                                         .fake_count = fake.count(),
                                         .real_label = real_label,
                                         .fake_label = fake_label,
                                         .scale = scale,
                                         .real = real.in(),
                                         .fake = fake.in(),
                                         .d_real = d_real.out(),
                                         .d_fake = d_fake.out(),
                                         .values = values.out(),
                                         .loss = loss.out()});
  record(loss, DiscriminatorLossRecord{real, fake, d_real, d_fake, kind, real_label, fake_label, scale});
  return {loss, values};
}

LossValue discriminator_loss(const Tensor& logits, RealHalf real, GanLoss kind, double real_label,
                             double fake_label, double scale) {
  GAN_CHECK(logits.dim(0) % 2 == 0, "halves of {}", to_string(logits.shape()));
  DeviceContext& c = logits.context();
  const int64_t half = logits.count() / 2, reals = real == RealHalf::first ? 0 : half;
  const Tensor saved = like_if_wanted(logits), values(c, {4});
  const auto part = [&](const Tensor& of, int64_t first) { return of ? of.view(first, {half}) : Tensor(); };
  Tensor loss(c, {1});
  c.run(c.kernels().loss.discriminator, {.kind = kind,
                                         .real_count = half,
                                         .fake_count = half,
                                         .real_label = real_label,
                                         .fake_label = fake_label,
                                         .scale = scale,
                                         .real = part(logits, reals).in(),
                                         .fake = part(logits, half - reals).in(),
                                         .d_real = part(saved, reals).out(),
                                         .d_fake = part(saved, half - reals).out(),
                                         .values = values.out(),
                                         .loss = loss.out()});
  record(loss, HalvesLossRecord{logits, saved, real, kind});
  return {loss, values};
}

LossValue generator_loss(const Tensor& fake, GanLoss kind, double scale) {
  DeviceContext& c = fake.context();
  const Tensor d_fake = like_if_wanted(fake), values(c, {1});
  Tensor loss(c, {1});
  c.run(c.kernels().loss.generator, {.kind = kind,
                                     .count = fake.count(),
                                     .scale = scale,
                                     .fake = fake.in(),
                                     .d_fake = d_fake.out(),
                                     .values = values.out(),
                                     .loss = loss.out()});
  record(loss, GeneratorLossRecord{fake, d_fake, kind, scale});
  return {loss, values};
}

LossValue pixel_loss(const Tensor& one, const Tensor& other, PixelLossKind kind, double scale) {
  const auto [a, b] = in_one_type(one, other);
  GAN_CHECK(a.shape() == b.shape(), "pixel loss of {} and {}", to_string(a.shape()), to_string(b.shape()));
  DeviceContext& c = a.context();
  const Tensor da = like_if_wanted(a), db = like_if_wanted(b), value(c, {1});
  Tensor loss(c, {1});
  c.run(c.kernels().loss.pixel, {.kind = kind,
                                 .count = a.count(),
                                 .scale = scale,
                                 .a = a.in(),
                                 .b = b.in(),
                                 .da = da.out(),
                                 .db = db.out(),
                                 .value = value.out(),
                                 .loss = loss.out()});
  record(loss, PixelLossRecord{a, b, da, db, kind, scale});
  return {loss, value};
}

}  // namespace gan
