// The operations of the engine, family by family: every gradient that the tape finds on device ref against
// finite differences, the same on the other devices, shapes and refusals. Second derivatives:
// test_second_gradients.cpp.
#include <doctest/doctest.h>

#include <cmath>

#include "engine/tensor/ops.h"
#include "tests/support/gradcheck.h"

using namespace gan;
using gan::tests::check_gradients;

TEST_CASE("attention: gradients of queries, keys and values") {
  check_gradients("attention", [](const auto& in) { return attention(in[0], in[1], in[2], 0.8); },
                  {{2, 3, 4}, {2, 5, 4}, {2, 5, 2}});
  // One tensor in all three places collects the sum of its gradients.
  check_gradients("self-attention", [](const auto& in) { return attention(in[0], in[0], in[0]); },
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
  check_gradients("layer norm of pictures",
                  [](const auto& in) {
                    return layer_norm(in[0], in[1], in[2], {Act::leaky_relu, 0.2});
                  },
                  {{2, 2, 3, 4}, {4}, {4}});
  check_gradients("layer norm of rows, plain", [](const auto& in) { return layer_norm(in[0], {}, {}); },
                  {{3, 5}});
  DeviceContext context(Device::cpu);
  const Tensor x(context, {2, 3, 3, 4}), gamma(context, {3});
  CHECK_THROWS_WITH_AS(layer_norm(x, gamma, gamma), doctest::Contains("(2,3,3,4) with gamma or beta (3)"),
                       Error);
}

TEST_CASE("pooling and resizing: gradients") {
  const Shape picture{2, 5, 4, 3};
  const auto check = [&](const char* name, const std::function<Tensor(const Tensor&)>& f) {
    check_gradients(name, [&](const auto& in) { return f(in[0]); }, {picture});
  };
  check("max pool", [](const Tensor& x) { return max_pool(x, {.kernel = 3, .stride = 2, .pad = 1}); });
  check("max pool, ceil mode", [](const Tensor& x) { return max_pool(x, {.ceil_mode = true}); });
  check("average pool",
        [](const Tensor& x) { return average_pool(x, {.kernel = 3, .stride = 1, .pad = 1}); });
  check("adaptive", [](const Tensor& x) { return adaptive_average_pool(x, 3, 3); });
  check("nearest", [](const Tensor& x) { return resize_nearest(x, 10, 8); });
  check("bilinear", [](const Tensor& x) { return resize_bilinear(x, 7, 9); });
  check("bilinear, corners", [](const Tensor& x) { return resize_bilinear(x, 9, 3, true); });
  check_gradients("pixel shuffle", [](const auto& in) { return pixel_shuffle(in[0], 2); }, {{1, 2, 3, 8}});
  check_gradients("pixel unshuffle", [](const auto& in) { return pixel_unshuffle(in[0], 2); },
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
    check_gradients("concat", [&](const auto& in) { return concat_channels(in[0], in[1], act); },
                    {{2, 2, 3, 3}, {2, 2, 3, 4}});
  // One tensor in both places collects both gradients.
  check_gradients("concat with itself", [](const auto& in) { return concat_channels(in[0], in[0]); },
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
  check_gradients("dropout", [&](const auto& in) { return dropout(in[0], 0.4, key); }, {{2, 3, 3, 5}});
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
