// Losses on the cpu: value and gradient in one pass. The formulas stand above GanLoss in contract/loss.h.
#include <cmath>

#include "kernels/cpu/loops.h"

namespace gan::cpu {
namespace {

// ----------------------------------------------------------------------------------- losses of the players

struct LossTerm {
  double value, gradient;
};
// log(1 + e^x) without overflow.
double softplus(double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))); }
double sigmoid(double x) {
  const double e = std::exp(-std::abs(x));
  return x >= 0 ? 1 / (1 + e) : e / (1 + e);
}
// max(x, 0) - x*label + log(1 + e^-|x|)
LossTerm cross_entropy(double x, double label) { return {softplus(x) - x * label, sigmoid(x) - label}; }
LossTerm square(double x, double label) { return {(x - label) * (x - label), 2 * (x - label)}; }

// The discriminator's loss of one logit; sign is +1 for real pictures and -1 for made ones.
LossTerm discriminator_term(GanLoss kind, double x, double label, double sign) {
  switch (kind) {
    case GanLoss::vanilla:
    case GanLoss::minimax: return cross_entropy(x, label);
    case GanLoss::lsgan: return square(x, label);
    case GanLoss::hinge:
      if (std::isnan(x)) return {x, x};
      return sign * x < 1 ? LossTerm{1 - sign * x, -sign} : LossTerm{0, 0};
    case GanLoss::wasserstein: return {-sign * x, -sign};
  }
  return {0, 0};
}
LossTerm generator_term(GanLoss kind, double x) {
  switch (kind) {
    case GanLoss::vanilla: return cross_entropy(x, 1);
    case GanLoss::minimax: return {-softplus(x), -sigmoid(x)};
    case GanLoss::lsgan: return square(x, 1);
    case GanLoss::hinge:
    case GanLoss::wasserstein: return {-x, -1};
  }
  return {0, 0};
}

void put(const Out& out, int64_t i, double gradient) {
  if (!out) return;
  float& to = static_cast<float*>(out.data)[i];
  to = float(out.acc == Acc::add ? to + gradient : gradient);
}

// Logits are few (one or some hundred per picture): one thread, float64.
void run(const DiscriminatorLoss& a, Stream&) {
  const bool as_probability = a.kind == GanLoss::vanilla || a.kind == GanLoss::minimax;
  const auto half = [&](const In& logits, int64_t count, double label, double sign, const Out& gradients,
                        double& loss, double& score) {
    const float* x = logits.as<float>();
    loss = score = 0;
    for (int64_t i = 0; i < count; ++i) {
      const LossTerm term = discriminator_term(a.kind, x[i], label, sign);
      loss += term.value;
      score += as_probability ? sigmoid(x[i]) : double(x[i]);
      put(gradients, i, a.scale * term.gradient / double(count));
    }
    loss /= double(count);
    score /= double(count);
  };
  double loss_real, loss_fake, score_real, score_fake;
  half(a.real, a.real_count, a.real_label, 1, a.d_real, loss_real, score_real);
  half(a.fake, a.fake_count, a.fake_label, -1, a.d_fake, loss_fake, score_fake);
  put(a.values, 0, loss_real);
  put(a.values, 1, loss_fake);
  put(a.values, 2, score_real);
  put(a.values, 3, score_fake);
  put(a.loss, 0, a.scale * (loss_real + loss_fake));
}

void run(const GeneratorLoss& a, Stream&) {
  const float* x = a.fake.as<float>();
  double loss = 0;
  for (int64_t i = 0; i < a.count; ++i) {
    const LossTerm term = generator_term(a.kind, x[i]);
    loss += term.value;
    put(a.d_fake, i, a.scale * term.gradient / double(a.count));
  }
  put(a.values, 0, loss / double(a.count));
  put(a.loss, 0, a.scale * (loss / double(a.count)));
}

// -------------------------------------------------------------------------------------------- pixel losses

