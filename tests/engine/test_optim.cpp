// Optimisers against their formulas, and learning-rate policies.
#include <doctest/doctest.h>

#include <cmath>

#include "engine/learning/optim.h"

using namespace gan;

TEST_CASE("Adam and SGD against their formulas") {
  DeviceContext context(Device::ref);
  Parameters p;
  const int w = p.declare({.name = "w", .shape = {1}, .picture = {}, .mean = 2});
  p.build(context, 1, 1);
  AdamOptimiser adam(p, {.beta1 = 0.5, .beta2 = 0.9, .weight_decay = 0.1});
  double x = 2, m = 0, v = 0;
  for (int t = 1; t <= 5; ++t) {
    p.forget_gradients();
    context.tape().backward(sum(multiply(p[w], p[w])));
    if (t % 2 == 1) adam.prepare(0.01, 2);  // two updates in each step
    context.step_values().upload();
    adam.step();
    const double g = 2 * x + 0.1 * x;
    m = 0.5 * m + 0.5 * g;
    v = 0.9 * v + 0.1 * g * g;
    x -= 0.01 * (m / (1 - std::pow(0.5, t))) / (std::sqrt(v / (1 - std::pow(0.9, t))) + 1e-8);
    CHECK(p.value(w).host()[0] == doctest::Approx(x).epsilon(1e-13));
  }
  SgdOptimiser sgd(p, 0.9, 0);
  double u = 0;
  for (int t = 1; t <= 3; ++t) {
    p.forget_gradients();
    context.tape().backward(sum(multiply(p[w], p[w])));
    sgd.prepare(0.1);
    context.step_values().upload();
    sgd.step();
    u = 0.9 * u + 2 * x;
    x -= 0.1 * u;
    CHECK(p.value(w).host()[0] == doctest::Approx(x).epsilon(1e-13));
  }
}

TEST_CASE("an optimiser takes the updates that were announced, no others") {
  DeviceContext context(Device::ref);
  Parameters p;
  p.declare({.name = "w", .shape = {1}, .picture = {}, .mean = 2});
  p.build(context, 1, 1);
  AdamOptimiser adam(p, {});
  CHECK_THROWS_WITH_AS(adam.step(), doctest::Contains("was not announced"), Error);
  adam.prepare(0.01, 2);
  CHECK_THROWS_WITH_AS(adam.step(), doctest::Contains("begin_step()"), Error);
  context.step_values().upload();
  adam.prepare(0.01, 2);  // says nothing new
  adam.step();
  adam.step();
  CHECK(adam.steps == 2);
  CHECK_THROWS_WITH_AS(adam.step(), doctest::Contains("update 3"), Error);
}

TEST_CASE("learning-rate policies change at the end of an epoch, and the last epoch still learns") {
  CHECK(learning_rate_factor("constant", 99, 100) == 1);
  CHECK(learning_rate_factor("linear", 0, 100) == 1);
  CHECK(learning_rate_factor("linear", 49, 100) == 1);
  CHECK(learning_rate_factor("linear", 50, 100) == doctest::Approx(50.0 / 51));
  CHECK(learning_rate_factor("linear", 99, 100) == doctest::Approx(1.0 / 51));
  CHECK(learning_rate_factor("step", 33, 99) == doctest::Approx(0.1));
  CHECK(learning_rate_factor("step", 98, 99) == doctest::Approx(0.01));
  CHECK(learning_rate_factor("cosine", 50, 100) == doctest::Approx(0.5));
  CHECK(learning_rate_factor("cosine", 99, 100) > 0);
  CHECK(learning_rate_factor("cyclic", 0, 40) == 1);
  CHECK(learning_rate_factor("cyclic", 5, 40) == doctest::Approx(0.1));
  CHECK(learning_rate_factor("cyclic", 10, 40) == 1);
  CHECK_THROWS_WITH_AS(learning_rate_factor("cosin", 1, 2), doctest::Contains("cosine"), Error);
}
