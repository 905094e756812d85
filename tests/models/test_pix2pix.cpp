// Networks from pictures to pictures: parameter counts, names and shapes of PyTorch's, what settings make of
// them, and the training step's details.
#include <doctest/doctest.h>

#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "models/losses/image_pool.h"
#include "models/tasks/zoo.h"
#include "models/use/checkpoint.h"
#include "tests/support/places.h"
#include "tests/support/preset.h"

using namespace gan;
using gan::tests::preset;

namespace {

// What a row of the table below says of one network.
struct NetworkCase {
  const char* what;
  void (*set)(Config&);
  const char* player;
  int64_t parameters;                                     // learnt numbers; 0: not said
  size_t entries;                                         // of PyTorch's state dict
  std::vector<std::pair<std::string, std::string>> some;  // names with their shapes
  std::vector<std::string> absent = {};
};

// "P4.1.weight" to the U-Net's level 4: model.model.1.model, then .3.model three times.
std::string full_name(const std::string& name) {
  if (name[0] != 'P') return name;
  const size_t dot = name.find('.');
  std::string prefix = "model.model.1.model";
  for (int k = std::stoi(name.substr(1, dot - 1)); k > 1; --k) prefix += ".3.model";
  return prefix + name.substr(dot);
}

const std::vector<NetworkCase>& networks() {
  static const std::vector<NetworkCase> table = {
      {"U-Net 256",
       [](Config& c) { put(c, "netG", "unet_256"); },
       "G",
       54'413'955,
       82,
       {{"model.model.0.weight", "(64,3,4,4)"},
        {"model.model.3.weight", "(128,3,4,4)"},
        {"model.model.3.bias", "(3)"},
        {"P1.1.weight", "(128,64,4,4)"},
        {"P1.2.running_mean", "(128)"},
        {"P1.5.weight", "(256,64,4,4)"},
        {"P1.6.weight", "(64)"},
        {"P2.1.weight", "(256,128,4,4)"},
        {"P2.2.bias", "(256)"},
        {"P2.5.weight", "(512,128,4,4)"},
        {"P2.6.running_var", "(128)"},
        {"P3.1.weight", "(512,256,4,4)"},
        {"P3.5.weight", "(1024,256,4,4)"},
        {"P3.6.bias", "(256)"},
        {"P4.1.weight", "(512,512,4,4)"},
        {"P4.5.weight", "(1024,512,4,4)"},
        {"P6.2.weight", "(512)"},
        {"P6.5.weight", "(1024,512,4,4)"},
        {"P7.1.weight", "(512,512,4,4)"},
        {"P7.3.weight", "(512,512,4,4)"},
        {"P7.4.running_mean", "(512)"}},
       {"model.model.0.bias", "P1.1.bias", "P7.2.weight", "P8.1.weight"}},
      {"the setting unet at 256 pixels is the same", [](Config&) {}, "G", 54'413'955, 82, {}},
      {"colorization's U-Net 256",
       [](Config& c) { c.model = "colorize"; },
       "G",
       54'409'858,
       82,
       {{"model.model.0.weight", "(64,1,4,4)"}, {"model.model.3.weight", "(128,2,4,4)"}}},
      {"U-Net 128",
       [](Config& c) { put(c, "netG", "unet_128"), c.size = 128; },
       "G",
       41'828'995,
       70,
       {{"P5.5.weight", "(1024,512,4,4)"}, {"P6.1.weight", "(512,512,4,4)"}, {"P6.4.weight", "(512)"}},
       {"P7.1.weight"}},
      {"the setting unet at 128 pixels is the same",
       [](Config& c) { c.size = 128; },
       "G",
       41'828'995,
       70,
       {}},
      {"U-Net 256 with instance norm",
       [](Config& c) { put(c, "norm", "instance"); },
       "G",
       0,
       32,
       {{"model.model.0.bias", "(64)"},
        {"P1.1.bias", "(128)"},
        {"P1.5.bias", "(64)"},
        {"P7.3.bias", "(512)"}},
       {"P1.2.weight"}},
      {"ResNet of 9 blocks, instance norm",
       [](Config& c) { put(c, "netG", "resnet_9"), put(c, "norm", "instance"), put(c, "dropout", false); },
       "G",
       11'378'179,
       48,
       {{"model.1.weight", "(64,3,7,7)"},
        {"model.1.bias", "(64)"},
        {"model.4.weight", "(128,64,3,3)"},
        {"model.7.weight", "(256,128,3,3)"},
        {"model.10.conv_block.1.weight", "(256,256,3,3)"},
        {"model.18.conv_block.5.bias", "(256)"},
        {"model.19.weight", "(256,128,3,3)"},
        {"model.22.weight", "(128,64,3,3)"},
        {"model.26.weight", "(3,64,7,7)"},
        {"model.26.bias", "(3)"}}},
      {"ResNet of 6 blocks, instance norm",
       [](Config& c) { put(c, "netG", "resnet_6"), put(c, "norm", "instance"), put(c, "dropout", false); },
       "G",
       7'837'699,
       36,
       {{"model.15.conv_block.5.weight", "(256,256,3,3)"}, {"model.23.weight", "(3,64,7,7)"}}},
      {"ResNet of 9 blocks, batch norm, dropout",
       [](Config& c) { put(c, "netG", "resnet_9"); },
       "G",
       11'383'427,
       // 24 convolutions, one bias, 23 norms of 5
       24 + 1 + 23 * 5,
       {{"model.2.weight", "(64)"},
        {"model.20.running_var", "(128)"},
        {"model.23.bias", "(64)"},
        {"model.10.conv_block.2.weight", "(256)"},
        {"model.10.conv_block.6.weight", "(256,256,3,3)"},
        {"model.10.conv_block.7.weight", "(256)"},
        {"model.26.bias", "(3)"}},
       {"model.1.bias", "model.10.conv_block.5.weight"}},
      {"PatchGAN 70x70",
       [](Config&) {},
       "D",
       2'768'705,
       22,
       {{"model.0.weight", "(64,6,4,4)"},
        {"model.0.bias", "(64)"},
        {"model.2.weight", "(128,64,4,4)"},
        {"model.3.weight", "(128)"},
        {"model.5.weight", "(256,128,4,4)"},
        {"model.6.running_mean", "(256)"},
        {"model.8.weight", "(512,256,4,4)"},
        {"model.9.bias", "(512)"},
        {"model.11.weight", "(1,512,4,4)"},
        {"model.11.bias", "(1)"}}},
      {"PatchGAN 70x70 with instance norm",
       [](Config& c) { put(c, "norm", "instance"); },
       "D",
       0,
       10,
       {{"model.2.bias", "(128)"}, {"model.8.bias", "(512)"}}},
      {"PatchGAN of one layer",
       [](Config& c) { put(c, "n-layers-d", 1); },
       "D",
       0,
       4 + 1 + 5,
       {{"model.2.weight", "(128,64,4,4)"}, {"model.5.weight", "(1,128,4,4)"}}},
      {"PatchGAN of five layers",
       [](Config& c) { put(c, "n-layers-d", 5); },
       "D",
       0,
       4 + 5 * 6,
       {{"model.11.weight", "(512,512,4,4)"},
        {"model.14.weight", "(512,512,4,4)"},
        {"model.17.weight", "(1,512,4,4)"}}},
      {"PatchGAN at two scales",
       [](Config& c) { put(c, "discriminators", 2); },
       "D",
       2 * 2'768'705,
       44,
       {{"scale0.model.0.weight", "(64,6,4,4)"}, {"scale1.model.11.bias", "(1)"}}},
      {"colorization's PatchGAN sees L and ab",
       [](Config& c) { c.model = "colorize"; },
       "D",
       2'768'705 - 3 * 64 * 16,
       22,
       {{"model.0.weight", "(64,3,4,4)"}}},
      {"pixel discriminator",
       [](Config& c) { put(c, "netD", "pixel"); },
       "D",
       9'024,
       9,
       {{"net.0.weight", "(64,6,1,1)"},
        {"net.0.bias", "(64)"},
        {"net.2.weight", "(128,64,1,1)"},
        {"net.3.weight", "(128)"},
        {"net.5.weight", "(1,128,1,1)"}},
       {"net.2.bias", "net.5.bias"}},
      {"pixel discriminator with instance norm",
       [](Config& c) { put(c, "netD", "pixel"), put(c, "norm", "instance"); },
       "D",
       0,
       6,
       {{"net.2.bias", "(128)"}, {"net.5.bias", "(1)"}}},
  };
  return table;
}

Shape last_output(Model& model, DeviceContext& context, const char* player, int batch = 1) {
  Shape last;
  model.describe(context, batch, player, [&](const LayerRecord& layer) { last = layer.output; });
  return last;
}

Use use_of(Statistics statistics, bool dropout, uint64_t seed) {
  Use use;
  use.statistics = statistics;
  use.dropout = dropout;
  use.seed = seed;
  return use;
}

// The model's picture of `picture`.
Tensor made(Model& model, const Tensor& picture, Use use) {
  use.pictures["picture"] = picture;
  return model.make(use);
}

StepInput random_pairs(DeviceContext& context, const Model& model, int batch, uint32_t step) {
  const Config& c = model.config;
  StepInput in;
  in.add("A",
         random_normal(context, {batch, c.size, c.size, channels_of(model.inputs()[0], c)}, 5, 100, step));
  in.add("B", activation(random_normal(context, {batch, c.size, c.size, channels_of(model.inputs()[1], c)}, 5,
                                       101, step),
                         {Act::tanh}));
  in.learning_rate = in.learning_rate_d = 2e-4;
  in.step = step;
  return in;
}

}  // namespace

