// Steps that are recorded and run again: what the host decides reaches a step through StepValues alone, so the
// same launches are the next step, bit for bit. Then the parts: the block of values, memory, refusals.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "engine/tensor/step_values.h"
#include "models/losses/image_pool.h"
#include "models/tasks/noise_gan.h"
#include "models/tasks/zoo.h"
#include "models/training/feeder.h"
#include "models/training/recorded_steps.h"
#include "tests/cases/run_case.h"
#include "tests/support/preset.h"
#include "tests/support/queues.h"

using namespace gan;
using gan::tests::preset;
using gan::tests::usable;

namespace {

constexpr int kSteps = 5;

// The smallest of each model, with everything on that changes from step to step.
Config smallest(const std::string& name) {
  Config c = preset(name);
  c.size = name == "mlpgan" ? 4 : name == "pix2pix" ? 64 : 32, c.load_size = c.size, c.batch = 2;
  c.ema = 0.9, c.weight_decay = 0.01;
  if (c.has<ConvSettings>()) put(c, "ngf", 2), put(c, "ndf", 2);
  if (c.has<NoiseSettings>()) put(c, "nz", 8), put(c, "n-critic", 2);
  // The pool is full after the first step; from then on a coin is thrown for each picture.
  if (c.has<PoolSettings>()) put(c, "dropout", true), put(c, "pool", 2);
  if (name == "pix2pix") put(c, "sn", "both");
  if (name != "pix2pix" && c.has<PoolSettings>()) put(c, "netG", "resnet_6");
  // Another stage launches other things: a recording serves one.
  if (name == "comic") put(c, "content-steps", 0);
  if (name == "style") put(c, "lambda-adversarial", 1), put(c, "lambda-tv", 1);
  return c;
}

// A model that takes steps as the training loop does, always with the same pictures.
struct Learner {
  Learner(Device device, const Config& config, DeviceContext::Mode mode = DeviceContext::Mode::run)
      : context(device, mode), model(build_model(context, config)), input(model->planned_input(context, 2)) {
    draw_pictures(0);
    input.log = true;
  }

  // Others for each `seed`, into tensors of their own.
  void draw_pictures(uint64_t seed) {
    uint32_t number = 0;
    for (auto& [name, draws] : input.tensors)
      for (Tensor& values : draws)
        values =
            cast(activation(random_normal(context, values.shape(), 3 + seed, 100, number++), {Act::tanh}),
                 context.activations());
  }

  // The operations of a step that are named `name`, as they run.
  int64_t count_of(const std::string& name, const std::function<void()>& step) {
    int64_t count = 0;
    context.tape().on_operation = [&](const Tape::Node& node) { count += node.record->name() == name; };
    step();
    context.tape().on_operation = nullptr;
    return count;
  }

  // What the host decides about step `step`, from 0; nothing is launched.
  void begin(int64_t step) {
    const double factor = learning_rate_factor("cosine", step, kSteps);
    input.learning_rate = 1e-3 * factor, input.learning_rate_d = 3e-3 * factor;
    input.step = step, input.draw = step * 2;
    model->begin_step(input);
  }
  // The step itself: noise, and both players.
  void launch() {
    add_noise(*model, context, input);
    result = model->step(input);
  }
  void take(int64_t step) {
    begin(step);
    launch();
  }

  // Everything that a step leaves behind, with names.
  std::vector<std::pair<std::string, std::vector<double>>> left() {
    std::vector<std::pair<std::string, std::vector<double>>> all;
    for (auto& network : model->networks) {
      const Parameters& p = network->parameters;
      for (const auto& [name, tensor] : {std::pair{"weights", p.weights()},
                                         {"gradients", p.gradients()},
                                         {"average", p.average()},
                                         {"statistics", p.statistics()},
                                         {"m", network->adam.m},
                                         {"v", network->adam.v}})
        if (tensor) all.emplace_back(network->name + " " + name, tensor.host());
      all.emplace_back(network->name + " steps", std::vector<double>{double(network->adam.steps)});
    }
    for (const auto& [name, tensor] : model->state()) all.emplace_back(name, tensor.host());
    for (const auto& [name, tensor] : result.scalars) all.emplace_back(name, tensor.host());
    return all;
  }

