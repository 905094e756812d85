// What a plan notes of a step for `gan inspect --launches`: it must be what a step launches. And the model of a GPU that
// makes times of it.
#include <doctest/doctest.h>

#include <cmath>

#include "engine/run/gpu_model.h"
#include "models/tasks/zoo.h"
#include "models/training/feeder.h"
#include "tests/support/noise_input.h"
#include "tests/support/preset.h"

using namespace gan;
using namespace gan::tests;

namespace {

Config small(const std::string& name) {
  Config c = preset(name);
  c.size = c.load_size = name == "pix2pix" ? 64 : 32, c.batch = 2;
  put(c, "ngf", 4), put(c, "ndf", 4);
  if (c.find("content-steps")) put(c, "content-steps", 0);
  return c;
}

// Where each kernel is launched, and with how many blocks and threads.
std::vector<std::string> in_words(const std::vector<KernelLaunch>& launches) {
  std::vector<std::string> words;
  for (const auto& k : launches)
    words.push_back(fmt::format("{}:{} {},{},{} {},{},{} {}", k.file, k.line, k.grid[0], k.grid[1], k.grid[2],
                                k.block[0], k.block[1], k.block[2], k.shared_bytes));
  return words;
}

// One step of a model; on a plan its launches are collected, else they are noted and not run.
std::vector<KernelLaunch> kernels_of_step(const Config& config, DeviceContext::Mode mode) {
  DeviceContext context(Device::simt, mode);
  const auto model = build_model(context, config);
  StepInput input = mode == DeviceContext::Mode::plan ? model->planned_input(context, config.batch)
                                                      : noise_input(context, *model, 0);
  std::vector<KernelLaunch> all;
  context.on_launch = [&](const PlannedLaunch& launch) {
    all.insert(all.end(), launch.kernels.begin(), launch.kernels.end());
  };
  NotedKernels noted;
  model->step(input);
  return mode == DeviceContext::Mode::plan ? all : noted.launches;
}

PlannedLaunch launch_of(double flop, double bytes, DType type, const char* variant = "tiled",
                        size_t kernels = 1) {
  PlannedLaunch launch{.op = "op", .variant = variant, .sizes = {}, .flop = flop, .bytes = bytes};
  launch.kernels.resize(kernels);
  launch.type = type;
  return launch;
}

}  // namespace

TEST_CASE("launches: a plan notes the kernels that a step launches, in order, with their grids") {
  for (const char* name : {"dcgan", "mlpgan", "pix2pix", "comic"}) {
    CAPTURE(std::string(name));
    Config config = std::string(name) == "mlpgan" ? preset("mlpgan") : small(name);
    config.batch = 2;
    const auto planned = in_words(kernels_of_step(config, DeviceContext::Mode::plan));
    const auto real = in_words(kernels_of_step(config, DeviceContext::Mode::run));
    CHECK(planned.size() > 20);
    REQUIRE(planned.size() == real.size());
    for (size_t i = 0; i < planned.size(); ++i) CHECK(planned[i] == real[i]);
  }
}

TEST_CASE("launches: FLOP and bytes of an operation are those of its buffers") {
  DeviceContext plan(Device::simt, DeviceContext::Mode::plan);
  std::vector<PlannedLaunch> launches;
  plan.on_launch = [&](const PlannedLaunch& launch) { launches.push_back(launch); };
  // (2,8,8,3) by (4,3,3,3), stride 1, padding 1.
  const Tensor x(plan, {2, 8, 8, 3}), w(plan, {4, 3, 3, 3}), y(plan, {2, 8, 8, 4});
  ConvFwd args;
  args.size.n = 2, args.size.h = args.size.w = 8, args.size.c = 3, args.size.k = 4;
  args.size.kh = args.size.kw = 3, args.size.ph = args.size.pw = 1, args.size.oh = args.size.ow = 8;
  args.x = x.in(), args.w = w.in(), args.y = y.out();
  plan.run(plan.kernels().conv.fwd, args);
  ConvFwd adding = args;
  adding.y.acc = Acc::add;
  plan.run(plan.kernels().conv.fwd, adding);
  REQUIRE(launches.size() == 2);
  CHECK(launches[0].op == std::string("conv2d_fwd"));
  CHECK(launches[0].flop == 2.0 * 2 * 8 * 8 * 4 * 27);
  CHECK(launches[0].bytes == 4.0 * (384 + 108 + 512));
  CHECK(launches[1].bytes == 4.0 * (384 + 108 + 2 * 512));  // what is added to is read too
  CHECK(launches[0].kernels.size() == 1);
  CHECK(launches[0].type == DType::f32);
}

TEST_CASE("launches: a floor is the longer of two times, and the model says what it adds") {
  const GpuModel& gpu = find_gpu("h200");
  CHECK(floor_seconds(launch_of(60e12, 1, DType::f32), gpu) == doctest::Approx(1));
  CHECK(floor_seconds(launch_of(400e12, 1, DType::f32, "mma_tf32"), gpu) == doctest::Approx(1));
  CHECK(floor_seconds(launch_of(790e12, 1, DType::bf16), gpu) == doctest::Approx(1));
  CHECK(floor_seconds(launch_of(60e12, 8.6e12, DType::f32), gpu) == doctest::Approx(2));
  CHECK(modelled_seconds(launch_of(0, 4.3e12, DType::f32, "naive", 3), gpu) ==
        doctest::Approx(1 / 0.88 + 6e-6).epsilon(1e-9));
  CHECK(modelled_seconds(launch_of(60e12, 1, DType::f32, "tiled", 1), gpu) ==
        doctest::Approx(1 / 0.85 + 2e-6).epsilon(1e-9));
  try {
    find_gpu("h20");
    FAIL_CHECK("no error");
  } catch (const Error& error) {
    CHECK(error.code() == Exit::usage);
    CHECK(std::string(error.what()).find("h200, h100, a100") != std::string::npos);
  }
}
