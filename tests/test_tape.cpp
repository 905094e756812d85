// The engine below the models: tape, gradients that are shared, frozen or not wanted, layouts, schedules, the
// pool.
#include <doctest/doctest.h>

#include <cmath>

#include "engine/nn.h"
#include "engine/optim.h"
#include "tests/run_case.h"

using namespace gan;

namespace {

Tensor leaf(DeviceContext& context, Shape shape, const std::vector<double>& values) {
  Tensor t(context, shape);
  t.upload(std::span<const double>(values));
  auto slot = std::make_shared<Gradient>();
  slot->value = Tensor(context, shape);
  slot->parameter = true;
  t.set_gradient(slot);
  return t;
}
std::vector<double> gradient(const Tensor& t) {
  REQUIRE(t.gradient()->received);
  return t.gradient()->value.host();
}

}  // namespace

TEST_CASE("a value used twice collects both gradients") {
  for (Device device : tests::usable({Device::ref, Device::cpu, Device::simt, Device::cuda})) {
    DeviceContext context(device);
    const Tensor x = leaf(context, {3}, {1, 2, 3});
    // y = sum((x + x) * x) = 2 sum x^2, so dy/dx = 4 x
    context.tape().backward(sum(multiply(add(x, x), x)));
    CHECK(gradient(x) == std::vector<double>{4, 8, 12});
  }
}

TEST_CASE("an intermediate's gradient that was shared is copied before something is added to it") {
  DeviceContext context(Device::ref);
  const Tensor x = leaf(context, {2}, {1, -2});
  const Tensor a = affine(x, 3);          // 3x
  const Tensor b = add(a, a);             // its gradient goes to `a` twice, shared
  const Tensor c = add(b, affine(a, 5));  // and once more
  context.tape().backward(sum(subtract(c, affine(b, 0.5))));
  // c - b/2 = 2a + 5a - a = 6a = 18x
  CHECK(gradient(x) == std::vector<double>{18, 18});
}

TEST_CASE("detach, NoGradient and unused inputs") {
  DeviceContext context(Device::ref);
  const Tensor x = leaf(context, {2}, {3, 5}), unused = leaf(context, {2}, {1, 1});
  const Tensor y = multiply(x.detach(), x);  // only one factor learns
  context.tape().backward(sum(y));
  CHECK(gradient(x) == std::vector<double>{3, 5});
  CHECK_FALSE(unused.gradient()->received);
  {
    NoGradient quiet(context);
    const Tensor z = multiply(x, x);
    CHECK_FALSE(z.needs_gradient());
    CHECK(context.tape().size() == 0);
    CHECK_THROWS_WITH_AS(context.tape().backward(sum(z)), doctest::Contains("nothing that leads to"), Error);
  }
  CHECK_THROWS_AS(context.tape().backward(multiply(x, x)), Error);  // no scalar
}

TEST_CASE("backward of one loss leaves the other player's nodes on the tape") {
  DeviceContext context(Device::ref);
  const Tensor g = leaf(context, {2}, {1, 2}), d = leaf(context, {2}, {3, 4});
  const Tensor fake = affine(g, 2);
  context.tape().backward(sum(multiply(fake.detach(), d)));  // D learns
  CHECK(gradient(d) == std::vector<double>{2, 4});
  CHECK_FALSE(g.gradient()->received);
  context.tape().backward(sum(multiply(fake, d.detach())));  // then G, from the same fake
  CHECK(gradient(g) == std::vector<double>{6, 8});
  CHECK(gradient(d) == std::vector<double>{2, 4});
  CHECK(context.tape().size() == 0);
}

TEST_CASE("memory falls as the backward pass goes, and is all back at the end") {
  DeviceContext context(Device::cpu);
  const Tensor x = leaf(context, {1000}, std::vector<double>(1000, 0.5));
  const size_t before = context.pool().live_bytes();
  {
    Tensor y = x;
    for (int i = 0; i < 20; ++i) y = activation(y, {Act::tanh});
    context.tape().backward(sum(y));
  }
  CHECK(context.pool().live_bytes() == before);
}

TEST_CASE("mismatched shapes are refused with both shapes") {
  DeviceContext context(Device::cpu);
  const Tensor a(context, {2, 3}), b(context, {3, 2}), image(context, {1, 8, 8, 3}), w(context, {4, 3, 3, 5});
  CHECK_THROWS_WITH_AS(add(a, b), doctest::Contains("(2,3) and (3,2)"), Error);
  CHECK_THROWS_WITH_AS(conv2d(image, w, {}, {.kernel = 3}), doctest::Contains("(4,3,3,5), wanted (4,3,3,3)"),
                       Error);
  CHECK_THROWS_AS(linear(a, b), Error);
  CHECK_THROWS_AS(reshape(a, {7}), Error);
  CHECK_THROWS_AS(a.view(4, {3}), Error);
}

TEST_CASE("a transposed convolution is the adjoint of its mirror, with output padding too") {
  DeviceContext context(Device::ref);
  for (int output_pad : {0, 1}) {
    const ConvOptions o{.kernel = 3, .stride = 2, .pad = 1, .output_pad = output_pad};
    const Tensor x = random_normal(context, {2, 4, 5, 3}, 1, 1, 0),
                 w = random_normal(context, {3, 3, 3, 2}, 1, 2, 0);
    const Tensor y = conv_transpose2d(x, w, {}, o);
    CHECK(y.shape() == Shape{2, 7 + output_pad, 9 + output_pad, 2});
    const Tensor v = random_normal(context, y.shape(), 1, 3, 0);
    const Tensor back = conv2d(v, w, {}, {.kernel = 3, .stride = 2, .pad = 1});
    const double left = sum(multiply(y, v)).host()[0], right = sum(multiply(x, back)).host()[0];
    CHECK(left == doctest::Approx(right).epsilon(1e-12));
  }
}

