// Networks from pictures to pictures: parameter counts, names and shapes of PyTorch's, what settings make of
// them, and the training step's details.
#include <doctest/doctest.h>

#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>

#include "models/checkpoint.h"
#include "models/zoo.h"

using namespace gan;

namespace {

Config preset(const std::string& model) {
  Config c;
  find_model(model).preset(c);
  c.model = model;
  return c;
}

std::unique_ptr<Model> build(DeviceContext& context, const Config& config) {
  const ZooEntry& entry = find_model(config.model);
  entry.check(config);
  auto model = entry.make();
  model->build(context, config);
  return model;
}

// What a row of the table below says of one network.
struct Network {
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

const std::vector<Network>& networks() {
  static const std::vector<Network> table = {
      {"U-Net 256",
       [](Config& c) { c.netG = "unet_256"; },
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
       [](Config& c) { c.netG = "unet_128", c.size = 128; },
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
       [](Config& c) { c.norm = "instance"; },
       "G",
       0,
       32,
       {{"model.model.0.bias", "(64)"},
        {"P1.1.bias", "(128)"},
        {"P1.5.bias", "(64)"},
        {"P7.3.bias", "(512)"}},
       {"P1.2.weight"}},
      {"ResNet of 9 blocks, instance norm",
       [](Config& c) { c.netG = "resnet_9", c.norm = "instance", c.dropout = false; },
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
       [](Config& c) { c.netG = "resnet_6", c.norm = "instance", c.dropout = false; },
       "G",
       7'837'699,
       36,
       {{"model.15.conv_block.5.weight", "(256,256,3,3)"}, {"model.23.weight", "(3,64,7,7)"}}},
      {"ResNet of 9 blocks, batch norm, dropout",
       [](Config& c) { c.netG = "resnet_9"; },
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
       [](Config& c) { c.norm = "instance"; },
       "D",
       0,
       10,
       {{"model.2.bias", "(128)"}, {"model.8.bias", "(512)"}}},
      {"PatchGAN of one layer",
       [](Config& c) { c.n_layers_d = 1; },
       "D",
       0,
       4 + 1 + 5,
       {{"model.2.weight", "(128,64,4,4)"}, {"model.5.weight", "(1,128,4,4)"}}},
      {"PatchGAN of five layers",
       [](Config& c) { c.n_layers_d = 5; },
       "D",
       0,
       4 + 5 * 6,
       {{"model.11.weight", "(512,512,4,4)"},
        {"model.14.weight", "(512,512,4,4)"},
        {"model.17.weight", "(1,512,4,4)"}}},
      {"PatchGAN at two scales",
       [](Config& c) { c.discriminators = 2; },
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
       [](Config& c) { c.netD = "pixel"; },
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
       [](Config& c) { c.netD = "pixel", c.norm = "instance"; },
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

Config small_config() {
  Config c = preset("pix2pix");
  c.size = 32, c.ngf = 4, c.ndf = 4, c.batch = 2, c.n_layers_d = 2, c.dropout = false;
  return c;
}

StepInput random_pairs(DeviceContext& context, const Model& model, int batch, uint32_t step) {
  const Config& c = model.config;
  StepInput in;
  in.a = random_normal(context, {batch, c.size, c.size, model.paired().a}, 5, 100, step);
  in.b = activation(random_normal(context, {batch, c.size, c.size, model.paired().b}, 5, 101, step),
                    {Act::tanh});
  in.learning_rate_g = in.learning_rate_d = 2e-4;
  in.step = step;
  return in;
}

}  // namespace

TEST_CASE("networks of pix2pix and colorize have PyTorch's parameters: counts, names, shapes") {
  for (const Network& row : networks()) {
    CAPTURE(row.what);
    Config c = preset("pix2pix");
    row.set(c);
    DeviceContext plan(Device::cpu, DeviceContext::Mode::plan);
    auto model = build(plan, c);
    const Parameters& p = model->player(row.player).parameters;
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
        c.netG = net, c.up = up, c.norm = norm, c.size = 64, c.ngf = c.ndf = 2;
        DeviceContext plan(Device::cpu, DeviceContext::Mode::plan);
        auto model = build(plan, c);
        CAPTURE(net);
        CAPTURE(up);
        CHECK(last_output(*model, plan, "G") == Shape{1, 64, 64, 3});
      }
  // A side that is no power of two: three pixels at the bottom of five levels.
  Config c = preset("pix2pix");
  c.size = 96, c.ngf = c.ndf = 2;
  DeviceContext plan(Device::cpu, DeviceContext::Mode::plan);
  auto model = build(plan, c);
  CHECK(model->side_multiple() == 32);
  CHECK(last_output(*model, plan, "G", 3) == Shape{3, 96, 96, 3});

  // 256 pixels: the maps of the papers and, by the receptive field's arithmetic, of the other depths.
  const int sides[] = {0, 126, 62, 30, 14, 6};
  for (int layers = 1; layers <= 5; ++layers) {
    c = preset("pix2pix");
    c.ngf = c.ndf = 2, c.n_layers_d = layers;
    CHECK(last_output(*build(plan, c), plan, "D") == Shape{1, sides[layers], sides[layers], 1});
  }
  c.netD = "pixel";
  CHECK(last_output(*build(plan, c), plan, "D") == Shape{1, 256, 256, 1});
  c.netD = "patch", c.n_layers_d = 3, c.discriminators = 3;
  CHECK(last_output(*build(plan, c), plan, "D") == Shape{1, 6, 6, 1});  // 64 pixels at the third scale
}

TEST_CASE("useful multiply-adds of one picture, as published") {
  // Billions: U-Net-256 6.05, U-Net-128 1.51, ResNet-9 49.6, PatchGAN 3.20, pixel 0.57.
  const auto billions = [](auto set, const char* player) {
    Config c = preset("pix2pix");
    set(c);
    DeviceContext plan(Device::cpu, DeviceContext::Mode::plan);
    auto model = build(plan, c);
    const double before = plan.flop();
    model->describe(plan, 1, player, [](const LayerRecord&) {});
    return (plan.flop() - before) / 2e9;
  };
  CHECK(billions([](Config&) {}, "G") == doctest::Approx(6.05).epsilon(0.001));
  CHECK(billions([](Config& c) { c.size = 128; }, "G") == doctest::Approx(1.51).epsilon(0.003));
  CHECK(billions([](Config& c) { c.netG = "resnet_9"; }, "G") == doctest::Approx(49.6).epsilon(0.001));
  CHECK(billions([](Config&) {}, "D") == doctest::Approx(3.20).epsilon(0.002));
  CHECK(billions([](Config& c) { c.netD = "pixel"; }, "D") == doctest::Approx(0.57).epsilon(0.01));
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
  CHECK(refusal([](Config& c) { c.netG = "unet_256", c.size = 128; }).find("--size 256") !=
        std::string::npos);
  CHECK(refusal([](Config& c) { c.netG = "unet_64", c.size = 120; }).find("--size 128") != std::string::npos);
  CHECK(refusal([](Config& c) { c.netG = "resnet_9", c.size = 70; }).find("--size 72") != std::string::npos);
  CHECK(refusal([](Config& c) { c.netG = "resnet_9", c.size = 4; }).find("--size 8") != std::string::npos);
  CHECK(refusal([](Config& c) { c.size = 32, c.n_layers_d = 4; }).find("48 pixels") != std::string::npos);
  CHECK(refusal([](Config& c) { c.size = 32, c.discriminators = 2; }).find("47 pixels") != std::string::npos);
  CHECK(refusal([](Config& c) { c.netD = "pixel", c.discriminators = 2; }).find("--netD patch") !=
        std::string::npos);
  CHECK(refusal([](Config& c) { c.size = 32, c.n_layers_d = 3; }) == "accepted");
  CHECK(refusal([](Config& c) { c.model = "colorize", c.channels = 1; }).find("--channels 3") !=
        std::string::npos);
}

TEST_CASE("the smallest picture of a patch discriminator gives one logit, one pixel less none") {
  for (int layers = 1; layers <= 5; ++layers)
    for (int scales = 1; scales <= 3; ++scales) {
      Config c = preset("pix2pix");
      c.netG = "resnet_6", c.ngf = c.ndf = 1, c.n_layers_d = layers, c.discriminators = scales;
      // The least side that is a multiple of 4 and accepted has a map; four pixels less has none.
      for (c.size = 8;; c.size += 4) {
        try {
          find_model("pix2pix").check(c);
          break;
        } catch (const Error&) {}
      }
      DeviceContext plan(Device::cpu, DeviceContext::Mode::plan);
      CHECK(last_output(*build(plan, c), plan, "D").count() >= 1);
      if (c.size == 8) continue;
      c.size -= 4;
      auto model = find_model("pix2pix").make();
      model->build(plan, c);
      CHECK_THROWS_AS(last_output(*model, plan, "D"), Error);
    }
}