TEST_CASE("networks of pix2pix and colorize have PyTorch's parameters: counts, names, shapes") {
  for (const NetworkCase& row : networks()) {
    CAPTURE(row.what);
    Config c = preset("pix2pix");
    row.set(c);
    DeviceContext plan(Device::cpu, DeviceContext::Mode::plan);
    auto model = build_model(plan, c);
    const Parameters& p = model->network(row.player).parameters;
    if (row.parameters) CHECK(p.learnt_count() == row.parameters);
    std::map<std::string, Shape> shapes;
    size_t counters = 0;  // PyTorch's num_batches_tracked, one for each batch norm; nothing here counts
    for (const auto& info : p.infos()) {
      CHECK_MESSAGE(shapes.try_emplace(info.name, info.file_shape()).second, "twice: ", info.name);
      counters += info.name.ends_with("running_mean");
    }
    CHECK(shapes.size() + counters == row.entries);
    for (const auto& [name, shape] : row.some) {
      const auto found = shapes.find(full_name(name));
      CHECK_MESSAGE(found != shapes.end(), "missing: ", full_name(name));
      if (found != shapes.end()) CHECK_MESSAGE(to_string(found->second) == shape, full_name(name));
    }
    for (const auto& name : row.absent) CHECK_MESSAGE(!shapes.contains(full_name(name)), full_name(name));
  }
}

