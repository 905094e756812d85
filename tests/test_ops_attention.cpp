// Attention, resampling and layer norm as operations of the engine: every gradient that the tape finds on
// device ref against central finite differences, and the same values on cpu and simt.
#include <doctest/doctest.h>

#include <cmath>
#include <functional>

#include "engine/ops.h"
#include "tests/run_case.h"

using namespace gan;

namespace {

// What an operation makes of its inputs.
using Operation = std::function<Tensor(const std::vector<Tensor>&)>;

std::vector<double> random_values(Shape shape, uint32_t step) {
  DeviceContext context(Device::ref);
  return random_normal(context, shape, 77, 1, step).host();
}

// A scalar of the operation's result that no symmetry of it hides: its product with fixed random numbers. The
// gradients of the inputs, where wanted.
double weighted_result(Device device, const Operation& operation, const std::vector<Shape>& shapes,
                       const std::vector<std::vector<double>>& values,
                       std::vector<std::vector<double>>* gradients, std::vector<double>* result = nullptr) {
  DeviceContext context(device);
  std::vector<Tensor> inputs;
  for (size_t i = 0; i < shapes.size(); ++i) {
    Tensor t(context, shapes[i]);
    t.upload(std::span<const double>(values[i]));
    auto slot = std::make_shared<Gradient>();
    slot->value = Tensor(context, shapes[i]);
    slot->parameter = true;
    if (gradients) t.set_gradient(slot);
    inputs.push_back(t);
  }
  const Tensor y = operation(inputs);
  if (result) *result = y.host();
  const Tensor weights = random_normal(context, y.shape(), 78, 1, 0);
  const Tensor total = sum(multiply(y, weights));
  if (gradients) {
    context.tape().backward(total);
    for (const Tensor& t : inputs) {
      REQUIRE(t.gradient()->received);
      gradients->push_back(t.gradient()->value.host());
    }
  }
  return total.host()[0];
}

// Central differences with step 1e-6 err by about 1e-10 relative to the sum they are taken of.
void check_operation(const char* name, const Operation& operation, const std::vector<Shape>& shapes) {
  CAPTURE(name);
  std::vector<std::vector<double>> values, gradients, elsewhere;
  for (size_t i = 0; i < shapes.size(); ++i) values.push_back(random_values(shapes[i], uint32_t(i)));
  std::vector<double> exact, other;
  const double size =
      std::abs(weighted_result(Device::ref, operation, shapes, values, &gradients, &exact)) + 1;
  constexpr double step = 1e-6;
  for (size_t input = 0; input < shapes.size(); ++input)
    for (size_t i = 0; i < values[input].size(); ++i) {
      auto up = values, down = values;
      up[input][i] += step;
      down[input][i] -= step;
      const double measured = (weighted_result(Device::ref, operation, shapes, up, nullptr) -
                               weighted_result(Device::ref, operation, shapes, down, nullptr)) /
                              (2 * step);
      CAPTURE(input);
      CAPTURE(i);
      CHECK(std::abs(measured - gradients[input][i]) <= 1e-8 * size + 1e-6 * std::abs(measured));
    }
  // The devices' own precision is the case table's business; here, that their entries are wired up alike.
  for (Device device : tests::usable({Device::cpu, Device::simt, Device::cuda})) {
    elsewhere.clear();
    weighted_result(device, operation, shapes, values, &elsewhere, &other);
    REQUIRE(other.size() == exact.size());
    for (size_t i = 0; i < exact.size(); ++i)
      CHECK(other[i] == doctest::Approx(exact[i]).epsilon(1e-4).scale(1));
    for (size_t input = 0; input < shapes.size(); ++input)
      for (size_t i = 0; i < gradients[input].size(); ++i)
        CHECK(elsewhere[input][i] == doctest::Approx(gradients[input][i]).epsilon(1e-4).scale(1));
  }
}

}  // namespace

