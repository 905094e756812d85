// Losses: adversarial ones from logits, and the distance between two pictures.
#pragma once
#include "kernels/contract/ports.h"
#include "kernels/contract/variant.h"

namespace gan {

// With logits r = D(real), f = D(fake) and softplus(x) = log(1 + e^x):
//                discriminator, real               discriminator, fake           generator
//   vanilla      softplus(-r) against label 1      softplus(f)                   softplus(-f)
//   (non-saturating) minimax      the same                          the same -softplus(f) = log(1 -
//   sigmoid(f)) lsgan        (r - label)^2                     (f - label)^2                 (f - 1)^2 hinge
//   max(0, 1 - r)                     max(0, 1 + f)                 -f wasserstein  -r f -f
// each a plain mean over its logits. Labels other than 1 and 0 (smoothing) make vanilla/minimax the cross
// entropy max(x,0) - x*label + log(1 + e^-|x|). Sources: Goodfellow 2014, Mao 2017, Lim & Ye 2017, Arjovsky
// 2017.
enum class GanLoss : uint8_t { vanilla, minimax, lsgan, hinge, wasserstein };

// Value and gradient in one launch, both halves together. The gradients are those of
// scale * (loss_real + loss_fake).
struct DiscriminatorLoss {
  static constexpr const char* op = "discriminator_loss";
  GanLoss kind = GanLoss::vanilla;
  int64_t real_count = 0, fake_count = 0;
  double real_label = 1, fake_label = 0;  // vanilla, minimax, lsgan
  double scale = 1;
  In real, fake;       // logits
  Out d_real, d_fake;  // their gradients; may be unwanted
  // loss_real, loss_fake (unscaled), and the mean of sigmoid(logit) for vanilla and minimax or of the logit
  // itself for the others, real then fake.
  Out values;
  Out loss = {};  // scale * (loss_real + loss_fake); may be unwanted

  static constexpr auto ports() {
    constexpr ExtentsOf<DiscriminatorLoss> reals = [](const DiscriminatorLoss& o) -> Extents {
      return {o.real_count};
    };
    constexpr ExtentsOf<DiscriminatorLoss> fakes = [](const DiscriminatorLoss& o) -> Extents {
      return {o.fake_count};
    };
    constexpr ExtentsOf<DiscriminatorLoss> four = [](const DiscriminatorLoss&) -> Extents { return {4}; };
    return std::array{reads("real", &DiscriminatorLoss::real, reals),
                      reads("fake", &DiscriminatorLoss::fake, fakes),
                      writes("d_real", &DiscriminatorLoss::d_real, reals).optional(),
                      writes("d_fake", &DiscriminatorLoss::d_fake, fakes).optional(),
                      writes("values", &DiscriminatorLoss::values, four, Kind::float32).set_only(),
                      writes("loss", &DiscriminatorLoss::loss, scalar, Kind::float32).set_only().optional()};
  }
  void sizes(Sizes& s) {
    s.size("real", real_count, 256, 1 << 16);
    s.size("fake", fake_count, 256, 1 << 16);
    s.choice("kind", kind, {"vanilla", "minimax", "lsgan", "hinge", "wasserstein"});
  }
  const char* wrong() const {
    return real_count >= 1 && fake_count >= 1 ? nullptr : "there must be logits of both";
  }
};

struct GeneratorLoss {
  static constexpr const char* op = "generator_loss";
  GanLoss kind = GanLoss::vanilla;
  int64_t count = 0;
  double scale = 1;
  In fake;        // logits
  Out d_fake;     // gradient of scale * loss; may be unwanted
  Out values;     // the loss, unscaled
  Out loss = {};  // scale * the loss; may be unwanted

  static constexpr auto ports() {
    return std::array{reads("fake", &GeneratorLoss::fake, elements),
                      writes("d_fake", &GeneratorLoss::d_fake, elements).optional(),
                      writes("values", &GeneratorLoss::values, scalar, Kind::float32).set_only(),
                      writes("loss", &GeneratorLoss::loss, scalar, Kind::float32).set_only().optional()};
  }
  void sizes(Sizes& s) {
    s.size("count", count, 256, 1 << 16);
    s.choice("kind", kind, {"vanilla", "minimax", "lsgan", "hinge", "wasserstein"});
  }
  const char* wrong() const { return count >= 1 ? nullptr : "there must be logits"; }
};

// With d = a - b: |d|, d^2, and huber, which is d^2/2 up to |d| = 1 and |d| - 1/2 beyond (smooth_l1_loss, beta 1).
enum class PixelLossKind : uint8_t { l1, l2, huber };
// value = the mean of one of these (unscaled); da, db = gradients of scale * value, which may be unwanted.
struct PixelLoss {
  static constexpr const char* op = "pixel_loss";
  PixelLossKind kind = PixelLossKind::l1;
  int64_t count = 0;
  double scale = 1;
  In a, b;
  Out da, db;
  Out value;
  Out loss = {};  // scale * value; may be unwanted

  static constexpr auto ports() {
    return std::array{reads("a", &PixelLoss::a, elements),
                      reads("b", &PixelLoss::b, elements),
                      writes("da", &PixelLoss::da, elements).optional(),
                      writes("db", &PixelLoss::db, elements).optional(),
                      writes("value", &PixelLoss::value, scalar, Kind::float32).set_only(),
                      writes("loss", &PixelLoss::loss, scalar, Kind::float32).set_only().optional()};
  }
  void sizes(Sizes& s) {
    s.size("count", count, 16384, 1 << 20);
    s.choice("kind", kind, {"l1", "l2", "huber"});
  }
  const char* wrong() const { return count >= 1 ? nullptr : "there must be elements"; }
};

struct LossTable {
  static constexpr const char* family = "loss";
  Op<DiscriminatorLoss> discriminator = {};
  Op<GeneratorLoss> generator = {};
  Op<PixelLoss> pixel = {};

  template <class Table, class F>
  static constexpr void for_each(Table& table, F&& f) {
    f(table.discriminator);
    f(table.generator);
    f(table.pixel);
  }
};

}  // namespace gan