TEST_CASE("generators give pictures of the size they get, discriminators maps of the right size") {
  for (const char* net : {"unet", "unet_32", "unet_64", "resnet_6"})
    for (const char* up : {"convt", "resize", "shuffle"})
      for (const char* norm : {"batch", "instance", "none"}) {
        Config c = preset("pix2pix");
        put(c, "netG", net), put(c, "up", up), put(c, "norm", norm), c.size = 64, put(c, "ngf", 2),
                                                                     put(c, "ndf", 2);
        DeviceContext plan(Device::cpu, DeviceContext::Mode::plan);
        auto model = build_model(plan, c);
        CAPTURE(net);
        CAPTURE(up);
        CHECK(last_output(*model, plan, "G") == Shape{1, 64, 64, 3});
      }
  // A side that is no power of two: three pixels at the bottom of five levels.
  Config c = preset("pix2pix");
  c.size = 96, put(c, "ngf", 2), put(c, "ndf", 2);
  DeviceContext plan(Device::cpu, DeviceContext::Mode::plan);
  auto model = build_model(plan, c);
  CHECK(model->side_multiple() == 32);
  CHECK(last_output(*model, plan, "G", 3) == Shape{3, 96, 96, 3});

  // 256 pixels: the maps of the papers and, by the receptive field's arithmetic, of the other depths.
  const int sides[] = {0, 126, 62, 30, 14, 6};
  for (int layers = 1; layers <= 5; ++layers) {
    c = preset("pix2pix");
    put(c, "ngf", 2), put(c, "ndf", 2), put(c, "n-layers-d", layers);
    CHECK(last_output(*build_model(plan, c), plan, "D") == Shape{1, sides[layers], sides[layers], 1});
  }
  put(c, "netD", "pixel");
  CHECK(last_output(*build_model(plan, c), plan, "D") == Shape{1, 256, 256, 1});
  put(c, "netD", "patch"), put(c, "n-layers-d", 3), put(c, "discriminators", 3);
  CHECK(last_output(*build_model(plan, c), plan, "D") == Shape{1, 6, 6, 1});  // 64 pixels at the third scale
}