  DeviceContext context;
  std::unique_ptr<Model> model;
  StepInput input;
  StepResult result;
};

void check_equal(Learner& got, Learner& wanted, const char* when) {
  CAPTURE(when);
  const auto a = got.left(), b = wanted.left();
  REQUIRE(a.size() == b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    INFO(b[i].first);
    REQUIRE(a[i].first == b[i].first);
    CHECK(a[i].second == b[i].second);
    CHECK(std::all_of(a[i].second.begin(), a[i].second.end(),
                      [](double value) { return std::isfinite(value); }));
  }
}

}  // namespace

TEST_CASE("recording: a recorded step, run again with other values in the block alone, is the next step") {
#ifdef __SANITIZE_ADDRESS__  // many times as slow: the optimised build has all devices
  const auto devices = usable({Device::cpu});
#else
  const auto devices = usable({Device::ref, Device::cpu, Device::simt, Device::cuda});
#endif
  for (Device device : devices)
    for (const ZooEntry& entry : zoo()) {
      const std::string name = entry.name;
      CAPTURE(std::string(name_of(device)));
      CAPTURE(name);
      Config config = smallest(name);
      // simt, which is slow, takes one precision of each model; the emulation of tensor cores has cases of its own.
      const bool in_bf16 =
          device == Device::cpu || device == Device::cuda || name == "dcgan" || name == "pix2pix";
      for (const char* precision : {"fp32", "bf16"}) {
        if (device == Device::ref && precision == std::string("bf16")) continue;
        if (device == Device::simt && in_bf16 != (precision == std::string("bf16"))) continue;
        if (precision == std::string("bf16") && !in_bf16) continue;
        CAPTURE(std::string(precision));
        config.precision = precision;
        Learner eager(device, config), learner(device, config);
        for (int64_t step = 0; step < 2; ++step) eager.take(step), learner.take(step);

        eager.take(2);
        learner.begin(2);
        learner.context.start_recording();
        const int64_t masks = learner.count_of("dropout", [&] { learner.launch(); });
        Recording recording = learner.context.stop_recording();
        CHECK((masks > 0) == config.has<PoolSettings>());  // those that learn with dropout
        check_equal(learner, eager, "recorded");

        // What others write meanwhile is no memory of the recording's.
        const Tensor other = constant(learner.context, {1 << 18}, 7);
        const auto before = eager.left();
        eager.take(3);
        learner.begin(3);
        const int64_t operations = learner.context.operations();
        recording.run();
        CHECK(learner.context.operations() - operations == recording.operations());
        check_equal(learner, eager, "run again");
        CHECK(other.host() == std::vector<double>(1 << 18, 7.0));
        CHECK(eager.left() != before);

        eager.take(4);
        learner.take(4);
        check_equal(learner, eager, "a step that is not recorded, after it");
      }
    }
}

TEST_CASE(
    "recorded steps: as the training loop takes them, the next one's pictures drawn meanwhile, they are the same steps") {
  struct Way {
    Device device;
    DeviceContext::Mode mode;
    simt::QueueOrder order;
  };
  using Mode = DeviceContext::Mode;
  std::vector<Way> ways;
  for (Device device : usable({Device::cpu, Device::cuda})) ways.push_back({device, Mode::run, {}});
#ifndef __SANITIZE_ADDRESS__  // many times as slow
  ways.push_back({Device::simt, Mode::queued, simt::QueueOrder::late});
  ways.push_back({Device::simt, Mode::queued, simt::QueueOrder::early});
#endif
  for (const Way& way : ways)
    for (const ZooEntry& entry : zoo()) {
      const std::string name = entry.name;
      if (way.device == Device::simt && name != "mlpgan" && name != "dcgan" && name != "pix2pix") continue;
      CAPTURE(std::string(name_of(way.device)));
      CAPTURE(name);
      CAPTURE(int(way.order));
      const tests::InOrder in_order(way.order);
      Config config = smallest(name);
      config.precision = way.device == Device::simt && name == "dcgan" ? "fp32" : "bf16";
      Learner eager(way.device, config), learner(way.device, config, way.mode);
      RecordedSteps steps(*learner.model, learner.context);
      // Both kinds are begun, recorded and run, and follow each other.
      const std::vector<bool> logs{false, true, false, true, false, true, true, false, false};
      learner.draw_pictures(0);
      for (size_t step = 0; step < logs.size(); ++step) {
        CAPTURE(step);
        eager.draw_pictures(step);
        eager.input.log = learner.input.log = logs[step];
        eager.take(int64_t(step));
        learner.begin(int64_t(step));
        learner.result = steps.take(learner.input);
        {
          const DeviceContext::Beside beside(learner.context);
          learner.draw_pictures(step + 1);
        }
        // What others do with the context's memory meanwhile.
        const Tensor other = constant(learner.context, {1 << 12}, 7);
        check_equal(learner, eager, "after a step");
        CHECK(other.host() == std::vector<double>(1 << 12, 7.0));
      }
      CHECK(steps.recordings() == 2);
    }
}

