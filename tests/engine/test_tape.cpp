// The tape: gradients that are shared, frozen or not wanted, in one pass or with gradients on the tape.
#include <doctest/doctest.h>

#include "engine/tensor/ops.h"
#include "tests/cases/run_case.h"
#include "tests/support/gradcheck.h"

using namespace gan;
using gan::tests::gradient;
using gan::tests::leaf;

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

TEST_CASE("a loss that a backward pass begins with hands on what its kernel saved") {
  for (Device device : tests::usable({Device::ref, Device::cpu, Device::simt, Device::cuda})) {
    DeviceContext context(device);
    const Tensor a = leaf(context, {4}, {1, 2, 3, 4}), b = leaf(context, {4}, {0, 4, 3, 2});
    const auto pixels = [&](double scale) { return pixel_loss(a, b, PixelLossKind::l1, scale).loss; };
    const auto forget = [&] {
      for (const Tensor* t : {&a, &b}) t->gradient()->received = false;
    };
    const auto operations = [&](const Tensor& loss) {
      const int64_t before = context.operations();
      context.tape().backward(loss);
      return context.operations() - before;
    };
    operations(pixels(1));  // makes the 1 that they all begin with
    forget();
    CHECK(operations(pixels(8)) == 2);  // copies, for parameters keep their memory
    CHECK(gradient(a) == std::vector<double>{2, -2, 0, 2});
    CHECK(gradient(b) == std::vector<double>{-2, 2, 0, -2});
    // A sum of two hands the 1 on to both: copies and additions.
    forget();
    CHECK(operations(add(pixels(8), pixels(4))) == 2 + 2);
    CHECK(gradient(a) == std::vector<double>{3, -3, 0, 3});
    // Behind a factor the gradient is no 1.
    forget();
    CHECK(operations(affine(pixels(8), 3)) == 1 + 2 + 2);
    CHECK(gradient(a) == std::vector<double>{6, -6, 0, 6});
    CHECK(gradient(b) == std::vector<double>{-6, 6, 0, -6});
    // The 1 is still one.
    forget();
    CHECK(operations(pixels(4)) == 2);
    CHECK(gradient(a) == std::vector<double>{1, -1, 0, 1});
  }
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
  context.tape().backward(sum(leaf(context, {1}, {0})));  // the 1 that they begin with stays
  const size_t before = context.pool().live_bytes();
  {
    Tensor y = x;
    for (int i = 0; i < 20; ++i) y = activation(y, {Act::tanh});
    context.tape().backward(sum(y));
  }
  CHECK(context.pool().live_bytes() == before);
}

TEST_CASE("gradients on the tape: of what was asked for, leaving what is collected and recorded alone") {
  DeviceContext context(Device::ref);
  Tape& tape = context.tape();
  const Tensor w = leaf(context, {2}, {2, -3});
  context.tape().backward(sum(leaf(context, {1}, {0})));  // the 1 that they begin with stays
  const size_t before = context.pool().live_bytes();
  {
    Tensor values(context, {2});
    values.upload(std::span<const double>(std::vector<double>{5, 7}));
    const Tensor x = variable(values);
    const Tensor h = multiply(w, multiply(x, x));
    const Tensor y = sum(multiply(h, h));  // sum w^2 x^4
    const size_t recorded = tape.size();
    const auto g = tape.gradients(y, {x, h});
    CHECK(g[0].host() == std::vector<double>{4 * 4 * 125, 4 * 9 * 343});  // 4 w^2 x^3
    CHECK(g[1].host() == std::vector<double>{2 * 2 * 25, 2 * -3 * 49});   // 2 h
    CHECK(tape.size() > recorded);
    CHECK_FALSE(w.gradient()->received);
    CHECK_FALSE(x.gradient()->received);
    // The loss and a penalty on its gradient, in one backward pass.
    tape.backward(add(y, sum(g[0], 0.5)));
    // d/dw: 2 w x^4 + 4 w x^3
    CHECK(gradient(w) == std::vector<double>{2 * 2 * 625 + 4 * 2 * 125, 2 * -3 * 2401 + 4 * -3 * 343});
    // d/dx: 4 w^2 x^3 + 6 w^2 x^2
    CHECK(gradient(x) == std::vector<double>{4 * 4 * 125 + 6 * 4 * 25, 4 * 9 * 343 + 6 * 9 * 49});
    tape.clear();  // what the gradient of h alone needed
  }
  CHECK(context.pool().live_bytes() == before);
}