TEST_CASE("useful multiply-adds of one picture, as published") {
  // Billions: U-Net-256 6.05, U-Net-128 1.51, ResNet-9 49.6, PatchGAN 3.20, pixel 0.57.
  const auto billions = [](auto set, const char* player) {
    Config c = preset("pix2pix");
    set(c);
    DeviceContext plan(Device::cpu, DeviceContext::Mode::plan);
    auto model = build_model(plan, c);
    const double before = plan.flop();
    model->describe(plan, 1, player, [](const LayerRecord&) {});
    return (plan.flop() - before) / 2e9;
  };
  CHECK(billions([](Config&) {}, "G") == doctest::Approx(6.05).epsilon(0.001));
  CHECK(billions([](Config& c) { c.size = 128; }, "G") == doctest::Approx(1.51).epsilon(0.003));
  CHECK(billions([](Config& c) { put(c, "netG", "resnet_9"); }, "G") == doctest::Approx(49.6).epsilon(0.001));
  CHECK(billions([](Config&) {}, "D") == doctest::Approx(3.20).epsilon(0.002));
  CHECK(billions([](Config& c) { put(c, "netD", "pixel"); }, "D") == doctest::Approx(0.57).epsilon(0.01));
}

TEST_CASE("settings that fit no picture are refused with the nearest that works") {
  const auto refusal = [](auto set) -> std::string {
    Config c = preset("pix2pix");
    set(c);
    try {
      find_model(c.model).check(c);
    } catch (const Error& error) {
      CHECK(error.code() == Exit::usage);
      return error.what();
    }
    return "accepted";
  };
  CHECK(refusal([](Config& c) { c.size = 100; }).find("--size 96") != std::string::npos);
  CHECK(refusal([](Config& c) { c.size = 20; }).find("--size 32") != std::string::npos);
  CHECK(refusal([](Config& c) { put(c, "netG", "unet_256"), c.size = 128; }).find("--size 256") !=
        std::string::npos);
  CHECK(refusal([](Config& c) { put(c, "netG", "unet_64"), c.size = 120; }).find("--size 128") !=
        std::string::npos);
  CHECK(refusal([](Config& c) { put(c, "netG", "resnet_9"), c.size = 70; }).find("--size 72") !=
        std::string::npos);
  CHECK(refusal([](Config& c) { put(c, "netG", "resnet_9"), c.size = 4; }).find("--size 8") !=
        std::string::npos);
  CHECK(refusal([](Config& c) { c.size = 32, put(c, "n-layers-d", 4); }).find("48 pixels") !=
        std::string::npos);
  CHECK(refusal([](Config& c) { c.size = 32, put(c, "discriminators", 2); }).find("47 pixels") !=
        std::string::npos);
  CHECK(refusal([](Config& c) {
          put(c, "netD", "pixel"), put(c, "discriminators", 2);
        }).find("--netD patch") != std::string::npos);
  CHECK(refusal([](Config& c) { c.size = 32, put(c, "n-layers-d", 3); }) == "accepted");
  CHECK(refusal([](Config& c) { c.model = "colorize", c.channels = 1; }).find("--channels 3") !=
        std::string::npos);
}

TEST_CASE("the smallest picture of a patch discriminator gives one logit, one pixel less none") {
  for (int layers = 1; layers <= 5; ++layers)
    for (int scales = 1; scales <= 3; ++scales) {
      Config c = preset("pix2pix");
      put(c, "netG", "resnet_6"), put(c, "ngf", 1), put(c, "ndf", 1), put(c, "n-layers-d", layers),
          put(c, "discriminators", scales);
      // The least side that is a multiple of 4 and accepted has a map; four pixels less has none.
      for (c.size = 8;; c.size = c.size + 4) {
        try {
          find_model("pix2pix").check(c);
          break;
        } catch (const Error&) {}
      }
      DeviceContext plan(Device::cpu, DeviceContext::Mode::plan);
      CHECK(last_output(*build_model(plan, c), plan, "D").count() >= 1);
      if (c.size == 8) continue;
      c.size = c.size - 4;
      auto model = find_model("pix2pix").make();
      model->build(plan, c);
      CHECK_THROWS_AS(last_output(*model, plan, "D"), Error);
    }
}

