// Training in bfloat16: what is kept in which type, and that a step is that of float32 but for rounding.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "engine/tensor/step_values.h"
#include "kernels/shared/bf16.h"
#include "models/losses/image_pool.h"
#include "models/tasks/zoo.h"
#include "models/training/feeder.h"
#include "tests/cases/run_case.h"
#include "tests/support/preset.h"

using namespace gan;
using gan::tests::preset;
using gan::tests::usable;

namespace {

Config small(const std::string& name, const std::string& precision) {
  Config c = preset(name);
  c.size = name == "mlpgan" ? 8 : name == "pix2pix" ? 64 : 32, c.load_size = c.size, c.batch = 2;
  c.precision = precision;
  if (c.has<ConvSettings>()) put(c, "ngf", 8), put(c, "ndf", 8);
  if (c.has<PoolSettings>() && name != "pix2pix") put(c, "netG", "resnet_6");
  return c;
}

struct Trained {
  Trained(Device device, const Config& config, int steps)
      : context(device), model(build_model(context, config)) {
    StepInput input = model->planned_input(context, config.batch);
    uint32_t number = 0;
    for (auto& [name, draws] : input.tensors)
      for (Tensor& values : draws)
        values = cast(activation(random_normal(context, values.shape(), 3, 100, number++), {Act::tanh}),
                      context.activations());
    input.log = true;
    input.learning_rate = input.learning_rate_d = 1e-4;
    for (int i = 0; i < steps; ++i, ++input.step, ++input.draw) {
      model->begin_step(input);
      add_noise(*model, context, input);
      metrics = model->step(input).read();
    }
  }
  DeviceContext context;
  std::unique_ptr<Model> model;
  Metrics metrics;
};

std::vector<double> rounded(std::vector<double> values) {
  for (double& v : values) v = double(to_float(to_bf16(float(v))));
  return values;
}

}  // namespace

TEST_CASE("precision: words, and what auto is on each device") {
  CHECK(precision_of("auto", Device::cuda) == Precision::bf16);
  CHECK(precision_of("auto", Device::cpu) == Precision::fp32);
  CHECK(precision_of("tf32", Device::cpu) == Precision::tf32);
  DeviceContext cpu(Device::cpu), ref(Device::ref);
  cpu.set_precision(Precision::bf16), ref.set_precision(Precision::bf16);
  CHECK(cpu.activations() == DType::bf16);
  CHECK(cpu.real() == DType::f32);
  CHECK(ref.activations() == DType::f64);
}

TEST_CASE("precision: tf32 takes the rows that round float32 factors, and no other precision does") {
  Gemm product;
  product.m = product.n = product.k = 64;
  float buffer = 0;
  product.a = product.b = In{&buffer}, product.c = Out{&buffer};
  const auto& gemm = find_backend(Device::simt)->gemm.gemm;
  DeviceContext context(Device::simt);
  context.set_precision(Precision::tf32);
  CHECK(std::string(gemm.pick(product).name) == "mma_tf32");
  CHECK(std::string(gemm.pick(product, true).name) == "tiled");  // strict
  context.set_precision(Precision::fp32);
  CHECK(std::string(gemm.pick(product).name) == "tiled");
}