TEST_CASE("recording: memory is used again within the step, and by nobody else afterwards") {
  for (Device device : usable({Device::ref, Device::cpu, Device::simt, Device::cuda})) {
    CAPTURE(std::string(name_of(device)));
    DeviceContext context(device);
    const Tensor x(context, {64});
    x.upload(std::span<const float>(std::vector<float>(64, 2.0f)));
    const void* inside = nullptr;
    context.start_recording();
    const Tensor sum = [&] {
      const Tensor square = multiply(x, x);
      inside = square.data();
      return add(square, x);
    }();
    Recording recording = context.stop_recording();
    CHECK(recording.operations() == 2);
    CHECK(sum.host() == std::vector<double>(64, 6.0));

    std::vector<Tensor> others;
    for (int i = 0; i < 100; ++i) {
      others.push_back(constant(context, {64}, 5));
      CHECK(others.back().data() != inside);
    }
    x.upload(std::span<const float>(std::vector<float>(64, 3.0f)));
    recording.run();
    CHECK(sum.host() == std::vector<double>(64, 12.0));
    for (const Tensor& other : others) CHECK(other.host() == std::vector<double>(64, 5.0));

    // A tensor outlives the recording that made it.
    recording = Recording();
    CHECK(sum.host() == std::vector<double>(64, 12.0));
  }
}

TEST_CASE("recording: memory is zeroed again, and weights that changed are laid out again") {
  for (Device device : usable({Device::ref, Device::cpu, Device::simt, Device::cuda})) {
    CAPTURE(std::string(name_of(device)));
    DeviceContext context(device);
    const Tensor total = constant(context, {8}, 5), one = constant(context, {8}, 1);
    context.start_recording();
    total.zero();
    context.run(context.kernels().pointwise.affine, {.count = 8, .x = one.in(), .y = total.out(Acc::add)});
    Recording recording = context.stop_recording();
    recording.run();
    CHECK(total.host() == std::vector<double>(8, 1.0));
  }
  // Device cpu keeps weights in other layouts while their version stays the same: of this 3x3 convolution,
  // which goes through Winograd's transform, from their first use on, of the 5x5 one from their second.
  for (int kernel : {3, 5}) {
    CAPTURE(kernel);
    DeviceContext context(Device::cpu);
    const ConvOptions options{.kernel = kernel, .stride = 1, .pad = kernel / 2};
    const Tensor x = random_normal(context, {4, 16, 16, 64}, 1, 1, 0),
                 w = random_normal(context, {64, kernel, kernel, 64}, 1, 2, 0);
    w.changed();
    context.start_recording();
    Tensor forward, transposed;
    for (int use = 0; use < 2; ++use) {
      forward = conv2d(x, w, {}, options);
      transposed = conv_transpose2d(x, w, {}, options);
    }
    context.run(context.kernels().pointwise.affine,
                {.count = w.count(), .scale = 2, .x = w.in(), .y = w.out()});
    w.changed();
    Recording recording = context.stop_recording();
    std::vector<double> forward_of_two = forward.host(), transposed_of_two = transposed.host();
    for (double& value : forward_of_two) value *= 2;
    for (double& value : transposed_of_two) value *= 2;
    recording.run();
    CHECK(forward.host() == forward_of_two);
    CHECK(transposed.host() == transposed_of_two);
  }
}