TEST_CASE("the loss's gradient by pix2pix's nets, dropout included, against finite differences") {
  Config c = preset("pix2pix");
  c.size = 64, put(c, "ngf", 1), put(c, "ndf", 1), put(c, "n-layers-d", 1), put(c, "lambda-l1", 3),
  put(c, "discriminators", 2);
  put(c, "netG", "unet_64");  // one level has dropout
  DeviceContext context(Device::ref);
  auto model = build_model(context, c);
  // A learning rate of 0 leaves the weights where they are; gradients stay in the flat buffers.
  StepInput in = random_pairs(context, *model, 1, 0);
  in.learning_rate = in.learning_rate_d = 0;
  model->step(in);
  std::map<std::string, std::vector<double>> gradients;
  for (auto& network : model->networks) gradients[network->name] = network->parameters.gradients().host();
  for (auto& network : model->networks) {
    Parameters& p = network->parameters;
    const std::vector<double> weights = p.weights().host();
    auto loss_at = [&](const std::vector<double>& w) {
      p.weights().upload(std::span<const double>(w));
      p.weights().changed();
      for (const auto& [key, value] : model->step(in).read())
        if (key == "loss_" + network->name) return value;
      return std::nan("");
    };
    for (const auto& info : p.infos()) {
      if (info.buffer) continue;
      const size_t at = size_t(info.offset + info.shape.count() / 2);
      const double h = 1e-7;
      std::vector<double> w = weights;
      w[at] = weights[at] + h;
      const double above = loss_at(w);
      w[at] = weights[at] - h;
      const double numeric = (above - loss_at(w)) / (2 * h), analytic = gradients[network->name][at];
      INFO(network->name << "." << info.name << ": " << analytic << ", finite difference " << numeric);
      CHECK(std::abs(analytic - numeric) <= 1e-6 + 1e-4 * std::abs(numeric));
    }
    p.weights().upload(std::span<const double>(weights));
    p.weights().changed();
  }
}

TEST_CASE("weights and kinds of pix2pix's losses; without a discriminator there is none anywhere") {
  const auto losses = [](auto set, size_t* networks = nullptr) {
    Config c = preset("pix2pix");
    c.size = 32, put(c, "ngf", 1), put(c, "ndf", 1), put(c, "n-layers-d", 1), put(c, "dropout", "false");
    set(c);
    DeviceContext context(Device::ref);
    const auto model = build_model(context, c);
    if (networks) *networks = model->networks.size();
    const StepInput in = random_pairs(context, *model, 1, 0);
    Use use;
    use.pictures["picture"] = in.tensors.at("A")[0];
    use.statistics = Statistics::batch;
    const std::vector<double> a = model->make(use).host(), b = in.tensors.at("B")[0].host();
    std::map<std::string, double> found{{"mean", 0}, {"mean square", 0}};
    for (size_t i = 0; i < a.size(); ++i) {
      found["mean"] += std::abs(a[i] - b[i]) / double(a.size());
      found["mean square"] += (a[i] - b[i]) * (a[i] - b[i]) / double(a.size());
    }
    for (const auto& [key, value] : model->step(in).read()) found[key] = value;
    return found;
  };
  auto plain = losses([](Config&) {});
  CHECK(plain["loss_G_L1"] == doctest::Approx(100 * plain["mean"]).epsilon(1e-9));
  CHECK(plain["loss_G"] == doctest::Approx(plain["loss_G_GAN"] + plain["loss_G_L1"]).epsilon(1e-12));
  auto squares = losses([](Config& c) { put(c, "pixel-loss", "l2"), put(c, "lambda-l1", 3); });
  CHECK(squares["loss_G_L1"] == doctest::Approx(3 * squares["mean square"]).epsilon(1e-9));
  auto heavy = losses([](Config& c) { put(c, "lambda-gan", 2.5); });
  CHECK(heavy["loss_G_GAN"] == doctest::Approx(2.5 * plain["loss_G_GAN"]).epsilon(1e-9));
  CHECK(heavy["loss_D"] == doctest::Approx(plain["loss_D"]).epsilon(1e-12));
  size_t networks = 0;
  auto alone = losses([](Config& c) { put(c, "lambda-gan", 0); }, &networks);
  CHECK(networks == 1);
  CHECK(alone.count("loss_D") == 0);
  CHECK(alone["loss_G"] == doctest::Approx(plain["loss_G_L1"]).epsilon(1e-12));
  Config nothing = preset("pix2pix");
  put(nothing, "lambda-gan", 0), put(nothing, "lambda-l1", 0);
  CHECK_THROWS_AS(find_model("pix2pix").check(nothing), Error);
}