TEST_CASE("gradients on the tape: inputs that are unknown, do not lead there, or were dropped") {
  DeviceContext context(Device::ref);
  Tape& tape = context.tape();
  const Tensor x = leaf(context, {2}, {1, 2}), other = leaf(context, {2}, {1, 2});
  const Tensor y = sum(multiply(x, x));
  CHECK_THROWS_WITH_AS(tape.gradients(y, {x.detach()}), doctest::Contains("unknown to the tape"), Error);
  CHECK_THROWS_WITH_AS(tape.gradients(y, {other}), doctest::Contains("does not lead to the scalar"), Error);
  CHECK_THROWS_WITH_AS(tape.gradients(multiply(x, x), {x}), doctest::Contains("starts from a scalar"), Error);
  tape.backward(y);
  CHECK_THROWS_WITH_AS(tape.gradients(y, {x}), doctest::Contains("backward() has dropped"), Error);
}

TEST_CASE("records describe themselves, and say what they are in ONNX") {
  DeviceContext context(Device::ref, DeviceContext::Mode::plan);
  std::vector<std::string> told;
  context.tape().on_operation = [&](const Tape::Node& node) {
    std::string text = std::string(node.record->name()) + ": " + to_string(node.record->attributes()) + ":";
    const Exported exported = node.record->exported();
    for (const ExportedOperator& o : exported.chain)
      text += " " + o.type + "(" + to_string(o.attributes) + ")(" + to_string(o.constants) + ")";
    CHECK_FALSE(node.output);  // nothing wants a gradient
    told.push_back(text + exported.refusal);
  };
  const Tensor x(context, {1, 4, 6, 2}), w(context, {8, 3, 3, 2}), back(context, {8, 4, 4, 1}),
      dense(context, {5, 48});
  conv2d(x, w, {}, {.kernel = 3, .stride = 1, .padding = Padding::reflect}, {Act::leaky_relu, 0.2});
  const Tensor h = conv2d(x, w, {}, {.kernel = 3});
  conv_transpose2d(h, back, {}, {}, {Act::tanh});
  linear(reshape(x, {1, 48}), dense, {}, {Act::relu});
  sum(x);
  discriminator_loss(x, x, GanLoss::hinge);
  const std::vector<std::string> wanted = {
      "conv2d: kernel=3 stride=1 pad=1 padding=reflect act=leaky_relu slope=0.2: "
      "Pad(mode=reflect)(pads=(0,0,1,1,0,0,1,1)) "
      "Conv(kernel_shape=(3,3) strides=(1,1) dilations=(1,1) group=1)() LeakyRelu(alpha=0.2)()",
      "conv2d: kernel=3 stride=2 pad=1: "
      "Conv(kernel_shape=(3,3) strides=(2,2) dilations=(1,1) group=1 pads=(1,1,1,1))()",
      "conv_transpose2d: kernel=4 stride=2 pad=1 act=tanh: "
      "ConvTranspose(kernel_shape=(4,4) strides=(2,2) dilations=(1,1) group=1 pads=(1,1,1,1) "
      "output_padding=(0,0))() Tanh()()",
      "reshape: : Transpose(perm=(0,2,3,1))() Reshape()(shape=(1,48))",
      "linear: act=relu: Gemm(transB=1)() Relu()()",
      "sum: scale=1: ReduceSum(keepdims=0)() Reshape()(shape=(1)) Mul()(scale=1)",
      "discriminator_loss: kind=hinge real_label=1 fake_label=0 scale=1:a loss belongs to training"};
  CHECK(told == wanted);
}