TEST_CASE("attention: gradients of queries, keys and values") {
  check_operation("attention", [](const auto& in) { return attention(in[0], in[1], in[2], 0.8); },
                  {{2, 3, 4}, {2, 5, 4}, {2, 5, 2}});
  // One tensor in all three places collects the sum of its gradients.
  check_operation("self-attention", [](const auto& in) { return attention(in[0], in[0], in[0]); },
                  {{1, 6, 3}});
}

TEST_CASE("attention: equal keys give the plain mean; shapes that do not fit are refused with all three") {
  DeviceContext context(Device::cpu);
  const Tensor q = random_normal(context, {1, 4, 3}, 1, 1, 0), v = random_normal(context, {1, 5, 2}, 1, 2, 0);
  Tensor k(context, {1, 5, 3});
  k.zero();
  const auto o = attention(q, k, v).host(), values = v.host();
  for (int c = 0; c < 2; ++c) {
    double mean = 0;
    for (int m = 0; m < 5; ++m) mean += values[size_t(m * 2 + c)] / 5;
    for (int n = 0; n < 4; ++n) CHECK(o[size_t(n * 2 + c)] == doctest::Approx(mean).epsilon(1e-6));
  }
  CHECK_THROWS_WITH_AS(attention(q, v, k), doctest::Contains("(1,4,3), keys (1,5,2) and values (1,5,3)"),
                       Error);
}

TEST_CASE("layer norm: gradients of pictures, rows, gamma and beta") {
  check_operation("layer norm of pictures",
                  [](const auto& in) {
                    return layer_norm(in[0], in[1], in[2], {Act::leaky_relu, 0.2});
                  },
                  {{2, 2, 3, 4}, {4}, {4}});
  check_operation("layer norm of rows, plain", [](const auto& in) { return layer_norm(in[0], {}, {}); },
                  {{3, 5}});
  DeviceContext context(Device::cpu);
  const Tensor x(context, {2, 3, 3, 4}), gamma(context, {3});
  CHECK_THROWS_WITH_AS(layer_norm(x, gamma, gamma), doctest::Contains("(2,3,3,4) with gamma or beta (3)"),
                       Error);
}

TEST_CASE("pooling and resizing: gradients") {
  const Shape picture{2, 5, 4, 3};
  const auto check = [&](const char* name, const std::function<Tensor(const Tensor&)>& f) {
    check_operation(name, [&](const auto& in) { return f(in[0]); }, {picture});
  };
  check("max pool", [](const Tensor& x) { return max_pool(x, {.kernel = 3, .stride = 2, .pad = 1}); });
  check("max pool, ceil mode", [](const Tensor& x) { return max_pool(x, {.ceil_mode = true}); });
  check("average pool",
        [](const Tensor& x) { return average_pool(x, {.kernel = 3, .stride = 1, .pad = 1}); });
  check("adaptive", [](const Tensor& x) { return adaptive_average_pool(x, 3, 3); });
  check("nearest", [](const Tensor& x) { return resize_nearest(x, 10, 8); });
  check("bilinear", [](const Tensor& x) { return resize_bilinear(x, 7, 9); });
  check("bilinear, corners", [](const Tensor& x) { return resize_bilinear(x, 9, 3, true); });
  check_operation("pixel shuffle", [](const auto& in) { return pixel_shuffle(in[0], 2); }, {{1, 2, 3, 8}});
  check_operation("pixel unshuffle", [](const auto& in) { return pixel_unshuffle(in[0], 2); },
                  {{1, 4, 2, 3}});
}