TEST_CASE("resize and shuffle begin without a checkerboard, a transposed convolution does not") {
  using Kind = ConvBlock::Kind;
  DeviceContext context(Device::ref);
  for (Kind kind : {Kind::transposed, Kind::resize, Kind::shuffle})
    for (int kernel : {3, 4}) {  // of the transposed convolutions of ResNet and U-Net
      Parameters p;
      const ConvBlock block = ConvBlock::make(
          p, "up", 4, 3,
          {.kind = kind,
           .conv = {.kernel = kernel, .stride = 2, .pad = 1, .output_pad = kernel == 3 ? 1 : 0},
           .norm_name = {},
           .act = {}});
      p.build(context, 5, 1);
      Tensor x(context, {1, 8, 8, 4});
      x.upload(std::span<const double>(std::vector<double>(256, 0.7)));
      const Tensor y = block(p, x, {});
      REQUIRE(y.shape() == Shape{1, 16, 16, 3});
      // Amplitude of the patterns that change sign from row to row, column to column, or both, where zero
      // padding is out of sight.
      const auto values = y.host();
      double worst = 0;
      for (size_t channel = 0; channel < 3; ++channel)
        for (int pattern = 1; pattern <= 3; ++pattern) {
          double amplitude = 0;
          for (size_t row = 4; row < 12; ++row)
            for (size_t column = 4; column < 12; ++column) {
              const size_t flips = (pattern & 1 ? row : 0) + (pattern & 2 ? column : 0);
              amplitude += (flips % 2 ? -1 : 1) * values[(row * 16 + column) * 3 + channel] / 64;
            }
          worst = std::max(worst, std::abs(amplitude));
        }
      if (kind == Kind::transposed) CHECK(worst > 1e-3);
      else CHECK(worst < 1e-15);
    }
}

TEST_CASE("dropout changes from step to step and not when a step is repeated") {
  Config c = preset("pix2pix");
  c.size = 64, put(c, "ngf", 2), put(c, "ndf", 2);
  DeviceContext context(Device::cpu);
  auto loss = [&](bool dropout, int64_t step, int64_t seed) {
    Config with = c;
    put(with, "dropout", dropout);
    auto model = build_model(context, with);
    model->config.seed = seed;  // of the masks alone
    StepInput in = random_pairs(context, *model, 1, 0);
    in.step = step;
    for (const auto& [key, value] : model->step(in).read())
      if (key == "loss_G_L1") return value;
    return 0.0;
  };
  CHECK(loss(true, 3, 1) == loss(true, 3, 1));
  CHECK(loss(true, 3, 1) != loss(true, 4, 1));
  CHECK(loss(true, 3, 1) != loss(true, 3, 2));
  CHECK(loss(true, 3, 1) != loss(false, 3, 1));
  CHECK(loss(false, 3, 1) == loss(false, 4, 2));
}

TEST_CASE("the pool: first itself, then half of the time a kept picture whose place the new one takes") {
  DeviceContext context(Device::cpu);
  constexpr int size = 5, total = 400;
  ImagePool pool(context, size, 1, 2, 1);
  std::set<int> kept;
  int old = 0;
  for (int first = 0; first < total; first += 2) {
    Tensor batch(context, {2, 1, 2, 1});
    const double a = first, b = first + 1;
    batch.upload(std::span<const double>(std::vector<double>{a, a, b, b}));
    pool.prepare(7, first, 2);
    context.step_values().upload();
    const auto shown = pool.exchange(batch).host();
    for (int i = 0; i < 2; ++i) {
      const int which = int(shown[size_t(2 * i)]);
      CHECK(shown[size_t(2 * i + 1)] == which);
      CHECK(which <= first + i);
      if (first + i < size) {
        CHECK(which == first + i);
        kept.insert(which);
      } else if (which != first + i) {
        CHECK(kept.erase(which) == 1);
        kept.insert(first + i);
        ++old;
      }
    }
  }
  CHECK(std::abs(old - 200) < 50);  // 395 coins, deviation 10
  Tensor batch(context, {2, 1, 2, 1});
  CHECK(ImagePool().exchange(batch).data() == batch.data());
}

TEST_CASE("two steps, a checkpoint and two steps equal four steps bit for bit, with pool and dropout") {
  const auto folder = std::filesystem::temp_directory_path() / fmt::format("gan-test-pairs-{}", ::getpid());
  std::filesystem::create_directories(folder);
  const auto path = folder / "a.safetensors";
  Config c = preset("pix2pix");
  c.size = 64, put(c, "ngf", 2), put(c, "ndf", 2), c.batch = 2, put(c, "pool", 3), c.ema = 0.9;
  DeviceContext context(Device::cpu);
  auto whole = build_model(context, c), first = build_model(context, c);
  auto step = [&](Model& model, uint32_t number) {
    return model.step(random_pairs(context, model, 2, number)).read();
  };
  for (uint32_t i = 0; i < 4; ++i) step(*whole, i);
  for (uint32_t i = 0; i < 2; ++i) step(*first, i);
  save_checkpoint(Folder(folder), "a.safetensors", *first, {.step = 2, .draw = 2, .images = 4});
  const auto file = SafetensorsFile::open(path);
  CHECK(file.get("state.pool").shape == std::vector<int64_t>{3, 64, 64, 6});
  auto second = build_model(context, c);
  TrainState state;
  load_checkpoint(file, *second, &state, true);
  Metrics last;
  for (uint32_t i = 2; i < 4; ++i) last = step(*second, i);
  for (const char* player : {"G", "D"})
    CHECK(second->network(player).parameters.weights().host() ==
          whole->network(player).parameters.weights().host());
  CHECK(second->state().at(0).second.host() == whole->state().at(0).second.host());

  Config other = c;
  put(other, "pool", 4);
  auto wider = build_model(context, other);
  CHECK_THROWS_WITH_AS(load_checkpoint(file, *wider, &state, true),
                       doctest::Contains("`state.pool` is (3,64,64,6), this model wants (4,64,64,6)"), Error);
  std::filesystem::remove_all(folder);
}