TEST_CASE("recording: what could not be repeated is refused") {
  DeviceContext context(Device::cpu), plan(Device::cpu, DeviceContext::Mode::plan);
  const Tensor x = constant(context, {4}, 1);
  const std::vector<float> values(4, 2.0f);
  CHECK_THROWS_WITH_AS(context.stop_recording(), doctest::Contains("without start_recording"), Error);
  CHECK_THROWS_AS(plan.start_recording(), Error);
  CHECK_THROWS_AS(Recording().run(), Error);
  context.start_recording();
  const Tensor y = affine(x, 3);
  CHECK_THROWS_AS(context.start_recording(), Error);
  CHECK_THROWS_WITH_AS(x.upload(std::span<const float>(values)), doctest::Contains("an upload while"), Error);
  CHECK_THROWS_WITH_AS(x.host(), doctest::Contains("a download while"), Error);
  CHECK_THROWS_WITH_AS(Tensor::from_bytes(context, {2}, {1, 2}), doctest::Contains("an upload while"), Error);
  context.step_values().put(context.step_values().add_counters(1), std::vector<int32_t>{1});
  CHECK_THROWS_WITH_AS(context.step_values().upload(), doctest::Contains("an upload while"), Error);
  Recording recording = context.stop_recording();
  CHECK(y.host() == std::vector<double>(4, 3.0));
  context.start_recording();
  CHECK_THROWS_WITH_AS(recording.run(), doctest::Contains("while another"), Error);
  context.stop_recording();
}

TEST_CASE("step values: as exact as the device computes, and never read before they are there") {
  for (Device device : usable({Device::ref, Device::cpu, Device::simt, Device::cuda})) {
    CAPTURE(std::string(name_of(device)));
    DeviceContext context(device);
    StepValues& values = context.step_values();
    const int rates = values.add_numbers(3), places = values.add_counters(2);
    // More than a block holds: earlier slots stay where they are.
    values.upload();
    const void* where = values.in(rates).data;
    const int many = values.add_counters(5000);
    const double rate = 2e-4 / 3;
    values.put(rates, std::vector<double>{1, rate});
    values.put(places, std::vector<int32_t>{-1, 7});
    std::vector<int32_t> all(5000);
    for (size_t i = 0; i < all.size(); ++i) all[i] = int32_t(i);
    values.put(many, all);
    CHECK_THROWS_WITH_AS(values.in(rates), doctest::Contains("begin_step()"), Error);
    values.begin_step((int64_t(1) << 32) + 5, 0xFFFFFFFF);
    CHECK(values.in(rates).data == where);

    auto fetch = [&](In from, auto kind, size_t count) {
      std::vector<decltype(kind)> found(count);
      context.kernels().memory.download(found.data(), from.data, count * sizeof kind, context.stream());
      return found;
    };
    if (device == Device::ref) CHECK(fetch(values.in(rates, 1), double(), 1)[0] == rate);
    else CHECK(fetch(values.in(rates, 1), float(), 1)[0] == float(rate));
    CHECK(fetch(values.in(places), int32_t(), 2) == std::vector<int32_t>{-1, 7});
    CHECK(fetch(values.in(many), int32_t(), 5000) == all);
    CHECK(fetch(values.step(), int32_t(), 1)[0] == 5);
    CHECK(fetch(values.draw(), int32_t(), 1)[0] == -1);

    values.put(places, std::vector<int32_t>{-1, 7});
    CHECK(values.in(places));  // nothing new: still readable
    CHECK_THROWS_AS(values.put(places, std::vector<int32_t>{1, 2, 3}), Error);
    CHECK_THROWS_AS(values.put(places, std::vector<double>{1}), Error);
    CHECK_THROWS_AS(values.put(rates, std::vector<int32_t>{1}), Error);
    CHECK_THROWS_AS(values.in(rates, 3), Error);
  }
}

TEST_CASE("random numbers and masks by a counter on the device are those of the same step from the host") {
  for (Device device : usable({Device::ref, Device::cpu, Device::simt, Device::cuda})) {
    CAPTURE(std::string(name_of(device)));
    DeviceContext context(device);
    StepValues& values = context.step_values();
    values.begin_step(41, 0xFFFFFFFF);
    CHECK(random_normal(context, {37}, 5, 6, values.step(), 0, context.real()).host() ==
          random_normal(context, {37}, 5, 6, 41).host());
    CHECK(random_normal(context, {37}, 5, 6, values.draw(), 3, context.real()).host() ==
          random_normal(context, {37}, 5, 6, 2).host());
    const Tensor ones = constant(context, {100}, 1);
    const DropoutKey on_device{.seed = 3, .layer = 2, .step_at = values.step()};
    CHECK(dropout(ones, 0.4, on_device).host() ==
          dropout(ones, 0.4, {.seed = 3, .step = 41, .layer = 2}).host());
    CHECK(dropout(ones, 0.4, on_device).host() != dropout(ones, 0.4, {.seed = 3, .layer = 2}).host());
  }
}