TEST_CASE("file layouts: convolutions and flattened pictures") {
  ParameterInfo conv{.name = "w", .shape = {2, 3, 4, 5}, .layout = Layout::conv, .picture = {}};
  std::vector<float> here(120);
  for (size_t i = 0; i < here.size(); ++i) here[i] = float(i);
  const auto there = conv.to_file(std::span<const float>(here));
  CHECK(conv.file_shape() == Shape{2, 5, 3, 4});
  for (int o = 0; o < 2; ++o)
    for (int y = 0; y < 3; ++y)
      for (int x = 0; x < 4; ++x)
        for (int i = 0; i < 5; ++i)
          CHECK(there[size_t(((o * 5 + i) * 3 + y) * 4 + x)] == here[size_t(((o * 3 + y) * 4 + x) * 5 + i)]);
  CHECK(conv.from_file(there) == here);

  // 2 outputs from a picture of 3 x 4 pixels with 5 channels, and the way back
  const Shape picture{3, 4, 5};
  ParameterInfo columns{.name = "c", .shape = {2, 60}, .layout = Layout::columns_picture, .picture = picture};
  ParameterInfo rows{.name = "r", .shape = {60, 2}, .layout = Layout::rows_picture, .picture = picture};
  const auto c = columns.to_file(std::span<const float>(here)),
             r = rows.to_file(std::span<const float>(here));
  for (int y = 0; y < 3; ++y)
    for (int x = 0; x < 4; ++x)
      for (int k = 0; k < 5; ++k)
        for (int o = 0; o < 2; ++o) {
          const int inside = (y * 4 + x) * 5 + k, outside = (k * 3 + y) * 4 + x;
          CHECK(c[size_t(o * 60 + outside)] == here[size_t(o * 60 + inside)]);
          CHECK(r[size_t(outside * 2 + o)] == here[size_t(inside * 2 + o)]);
        }
  CHECK(columns.from_file(c) == here);
  CHECK(rows.from_file(r) == here);
}

TEST_CASE("parameters: padded to 128 bytes, the same start on every device, frozen and forgotten gradients") {
  std::vector<std::vector<float>> starts;
  for (Device device : {Device::cpu, Device::ref}) {
    DeviceContext context(device);
    Parameters p;
    const int w = p.declare({.name = "w", .shape = {3, 5}, .picture = {}, .deviation = 0.02});
    const int b = p.declare({.name = "b", .shape = {7}, .picture = {}, .mean = 2});
    const int stat = p.declare({.name = "s", .shape = {7}, .picture = {}, .mean = 1, .buffer = true});
    const int v = p.declare({.name = "v", .shape = {40}, .picture = {}, .mean = 1, .deviation = 0.5});
    p.build(context, 11, 1);
    for (int i : {w, b, v}) CHECK(reinterpret_cast<size_t>(p[i].data()) % 128 == 0);
    CHECK(p.learnt_count() == 15 + 7 + 40);
    CHECK(p.value(b).host() == std::vector<double>(7, 2));
    CHECK(p.value(stat).host() == std::vector<double>(7, 1));
    auto start = p.value(w).host_f32();
    for (float x : p.value(v).host_f32()) start.push_back(x);
    starts.push_back(start);
    CHECK(p[w].needs_gradient());
    CHECK_FALSE(p[stat].needs_gradient());
    {
      Freeze still(p);
      CHECK_FALSE(p[w].needs_gradient());
    }
    context.tape().backward(sum(p[w]));
    p.complete_gradients();
    CHECK(p.gradient(w).host() == std::vector<double>(15, 1));
    CHECK(p.gradient(v).host() == std::vector<double>(40, 0));
    p.forget_gradients();
    context.tape().backward(sum(p[v], 3));
    p.complete_gradients();
    CHECK(p.gradient(w).host() == std::vector<double>(15, 0));
    CHECK(p.gradient(v).host() == std::vector<double>(40, 3));
  }
  CHECK(starts[0] == starts[1]);
}

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
    adam.step(0.01);
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
    sgd.step(0.1);
    u = 0.9 * u + 2 * x;
    x -= 0.1 * u;
    CHECK(p.value(w).host()[0] == doctest::Approx(x).epsilon(1e-13));
  }
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

TEST_CASE("the pool merges what comes back and hands out aligned blocks") {
  const Memory& memory = find_backend(Device::cpu)->memory;
  MemoryPool pool(memory, false);
  std::vector<void*> blocks;
  for (size_t bytes : {1u, 500u, 513u, 100000u, 3u << 20}) {
    blocks.push_back(pool.allocate(bytes));
    CHECK(reinterpret_cast<size_t>(blocks.back()) % 128 == 0);
  }
  const size_t reserved = pool.reserved_bytes();
  for (size_t i : {1, 3, 0, 4, 2}) pool.release(blocks[i]);
  CHECK(pool.live_bytes() == 0);
  void* whole = pool.allocate(reserved);  // fits only if everything was merged again
  CHECK(pool.reserved_bytes() == reserved);
  pool.release(whole);
  CHECK(pool.peak_bytes() == reserved);
}