TEST_CASE("translating: running statistics make pictures independent, batch statistics move nothing") {
  Config c = preset("pix2pix");
  c.size = 64, put(c, "ngf", 2), put(c, "ndf", 2), c.batch = 3;
  DeviceContext context(Device::ref);
  auto model = build_model(context, c);
  for (uint32_t i = 0; i < 2; ++i) model->step(random_pairs(context, *model, 3, i));
  const Tensor a = random_normal(context, {3, 64, 64, 3}, 9, 9, 0);
  const auto all = made(*model, a, {}).host();
  const size_t each = all.size() / 3;
  for (int i = 0; i < 3; ++i) {
    const auto one = made(*model, a.view(i * int64_t(each), {1, 64, 64, 3}), {}).host();
    for (size_t k = 0; k < each; ++k) REQUIRE(one[k] == all[size_t(i) * each + k]);
  }
  // Any height and width that are multiples of the network's, not only the size it was trained at.
  CHECK(made(*model, random_normal(context, {1, 64, 128, 3}, 9, 9, 1), {}).shape() == Shape{1, 64, 128, 3});
  CHECK_THROWS_WITH_AS(made(*model, Tensor(context, {1, 64, 100, 3}), {}),
                       doctest::Contains("multiples of 64"), Error);

  const Use as_trained = use_of(Statistics::batch, true, 5);
  const auto trained = made(*model, a, as_trained).host();
  CHECK(trained != all);
  CHECK(made(*model, a, as_trained).host() == trained);
  CHECK(made(*model, a, use_of(Statistics::batch, true, 6)).host() != trained);
  CHECK(made(*model, a, {}).host() == all);  // no running statistic has moved

  CHECK_THROWS_WITH_AS(model->sample(a), doctest::Contains("gan translate"), Error);
  auto noise = build_model(context, preset("mlpgan"));
  CHECK_THROWS_WITH_AS(noise->make(Use{}), doctest::Contains("gan sample"), Error);
}

TEST_CASE("a step of pix2pix takes what the plan says, and the same each time") {
  Config c = preset("pix2pix");
  c.size = 64, put(c, "ngf", 4), put(c, "ndf", 4), put(c, "pool", 2);
  DeviceContext context(Device::cpu), plan(Device::cpu, DeviceContext::Mode::plan);
  auto model = build_model(context, c), planned = build_model(plan, c);
  const StepInput in = random_pairs(context, *model, 1, 0);
  context.tape().backward(sum(variable(constant(context, {1}, 1))));  // the 1 that they begin with stays
  const size_t before = context.pool().live_bytes();
  for (int i = 0; i < 3; ++i) {
    model->step(in).read();
    CHECK(context.pool().live_bytes() == before);
  }
  planned->step(planned->planned_input(plan, 1));
  CHECK(plan.pool().peak_bytes() == context.pool().peak_bytes());
}