// The loss of one difference and its slope. The subgradient at 0 is 0; a NaN stays one.
template <PixelLossKind kind>
GAN_INLINE double pixel_term(float d, float& slope) {
  const float size = d < 0 ? -d : d;
  slope = 2.0f * d;
  if constexpr (kind == PixelLossKind::l2) return double(d) * double(d);
  slope = d;
  if (d > 0) slope = 1.0f;
  if (d < 0) slope = -1.0f;
  if constexpr (kind == PixelLossKind::l1) return double(size);
  if (size > 1) return double(size) - 0.5;
  slope = d;
  return 0.5 * double(d) * double(d);
}
// The block's sum of losses in 16 float64 lanes; gradients where wanted: da = +g, db = -g.
template <PixelLossKind kind, bool add_a, bool add_b>
GAN_INLINE double pixel_loss_loop(const float* a, const float* b, int64_t count, float scale, float* da,
                                  float* db) {
  double lane[16] = {};
  const auto one = [&](int64_t i, int64_t j) GAN_LAMBDA_INLINE {
    float slope;
    lane[j] += pixel_term<kind>(a[i] - b[i], slope);
    const float g = scale * slope;
    if (da) store<add_a>(da[i], g);
    if (db) store<add_b>(db[i], -g);
  };
  int64_t i = 0;
  for (; i + 16 <= count; i += 16)
    for (int64_t j = 0; j < 16; ++j) one(i + j, j);
  for (; i < count; ++i) one(i, i % 16);
  double total = 0;
  for (double l : lane) total += l;
  return total;
}
GAN_TARGET_CLONES
double pixel_loss_block(PixelLossKind kind, const float* a, const float* b, int64_t count, float scale,
                        float* da, Acc acc_a, float* db, Acc acc_b) {
  double total = 0;
  with_accumulate(acc_a, [&](auto add_a) GAN_LAMBDA_INLINE {
    with_accumulate(acc_b, [&](auto add_b) GAN_LAMBDA_INLINE {
      constexpr bool a_adds = decltype(add_a)::value, b_adds = decltype(add_b)::value;
      using enum PixelLossKind;
      switch (kind) {
        case l1: total = pixel_loss_loop<l1, a_adds, b_adds>(a, b, count, scale, da, db); break;
        case l2: total = pixel_loss_loop<l2, a_adds, b_adds>(a, b, count, scale, da, db); break;
        case huber: total = pixel_loss_loop<huber, a_adds, b_adds>(a, b, count, scale, da, db); break;
      }
    });
  });
  return total;
}
void run(const PixelLoss& a, Stream& stream) {
  constexpr int64_t block = 4096;
  const int64_t blocks = (a.count + block - 1) / block;
  const float *x = a.a.as<float>(), *y = a.b.as<float>();
  float *dx = a.da.as<float>(), *dy = a.db.as<float>();
  const float scale = float(a.scale / double(a.count));
  double* partial = static_cast<double*>(stream.scratch(size_t(blocks) * sizeof(double)));
  parallel_ranges(blocks, block, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      const int64_t at = b * block;
      partial[b] = pixel_loss_block(a.kind, x + at, y + at, std::min(block, a.count - at), scale,
                                    dx ? dx + at : nullptr, a.da.acc, dy ? dy + at : nullptr, a.db.acc);
    }
  });
  double total = 0;
  for (int64_t b = 0; b < blocks; ++b) total += partial[b];
  put(a.value, 0, total / double(a.count));
  put(a.loss, 0, a.scale * (total / double(a.count)));
}

// ----------------------------------------------------------------------------------------- the variants

const Variant<DiscriminatorLoss> discriminator_variants[] = {
    {"loops", "f32", "any size", f32_only<DiscriminatorLoss>, run}};
const Variant<GeneratorLoss> generator_variants[] = {
    {"loops", "f32", "any size", f32_only<GeneratorLoss>, run}};
const Variant<PixelLoss> pixel_variants[] = {{"loops", "f32", "any size", f32_only<PixelLoss>, run}};
}  // namespace

const LossTable loss = {{discriminator_variants}, {generator_variants}, {pixel_variants}};

}  // namespace gan::cpu
