// The model encoder: each of its tasks is learnt, and what it has learnt serves other models as their network of
// features, in whose checkpoints it then lies.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <functional>

#include "engine/data/picture_set.h"
#include "models/networks/features.h"
#include "models/tasks/encoder.h"
#include "models/tasks/zoo.h"
#include "models/use/checkpoint.h"
#include "tests/support/folder.h"
#include "tests/support/gradcheck.h"
#include "tests/support/noise_input.h"
#include "tests/support/preset.h"
#include "tests/support/text.h"

using namespace gan;
using namespace gan::tests;

namespace {

constexpr const char* kTasks[] = {"colour", "rotation", "halves", "autoencoder"};

Config small_encoder(const std::string& task) {
  Config c = preset("encoder");
  c.size = c.load_size = 32, c.batch = 4;
  put(c, "task", task);
  return c;
}

// Stripes and areas of different colours, the same at every call: pictures have something to be told by.
StepInput scenes(DeviceContext& context, const Model& model, int64_t step) {
  StepInput in = model.planned_input(context, model.config.batch);
  Tensor& pictures = in.tensors.at("picture")[0];
  const int side = model.config.size;
  std::vector<float> values;
  for (int n = 0; n < model.config.batch; ++n)
    for (int y = 0; y < side; ++y)
      for (int x = 0; x < side; ++x)
        for (int c = 0; c < 3; ++c)
          values.push_back(float(0.9 * std::sin(0.3 * (n + 1) * (x + n * y) + 2.1 * c * (n + 1)) *
                                 (y > side / 3 ? 0.4 : 1.0)));
  pictures.upload(std::span<const float>(values));
  Tensor& jitter = in.tensors.at("jitter")[0];
  jitter = random_normal(context, jitter.shape(), 3, 5, 0);
  in.learning_rate = in.learning_rate_d = 2e-3;
  in.step = step;
  return in;
}

double value_of(const Metrics& metrics, const std::string& name) {
  for (const auto& [own, value] : metrics)
    if (own == name) return value;
  FAIL("no " << name);
  return 0;
}

// A run of the encoder of one step, saved; its checkpoint.
std::filesystem::path learnt_encoder(const TemporaryFolder& folder, const std::string& name) {
  DeviceContext context(Device::cpu);
  const auto model = build_model(context, small_encoder("colour"));
  model->step(scenes(context, *model, 0));
  save_checkpoint(Folder(folder.path()), name, *model, {.step = 1});
  return folder / name;
}

Config small_styles(const std::string& model) {
  Config c = preset(model);
  c.size = c.load_size = 32, c.batch = 2;
  put(c, "ngf", 2), put(c, "ndf", 2), put(c, "n-layers-d", 2);
  for (const char* steps : {"content-steps", "colour-steps", "style-steps"})
    if (c.find(steps)) put(c, steps, 0);
  return c;
}

std::string refusal(const std::string& features) {
  try {
    feature_kind(features);
  } catch (const Error& error) {
    CHECK(error.code() == Exit::bad_data);
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("encoder: every task is learnt, and activations keep their size") {
  for (const Device device : {Device::cpu, Device::simt})
    for (const std::string task : kTasks) {
      if (device == Device::simt && task != "halves")
        continue;  // slow there; halves has operations of all kinds
      CAPTURE(std::string(name_of(device)));
      CAPTURE(task);
      DeviceContext context(device);
      const auto model = build_model(context, small_encoder(task));
      const int steps = device == Device::simt ? 3 : 25;
      const Metrics first = model->step(scenes(context, *model, 0)).read();
      Metrics last;
      for (int64_t step = 1; step < steps; ++step) last = model->step(scenes(context, *model, step)).read();
      CHECK(value_of(last, "loss_task") < (device == Device::simt ? 1 : 0.8) * value_of(first, "loss_task"));
      CHECK(std::isfinite(value_of(last, "loss_size")));
    }
}

// The loss of a task on pictures (N,H,W,3), as values, before anything is learnt; jitter is 0. `change` may alter the head.
double loss_of_task(const std::string& task, const std::vector<double>& pictures,
                    const std::function<void(Parameters&)>& change = {}) {
  DeviceContext context(Device::ref);
  const auto model = build_model(context, small_encoder(task));
  if (change) change(model->network("head").parameters);
  StepInput in = scenes(context, *model, 0);
  in.tensors.at("picture")[0].upload(std::span<const double>(pictures));
  Tensor& jitter = in.tensors.at("jitter")[0];
  jitter = affine(jitter, 0);
  return value_of(model->step(in).read(), "loss_task");
}

TEST_CASE(
    "encoder: rotation asks for the turn: pictures turned once more have the answers of the next turn") {
  DeviceContext context(Device::ref);
  const auto model = build_model(context, small_encoder("rotation"));
  const auto upright = scenes(context, *model, 0).tensors.at("picture")[0].host();
  const int side = model->config.size;
  auto turned = upright;  // by a quarter
  for (size_t i = 0; i < turned.size(); ++i) {
    const size_t c = i % 3, x = i / 3 % size_t(side), y = i / 3 / size_t(side) % size_t(side),
                 n = i / 3 / size_t(side) / size_t(side);
    turned[i] = upright[((n * size_t(side) + x) * size_t(side) + (size_t(side) - 1 - y)) * 3 + c];
  }
  const auto next_turn = [](Parameters& head) {
    for (int i = 0; i < int(head.infos().size()); ++i) {
      const Tensor answers = head.value(i);  // (4,...)
      auto values = answers.host();
      std::rotate(values.begin(), values.begin() + ptrdiff_t(values.size() / 4), values.end());
      answers.upload(std::span<const double>(values));
    }
    head.weights().changed();
  };
  const double loss = loss_of_task("rotation", upright);
  CHECK(loss_of_task("rotation", turned, next_turn) == doctest::Approx(loss).epsilon(1e-9));
  CHECK(std::abs(loss_of_task("rotation", turned) - loss) > 1e-4 * loss);
}

TEST_CASE("encoder: halves that are equal are found in one picture, and held against each other in two") {
  DeviceContext context(Device::ref);
  const auto model = build_model(context, small_encoder("halves"));
  const auto scene = scenes(context, *model, 0).tensors.at("picture")[0].host();
  const size_t half = scene.size() / 8;  // of 4 pictures
  // Halves `upper` and `lower` of each picture are the upper ones of those scenes.
  const auto composed = [&](const std::array<size_t, 4>& upper, const std::array<size_t, 4>& lower) {
    std::vector<double> pictures;
    for (size_t n = 0; n < 4; ++n)
      for (const size_t from : {upper[n], lower[n]})
        pictures.insert(pictures.end(), scene.begin() + ptrdiff_t(2 * from * half),
                        scene.begin() + ptrdiff_t((2 * from + 1) * half));
    return pictures;
  };
  const double together = loss_of_task("halves", composed({0, 1, 2, 3}, {0, 1, 2, 3}));
  const double apart = loss_of_task("halves", composed({0, 1, 2, 3}, {1, 2, 3, 0}));
  CAPTURE(together);
  CAPTURE(apart);
  CHECK(together < 0.98 * apart);  // words that nobody has learnt are near each other
}

TEST_CASE("encoder: gradients of every task are those of finite differences") {
  for (const std::string task : kTasks) {
    CAPTURE(task);
    DeviceContext context(Device::ref);
    Config config = small_encoder(task);
    config.batch = 2;
    const auto model = build_model(context, config);
    for (const char* network : {"encoder", "head"}) {
      CAPTURE(network);
      const Parameters& p = model->network(network).parameters;
      // A step's loss without its optimiser's: rates of 0 leave the weights where they are.
      StepInput in = scenes(context, *model, 0);
      in.learning_rate = in.learning_rate_d = 0;
      const auto loss = [&] {
        const Metrics read = model->step(in).read();
        const double weight = config.get<EncoderSettings>().lambda_size;
        return value_of(read, "loss_task") + weight * value_of(read, "loss_size");
      };
      loss();
      const std::vector<double> gradient = p.gradients().host();
      std::vector<double> weights = p.weights().host();
      // Along the gradient the loss rises by its length: one number that all weights are in.
      double square = 0;
      for (const double g : gradient) square += g * g;
      REQUIRE(square > 0);
      const double little = 1e-6 / std::sqrt(square);
      const auto moved = [&](double by) {
        std::vector<double> there = weights;
        for (size_t i = 0; i < there.size(); ++i) there[i] += by * gradient[i];
        p.weights().upload(std::span<const double>(there));
        p.weights().changed();
        return loss();
      };
      const double slope = (moved(little) - moved(-little)) / (2 * little);
      moved(0);
      CHECK(slope == doctest::Approx(square).epsilon(1e-3).scale(0));
    }
  }
}

TEST_CASE("encoder: of the tasks whose answer is a picture, one is made; the others say so") {
  DeviceContext context(Device::cpu);
  for (const std::string task : kTasks) {
    CAPTURE(task);
    const auto model = build_model(context, small_encoder(task));
    const bool makes = task == "colour" || task == "autoencoder";
    CHECK(model->makes_pictures() == makes);
    CHECK(model->use().pictures.empty() == !makes);
    Use use;
    use.pictures["picture"] = scenes(context, *model, 0).tensors.at("picture")[0];
    if (makes) CHECK(model->make(use).shape() == use.pictures["picture"].shape());
    else CHECK_THROWS_WITH_AS(model->make(use), doctest::Contains("makes no pictures"), Error);
  }
}

TEST_CASE(
    "encoder: what it has learnt is the network of features of comic, style and restyle, and lies in their "
    "checkpoints") {
  for (const std::string name : {"comic", "style", "restyle"}) {
    CAPTURE(name);
    TemporaryFolder folder;
    const std::filesystem::path file = learnt_encoder(folder, "learnt.safetensors");
    CHECK(feature_kind(file.string()) == "encoder");
    const std::vector<float> wanted = SafetensorsFile::open(file).read_f32("encoder.level2.weight");
    Config config = small_styles(name);
    put(config, "features", file.string());
    DeviceContext context(Device::cpu);
    const auto whole = build_model(context, config);
    const auto second_level = [](Model& model) {
      const Parameters& p = model.network("features").parameters;
      return p.export_values(2, p.weights());
    };
    CHECK(second_level(*whole) == wanted);
    const auto first = build_model(context, config);
    first->step(noise_input(context, *first, 0));
    save_checkpoint(Folder(folder.path()), "c.safetensors", *first, {.step = 1});
    std::filesystem::remove(file);

    const auto checkpoint = SafetensorsFile::open(folder / "c.safetensors");
    CHECK(checkpoint.read_f32("features.level2.weight") == wanted);
    const Config held = read_checkpoint_config(checkpoint);
    CHECK(get_setting(held, "features") == "encoder");
    REQUIRE(frozen_of(checkpoint, held) == Frozen::from_checkpoint);
    check_checkpoint(checkpoint, held, true);
    const auto second = build_model(context, held, Frozen::from_checkpoint);
    TrainState state;
    load_checkpoint(checkpoint, *second, &state, true);
    CHECK(second_level(*second) == wanted);
    const Metrics there = second->step(noise_input(context, *second, 1)).read();
    whole->step(noise_input(context, *whole, 0));
    CHECK(there == whole->step(noise_input(context, *whole, 1)).read());
    // Who asks for another network gets it.
    Config other = held;
    put(other, "features", "filters");
    CHECK(frozen_of(checkpoint, other) == Frozen::from_settings);
  }
}

TEST_CASE("encoder: a file that is no encoder, or not all of it, is refused by name") {
  TemporaryFolder folder;
  const auto write = [&](const std::string& left_out, std::vector<int64_t> first_shape) {
    SafetensorsWriter writer;
    const std::vector<float> values(200000, 0.5f);
    const int widths[] = {3, 32, 64, 96, 96};
    for (int level = 1; level <= 4; ++level) {
      const std::string name = fmt::format("encoder.level{}", level);
      const int64_t in = widths[level - 1], out = widths[level];
      const std::vector<int64_t> shape = level == 1 ? first_shape : std::vector<int64_t>{out, in, 3, 3};
      int64_t count = 1;
      for (const int64_t side : shape) count *= side;
      writer.add(name + ".weight", shape, std::span<const float>(values).first(size_t(count)));
      if (name + ".bias" != left_out)
        writer.add(name + ".bias", {out}, std::span<const float>(values).first(size_t(out)));
    }
    writer.save(folder / "w.safetensors");
    return (folder / "w.safetensors").string();
  };
  const std::string place = (folder / "w.safetensors").string() + ": ";
  CHECK(feature_kind(write("", {32, 3, 3, 3})) == "encoder");
  CHECK(refusal(write("encoder.level3.bias", {32, 3, 3, 3})) ==
        place + "no tensor `encoder.level3.bias` (96), which encoder has");
  CHECK(refusal(write("", {32, 1, 3, 3})) ==
        place + "tensor `encoder.level1.weight` is (32,1,3,3), that of encoder is (32,3,3,3)");
  DeviceContext context(Device::cpu);
  const auto model = build_model(context, preset("mlpgan"));
  save_checkpoint(Folder(folder.path()), "m.safetensors", *model, {});
  CHECK(contains(refusal((folder / "m.safetensors").string()),
                 "no tensor is called features.N.weight or encoder"));
  // A network that the program does not hold has to come from a file.
  Config config = small_styles("comic");
  put(config, "features", "vgg16");
  CHECK_THROWS_WITH_AS(build_model(context, config), doctest::Contains("vgg16"), Error);
}

TEST_CASE("encoder: several sources of single pictures are one set, each read as it is alone") {
  const auto set_of = [](const std::string& source) {
    DataOptions options;
    options.source = source, options.size = 32, options.builtin_count = 3, options.builtin_test = 2;
    return PictureSet(options);
  };
  PictureSet both = set_of("builtin:abstract,builtin:comics"), paintings = set_of("builtin:abstract"),
             faces = set_of("builtin:comics");
  REQUIRE(both.train_count() == 6);
  for (int64_t i = 0; i < 3; ++i) {
    CHECK(both.example(i, false).at("picture").pixels == paintings.example(i, false).at("picture").pixels);
    CHECK(both.example(3 + i, false).at("picture").pixels == faces.example(i, false).at("picture").pixels);
  }
  CHECK_THROWS_WITH_AS(set_of("builtin:abstract,nowhere"), doctest::Contains("nowhere: "), Error);
}