TEST_CASE("Lab: scikit-image's values on a grid and on all greys, and back within half a level") {
  const auto file =
      SafetensorsFile::open(std::filesystem::path(tests::source_dir) / "tests/data/lab.safetensors");
  const std::vector<float> expected = file.read_f32("lab");
  constexpr int64_t grid = 17 * 17 * 17, count = grid + 256;
  REQUIRE(expected.size() == size_t(3 * count));
  std::vector<double> rgb;
  for (int r = 0; r < 17; ++r)
    for (int g = 0; g < 17; ++g)
      for (int b = 0; b < 17; ++b)
        for (int value : {r, g, b}) rgb.push_back(value / 8.0 - 1);
  for (int grey = 0; grey < 256; ++grey)
    for (int i = 0; i < 3; ++i) rgb.push_back(grey / 127.5 - 1);
  for (Device device : {Device::ref, Device::cpu, Device::simt}) {
    CAPTURE(name_of(device));
    // ref: what float32 keeps of values up to 108. Elsewhere its rounding in three steps of about 1e-5.
    const double allowed = device == Device::ref ? 5e-6 : 3e-4;
    DeviceContext context(device);
    Tensor pictures(context, {1, 1, count, 3});
    pictures.upload(std::span<const double>(rgb));
    const LabPicture lab = rgb_to_lab(pictures);
    const auto l = lab.l.host(), ab = lab.ab.host(), back = lab_to_rgb(lab.l, lab.ab).host();
    double worst = 0, worst_grey = 0, worst_back = 0;
    for (size_t i = 0; i < size_t(count); ++i) {
      worst = std::max({worst, std::abs((l[i] + 1) * 50 - double(expected[3 * i])),
                        std::abs(ab[2 * i] * 110 - double(expected[3 * i + 1])),
                        std::abs(ab[2 * i + 1] * 110 - double(expected[3 * i + 2]))});
      if (i >= size_t(grid))
        worst_grey = std::max({worst_grey, std::abs(ab[2 * i]) * 110, std::abs(ab[2 * i + 1]) * 110});
      for (size_t k = 0; k < 3; ++k)
        worst_back = std::max(worst_back, std::abs(back[3 * i + k] - rgb[3 * i + k]));
    }
    CHECK(worst < allowed);
    CHECK(worst_grey < 0.02);       // the matrix' rows do not quite sum to the white point
    CHECK(worst_back < 1 / 255.0);  // of a range of 2: half a level
  }
}

TEST_CASE("colorize shows its input grey and its output in colour") {
  Config c = preset("colorize");
  c.size = 32, put(c, "ngf", 2), put(c, "ndf", 2);
  DeviceContext context(Device::ref);
  auto model = build_model(context, c);
  CHECK(channels_of(model->inputs()[0], c) == 1);
  CHECK(channels_of(model->inputs()[1], c) == 2);
  const Tensor rgb = activation(random_normal(context, {1, 32, 32, 3}, 4, 4, 0), {Act::tanh});
  const LabPicture lab = rgb_to_lab(rgb);
  const auto grey = model->seen(rgb).host(), all = rgb.host(), again = lab_to_rgb(lab.l, lab.ab).host();
  // What it makes keeps the lightness that it was given.
  const auto coloured = rgb_to_lab(made(*model, rgb, {})).l.host(), wanted = lab.l.host();
  double worst = 0;
  for (size_t i = 0; i < wanted.size(); ++i) worst = std::max(worst, std::abs(coloured[i] - wanted[i]));
  CHECK(worst < 0.1);  // colours that no screen can show are clipped, which moves the lightness a little
  for (size_t i = 0; i < grey.size(); i += 3) {
    CHECK(std::abs(grey[i] - grey[i + 1]) < 1e-3);
    CHECK(std::abs(grey[i] - grey[i + 2]) < 1e-3);
  }
  for (size_t i = 0; i < all.size(); ++i) CHECK(std::abs(again[i] - all[i]) < 1e-4);
}

TEST_CASE("colorize: --saturation of the run or of a call makes colours stronger, 0 leaves none") {
  Config c = preset("colorize");
  c.size = 32, put(c, "ngf", 2), put(c, "lambda-gan", 0);
  DeviceContext context(Device::ref);
  const Tensor photo = affine(activation(random_normal(context, {1, 32, 32, 3}, 4, 4, 0), {Act::tanh}), 0.3);
  // How far from grey what a run with `own` makes is, in Lab, with `called` as this call's saturation.
  const auto strength = [&](const char* own, std::optional<double> called) {
    put(c, "saturation", own);
    auto model = build_model(context, c);
    Use use{.pictures = {{"picture", photo}}, .styles = {}, .controls = {}};
    if (called) use.controls["saturation"] = *called;
    double sum = 0;
    const auto ab = rgb_to_lab(model->make(use)).ab.host();
    for (const double x : ab) sum += std::abs(x) / double(ab.size());
    return sum;
  };
  const double learnt = strength("1", {});
  CHECK(learnt > 1e-4);
  CHECK(strength("1.5", {}) == doctest::Approx(1.5 * learnt).epsilon(0.02).scale(0));
  CHECK(strength("1.5", 0.5) == doctest::Approx(0.5 * learnt).epsilon(0.02).scale(0));
  CHECK(strength("1.5", 0) < 1e-4);
  CHECK_THROWS_AS(strength("1", 5), Error);
}