TEST_CASE(
    "precision: in bf16 learnt weights, moments, gradients and losses are float32, and products read rounded weights") {
  for (Device device : usable({Device::cpu, Device::simt, Device::cuda})) {
    CAPTURE(std::string(name_of(device)));
    Config config = small("dcgan", "bf16");
    config.ema = 0.9;
    Trained t(device, config, 2);
    for (auto& network : t.model->networks) {
      const Parameters& p = network->parameters;
      CHECK(p.weights().dtype() == DType::f32);
      CHECK(p.gradients().dtype() == DType::f32);
      CHECK(network->adam.m.dtype() == DType::f32);
      // What the optimiser wrote beside the weights is their rounding.
      CHECK(p.rounded().dtype() == DType::bf16);
      CHECK(p.rounded().host() == rounded(p.weights().host()));
      CHECK(p.weights().host() != p.rounded().host());
      for (size_t i = 0; i < p.infos().size(); ++i) {
        const ParameterInfo& info = p.infos()[i];
        if (info.buffer) continue;
        CHECK(p[int(i)].dtype() == (info.shape.rank >= 2 ? DType::bf16 : DType::f32));
        CHECK(p.learnt(int(i)).dtype() == DType::f32);
      }
      // Another writer than the optimiser: the rounded weights follow at their next use.
      const std::vector<float> halves(size_t(p.infos()[0].shape.count()), 0.5009765625f);  // 0.5 in bfloat16
      p.import_values(0, halves, p.weights());
      CHECK(p[0].host() == std::vector<double>(halves.size(), 0.5));
    }
  }
}

TEST_CASE(
    "precision: a step of every model in bf16 is float32's but for rounding, and the next ones stay near") {
#ifdef __SANITIZE_ADDRESS__
  const std::vector<std::string> names = {"dcgan", "pix2pix"};
#else
  std::vector<std::string> names;
  for (const ZooEntry& entry : zoo()) names.push_back(entry.name);
#endif
  for (const std::string& name : names) {
    CAPTURE(name);
    for (const int steps : {1, 3}) {
      CAPTURE(steps);
      const Trained exact(Device::cpu, small(name, "fp32"), steps),
          t(Device::cpu, small(name, "bf16"), steps);
      REQUIRE(t.metrics.size() == exact.metrics.size());
      for (size_t i = 0; i < t.metrics.size(); ++i) {
        CAPTURE(t.metrics[i].first);
        // A loss is a mean over many activations that are 2^-9 off each, in either direction. A norm of gradients has gone
        // back through a dozen layers, and after other steps starts elsewhere: then it says little.
        const bool norm = t.metrics[i].first.starts_with("grad_norm");
        const double got = t.metrics[i].second, want = exact.metrics[i].second;
        CHECK(std::isfinite(got));
        if (norm && steps > 1) continue;
        CHECK(std::abs(got - want) <= (norm ? 0.15 : 0.06) * std::abs(want) + 0.02);
      }
    }
  }
}

TEST_CASE("precision: operations on two tensors bring both into one type, and gradients back") {
  DeviceContext context(Device::cpu);
  context.set_precision(Precision::bf16);
  const Tensor wide = variable(random_normal(context, {2, 4, 4, 3}, 1, 1, 0));
  const Tensor narrow = variable(cast(wide.detach(), DType::bf16));
  const Tensor sum = add(wide, narrow);
  CHECK(sum.dtype() == DType::bf16);
  const LossValue loss = pixel_loss(multiply(sum, wide), narrow, PixelLossKind::l2);
  CHECK(loss.loss.dtype() == DType::f32);
  context.tape().backward(loss.loss);
  CHECK(wide.gradient()->value.dtype() == DType::f32);
  CHECK(narrow.gradient()->value.dtype() == DType::bf16);
  // d/dw mean((w + n) w - n)^2 with w = n = x: 2 (2 x^2 - x) * 3x / count; for the other 2 (2 x^2 - x) (x - 1) / count.
  const std::vector<double> x = wide.host(), dw = wide.gradient()->value.host(),
                            dn = narrow.gradient()->value.host();
  for (size_t i = 0; i < x.size(); ++i) {
    const double outer = 2 * (2 * x[i] * x[i] - x[i]) / double(x.size());
    // Each of some five roundings of numbers up to this size moves the result by 2^-9 of it at most.
    const double size = 2 * (2 * x[i] * x[i] + std::abs(x[i])) * (3 * std::abs(x[i]) + 1) / double(x.size());
    CHECK(std::abs(dw[i] - outer * 3 * x[i]) <= 8 * 0x1p-9 * size + 1e-6);
    CHECK(std::abs(dn[i] - outer * (x[i] - 1)) <= 8 * 0x1p-9 * size + 1e-6);
  }
}
