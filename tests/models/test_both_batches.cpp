// Real and fake pictures in one pass through a discriminator: the same as in two passes, with half as many launches.
#include <doctest/doctest.h>

#include <cmath>

#include "models/losses/adversarial.h"
#include "models/networks/patchgan.h"
#include "models/players/judge.h"

using namespace gan;

namespace {

// A patch discriminator of two scales with batch norm, and two batches of pictures.
struct Bench {
  explicit Bench(Device device) : context(device) {
    discriminator = std::make_unique<PatchGan>(
        network.parameters,
        PatchOptions{.in = 3, .width = 4, .layers = 2, .norm = NormKind::batch, .scales = 2});
    network.parameters.build(context, 5, 1);
    first = random_normal(context, {3, 32, 32, 3}, 1, 2, 0);
    // Other statistics than the first batch has.
    second = affine(random_normal(context, {3, 32, 32, 3}, 1, 2, 1), 0.5, 0.7);
  }
  void learn(const LossValue& value) {
    loss = value.loss.host()[0];
    values = value.values.host();
    context.tape().backward(value.loss);
    network.parameters.complete_gradients();
    gradients = network.parameters.gradients().host();
    running = network.parameters.statistics().host();
  }
  DeviceContext context;
  Network network;
  std::unique_ptr<Discriminator> discriminator;
  Tensor first, second;
  double loss = 0;
  std::vector<double> values, gradients, running;
};

// The largest difference, over the largest number.
double apart(const std::vector<double>& a, const std::vector<double>& b) {
  REQUIRE(a.size() == b.size());
  double difference = 0, size = 0;
  for (size_t i = 0; i < a.size(); ++i)
    difference = std::max(difference, std::abs(a[i] - b[i])), size = std::max(size, std::abs(b[i]));
  return difference / size;
}

}  // namespace

TEST_CASE("both batches in one pass give what two passes give") {
  AdversarialSettings settings;
  for (const RealHalf real : {RealHalf::first, RealHalf::second})
    for (const char* kind : {"vanilla", "hinge"}) {
      settings.gan_loss = kind;
      // In float64 the order of additions moves the last of 16 digits; through ten layers, some more.
      Bench one(Device::ref), two(Device::ref);
      one.learn(discriminator_loss(judge_both(one.network, *one.discriminator, one.first, one.second), real,
                                   settings, 0.5));
      const auto logits = judge(two.network, *two.discriminator, two.first),
                 others = judge(two.network, *two.discriminator, two.second);
      two.learn(real == RealHalf::first ? discriminator_loss(logits, others, settings, 0.5)
                                        : discriminator_loss(others, logits, settings, 0.5));
      CHECK(one.loss == doctest::Approx(two.loss).epsilon(1e-12).scale(0));
      CHECK(apart(one.values, two.values) < 1e-12);
      CHECK(apart(one.gradients, two.gradients) < 1e-11);
      // First the first batch's, then the second's: the other order would end elsewhere.
      CHECK(apart(one.running, two.running) < 1e-12);
      Bench turned(Device::ref);
      judge_both(turned.network, *turned.discriminator, turned.second, turned.first);
      CHECK(apart(turned.network.parameters.statistics().host(), two.running) > 1e-4);
    }
}

TEST_CASE("both batches: concat_batch, and norms that refuse what they cannot do") {
  DeviceContext context(Device::cpu);
  const Tensor a = variable(random_normal(context, {2, 3, 3, 2}, 1, 1, 0)),
               b = variable(random_normal(context, {1, 3, 3, 2}, 1, 1, 1));
  const Tensor both = concat_batch(a, b);
  CHECK(both.shape() == Shape{3, 3, 3, 2});
  std::vector<double> wanted = a.host();
  for (double value : b.host()) wanted.push_back(value);
  CHECK(both.host() == wanted);
  context.tape().backward(sum(multiply(both, both)));
  const std::vector<double> values = b.host(), gradient = b.gradient()->value.host();
  for (size_t i = 0; i < values.size(); ++i) CHECK(gradient[i] == doctest::Approx(2 * values[i]));
  CHECK_THROWS_AS(concat_batch(a, random_normal(context, {2, 3, 2, 2}, 1, 1, 0)), Error);
  // Three pictures are not two batches.
  CHECK_THROWS_AS(normalise(both, NormKind::batch, {}, {}, 0.1, 1e-5, 2), Error);
}