TEST_CASE("pooling and resizing: shapes, and the refusal of those that do not fit") {
  DeviceContext context(Device::cpu);
  const Tensor x = random_normal(context, {1, 5, 7, 8}, 1, 1, 0);
  CHECK(max_pool(x).shape() == Shape{1, 2, 3, 8});
  CHECK(max_pool(x, {.ceil_mode = true}).shape() == Shape{1, 3, 4, 8});
  CHECK(average_pool(x, {.kernel = 2, .stride = 1}).shape() == Shape{1, 4, 6, 8});
  CHECK(adaptive_average_pool(x, 6, 1).shape() == Shape{1, 6, 1, 8});
  CHECK(resize_bilinear(x, 10, 14).shape() == Shape{1, 10, 14, 8});
  CHECK(pixel_shuffle(x, 2).shape() == Shape{1, 10, 14, 2});
  CHECK(pixel_unshuffle(pixel_shuffle(x, 2), 2).host() == x.host());
  CHECK_THROWS_AS(max_pool(x, {.kernel = 9}), Error);
  CHECK_THROWS_AS(max_pool(x, {.kernel = 2, .pad = 2}), Error);
  CHECK_THROWS_AS(average_pool(x, {.stride = 0}), Error);
  CHECK_THROWS_AS(resize_nearest(x, 0, 3), Error);
  CHECK_THROWS_AS(resize_bilinear(x, 20000, 3), Error);
  CHECK_THROWS_AS(pixel_shuffle(x, 3), Error);
  CHECK_THROWS_AS(pixel_unshuffle(x, 2), Error);
}

TEST_CASE("concatenation of channels: order, gradients, refusal") {
  for (const Activation act : {Activation{}, Activation{Act::relu}, Activation{Act::leaky_relu, 0.2}})
    check_operation("concat", [&](const auto& in) { return concat_channels(in[0], in[1], act); },
                    {{2, 2, 3, 3}, {2, 2, 3, 4}});
  // One tensor in both places collects both gradients.
  check_operation("concat with itself", [](const auto& in) { return concat_channels(in[0], in[0]); },
                  {{1, 2, 2, 3}});
  DeviceContext context(Device::cpu);
  const Tensor a = random_normal(context, {1, 2, 2, 2}, 1, 1, 0),
               b = random_normal(context, {1, 2, 2, 1}, 1, 2, 0);
  const auto y = concat_channels(a, b).host(), from_a = a.host(), from_b = b.host();
  for (size_t pixel = 0; pixel < 4; ++pixel) {
    CHECK(y[3 * pixel] == from_a[2 * pixel]);
    CHECK(y[3 * pixel + 1] == from_a[2 * pixel + 1]);
    CHECK(y[3 * pixel + 2] == from_b[pixel]);
  }
  CHECK_THROWS_WITH_AS(concat_channels(a, Tensor(context, {1, 2, 3, 1})),
                       doctest::Contains("(1,2,2,2) and (1,2,3,1)"), Error);
}

TEST_CASE("dropout: gradients, the same mask on every device, another one for another layer, step or seed") {
  const DropoutKey key{.seed = 3, .step = 5, .layer = 2};
  check_operation("dropout", [&](const auto& in) { return dropout(in[0], 0.4, key); }, {{2, 3, 3, 5}});
  // A mean of n elements that are 0 or 1/(1-p) has deviation sqrt(p/(1-p)/n); five of them are out of reach.
  DeviceContext context(Device::cpu);
  Tensor ones(context, {10000});
  ones.upload(std::span<const double>(std::vector<double>(10000, 1.0)));
  auto dropped = [&](const DropoutKey& k) { return dropout(ones, 0.4, k).host(); };
  const auto y = dropped(key);
  double mean = 0;
  for (double v : y) {
    CHECK((v == 0 || v == doctest::Approx(1 / 0.6)));
    mean += v / 10000;
  }
  CHECK(std::abs(mean - 1) < 5 * std::sqrt(0.4 / 0.6 / 10000));
  CHECK(dropped(key) == y);
  for (const DropoutKey& other : {DropoutKey{4, 5, 2}, DropoutKey{3, 6, 2}, DropoutKey{3, 5, 3}}) {
    const auto z = dropped(other);
    int same = 0;
    for (size_t i = 0; i < z.size(); ++i) same += z[i] == y[i];
    CHECK(std::abs(same - 5200) < 250);  // 0.4^2 + 0.6^2 of 10000, deviation 50
  }
  CHECK_THROWS_AS(dropout(ones, 1, key), Error);
}
