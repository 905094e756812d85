// Whole networks: parameter counts and names, PyTorch's runs replayed step by step on every device, and
// gradients of the whole net against finite differences.
#include <doctest/doctest.h>

#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "kernels/simt/simt.h"
#include "models/tasks/zoo.h"
#include "models/training/replay.h"
#include "models/use/checkpoint.h"
#include "tests/cases/run_case.h"
#include "tests/support/places.h"
#include "tests/support/preset.h"
#include "tests/support/skip.h"

using namespace gan;
using gan::tests::preset;

namespace {

std::map<std::string, Shape> file_shapes(Model& model, const std::string& player) {
  std::map<std::string, Shape> shapes;
  for (const auto& info : model.network(player).parameters.infos()) shapes[info.name] = info.file_shape();
  return shapes;
}

// GAN_TEST_DATA names tests/data where the sources are not (tools/gpu_bundle.sh).
std::filesystem::path replay_folder() {
  const char* data = std::getenv("GAN_TEST_DATA");
  return (data ? std::filesystem::path(data) : std::filesystem::path(tests::source_dir) / "tests/data") /
         "replay";
}

// The replay file `name`. Those of paired models keep pictures as the two factors of their pixels
// (make_replay.py, --compact): they are multiplied out into a file of the usual format.
std::filesystem::path replay_file(const std::string& name, const std::filesystem::path& folder) {
  const auto stored = replay_folder() / (name + ".safetensors");
  const auto source = SafetensorsFile::open(stored);
  if (source.metadata().at("format") == "gan-replay/1") return stored;
  std::vector<std::vector<float>> values;
  values.reserve(source.tensors().size());
  SafetensorsWriter writer;
  writer.metadata["format"] = "gan-replay/1";
  writer.metadata["config"] = source.metadata().at("config");
  for (const auto& entry : source.tensors()) {
    if (entry.name.ends_with(".columns")) continue;
    values.push_back(source.read_f32(entry.name));
    std::vector<int64_t> shape = entry.shape;
    std::string key = entry.name;
    if (key.ends_with(".rows")) {
      key = key.substr(0, key.size() - 5);
      const std::vector<float> rows = values.back(), columns = source.read_f32(key + ".columns");
      const size_t side = size_t(shape.back());
      shape.push_back(shape.back());
      values.back().resize(rows.size() * side);
      for (size_t i = 0; i < rows.size(); ++i)
        for (size_t x = 0; x < side; ++x)
          values.back()[i * side + x] = rows[i] * columns[i / side * side + x];
    }
    writer.add(key, shape, std::span<const float>(values.back()));
  }
  const auto path = folder / (name + ".safetensors");
  writer.save(path);
  return path;
}

struct Digest {  // of one tensor, in PyTorch's element order
  double sum = 0, abs_sum = 0, weighted_sum = 0;
};

Digest digest(const std::vector<double>& x) {
  Digest d;
  for (size_t i = 0; i < x.size(); ++i) {
    d.sum += x[i];
    d.abs_sum += std::abs(x[i]);
    d.weighted_sum += x[i] * double(i + 1) / double(x.size());
  }
  return d;
}

// Replays `name` on a device for at most `steps` steps; losses, D(x) and (after the last step) all weights
// and running statistics must be PyTorch's: to 1e-9 relative of its float64 run on ref; elsewhere losses
// within 1e-5 relative, weights within 3e-4 of their mean, plus a few times the largest gap between PyTorch's
// own float32 and float64 runs so far.
void check_replay(const std::string& name, Device device, int64_t steps = INT64_MAX) {
  INFO(fmt::format("replay of {} on {}", name, name_of(device)));
  const auto folder = std::filesystem::temp_directory_path() / fmt::format("gan-test-{}", ::getpid());
  std::filesystem::create_directories(folder);
  const Replay replay(replay_file(name, folder));
  std::filesystem::remove_all(folder);
  std::ifstream stream(replay_folder() / (name + ".expected.json"));
  REQUIRE(stream.good());
  const auto expected = nlohmann::json::parse(stream);
  REQUIRE(int64_t(expected["steps"].size()) == replay.steps());

  DeviceContext context(device);
  auto model = build_model(context, replay.config());
  replay.begin(context, *model);
  const bool exact = device == Device::ref;
  double gap = 0;
  const int64_t last = std::min(steps, replay.steps());
  for (int64_t i = 0; i < last; ++i) {
    StepInput in = replay.input(context, i);
    in.learning_rate = in.learning_rate_d = replay.config().lr;
    in.stage = model->stage_at(i);
    const Metrics got = model->step(in).read();
    const auto& want = expected["steps"][size_t(i)];
    gap = std::max(gap, want["gap"].get<double>());
    CHECK(got.size() == want["f64"].size());
    for (const auto& [key, number] : want["f64"].items()) {
      const auto value =
          std::find_if(got.begin(), got.end(), [&key = key](const auto& m) { return m.first == key; });
      REQUIRE(value != got.end());
      const double reference = number.template get<double>();
      const double allowed =
          exact ? 1e-9 * std::max(1.0, std::abs(reference)) : 1e-5 * std::abs(reference) + 4 * gap;
      INFO("step " << i + 1 << " " << key << ": " << value->second << ", PyTorch " << reference);
      CHECK(std::abs(value->second - reference) <= allowed);
    }
  }
  if (last < replay.steps()) return;

  size_t compared = 0;
  for (auto& network : model->networks)
    for (int i = 0; i < int(network->parameters.infos().size()); ++i) {
      const auto& info = network->parameters.infos()[size_t(i)];
      const std::string key = network->name + "." + info.name;
      REQUIRE(expected["final"].contains(key));
      const auto& want = expected["final"][key];
      const std::vector<double> here = network->parameters.value(i).host();
      const std::vector<double> values = info.to_file(std::span<const double>(here));
      const Digest got = digest(values);
      // Adam divides by the root of the second moment: where a gradient is near 0 the float32 runs differ by
      // up to a learning rate a step, PyTorch's own gap tells how much in this tensor.
      // A bias before an instance norm has no effect: its gradient is rounding alone, and Adam's eps of 1e-8
      // makes steps of lr * 1e-13 / 1e-8 of it.
      const bool idle = replay.config().has<ConvSettings>() &&
                        get_setting(replay.config(), "norm") == "instance" && info.name.ends_with(".bias");
      const double each = exact && idle ? double(last) * replay.config().lr * 1e-13 / 1e-8
                          : exact       ? 1e-9
                                        : 3e-4 * want["abs_sum"].get<double>() / double(values.size()) +
                                        8 * want["gap"].get<double>();
      const double all = each * double(values.size());
      INFO(key);
      CHECK(std::abs(got.sum - want["sum"].get<double>()) <= all);
      CHECK(std::abs(got.abs_sum - want["abs_sum"].get<double>()) <= all);
      CHECK(std::abs(got.weighted_sum - want["weighted_sum"].get<double>()) <= all);
      const auto first = want["first8"].get<std::vector<double>>(),
                 final8 = want["last8"].get<std::vector<double>>();
      for (size_t k = 0; k < first.size(); ++k) CHECK(std::abs(values[k] - first[k]) <= 4 * each);
      for (size_t k = 0; k < final8.size(); ++k)
        CHECK(std::abs(values[values.size() - final8.size() + k] - final8[k]) <= 4 * each);
      ++compared;
    }
  CHECK(compared == expected["final"].size());
}

constexpr const char* kReplays[] = {
    "dcgan32-vanilla",   "dcgan32-minimax", "dcgan32-lsgan", "dcgan32-hinge",  "dcgan32-none",
    "dcgan32-instance",  "dcgan32-kink",    "dcgan64-grey",  "mlpgan8",        "unet128-batch",
    "unet128-instance",  "unet256-batch1",  "resnet6-pixel", "unet32-pixel",   "unet32-none",
    "unet32-resize",     "resnet9-shuffle", "colorize32",    "colorize128",    "cyclegan32-resnet6",
    "cyclegan32-unet",   "unet32-sn",       "resnet6-sn",    "comic32-all",    "comic32-plain",
    "style32-all",       "style32-coarse",  "restyle32-all", "dcgan32-resize", "comic32-animegan2",
    "style32-recoloured"};

}  // namespace

TEST_CASE("DCGAN has PyTorch's parameters: counts, names, shapes") {
  DeviceContext plan(Device::cpu, DeviceContext::Mode::plan);
  auto model = build_model(plan, preset("dcgan"));
  CHECK(model->network("G").parameters.learnt_count() == 3'576'704);
  CHECK(model->network("D").parameters.learnt_count() == 2'765'568);

  const auto g = file_shapes(*model, "G");
  CHECK(g.size() == 25 - 4);  // PyTorch's 25 entries less four num_batches_tracked
  CHECK(g.at("main.0.weight") == Shape{100, 512, 4, 4});
  CHECK(g.at("main.1.running_var") == Shape{512});
  CHECK(g.at("main.3.weight") == Shape{512, 256, 4, 4});
  CHECK(g.at("main.6.weight") == Shape{256, 128, 4, 4});
  CHECK(g.at("main.9.weight") == Shape{128, 64, 4, 4});
  CHECK(g.at("main.10.bias") == Shape{64});
  CHECK(g.at("main.12.weight") == Shape{64, 3, 4, 4});

  const auto d = file_shapes(*model, "D");
  CHECK(d.size() == 20 - 3);
  CHECK(d.at("main.0.weight") == Shape{64, 3, 4, 4});
  CHECK(d.at("main.2.weight") == Shape{128, 64, 4, 4});
  CHECK(d.at("main.3.running_mean") == Shape{128});
  CHECK(d.at("main.5.weight") == Shape{256, 128, 4, 4});
  CHECK(d.at("main.8.weight") == Shape{512, 256, 4, 4});
  CHECK(d.at("main.9.weight") == Shape{512});
  CHECK(d.at("main.11.weight") == Shape{1, 512, 4, 4});
}

TEST_CASE("the MLP GAN of the article: counts and names") {
  DeviceContext plan(Device::cpu, DeviceContext::Mode::plan);
  auto model = build_model(plan, preset("mlpgan"));
  CHECK(model->network("G").parameters.learnt_count() == 1'486'352);
  CHECK(model->network("D").parameters.learnt_count() == 1'460'225);
  CHECK(file_shapes(*model, "G").at("main.6.weight") == Shape{784, 1024});
  CHECK(file_shapes(*model, "D").at("main.0.weight") == Shape{1024, 784});
  CHECK(file_shapes(*model, "D").at("main.6.bias") == Shape{1});
}

TEST_CASE("DCGAN for every size ends in the right picture and in one logit") {
  for (int size : {32, 64, 128, 256})
    for (int channels : {1, 3}) {
      Config c = preset("dcgan");
      c.size = size, c.channels = channels, put(c, "ngf", 8), put(c, "ndf", 4), c.batch = 2;
      DeviceContext plan(Device::cpu, DeviceContext::Mode::plan);
      auto model = build_model(plan, c);
      Shape last;
      model->describe(plan, 2, "G", [&](const LayerRecord& layer) { last = layer.output; });
      CHECK(last == Shape{2, size, size, channels});
      model->describe(plan, 2, "D", [&](const LayerRecord& layer) { last = layer.output; });
      CHECK(last == Shape{2, 1, 1, 1});
    }
}

TEST_CASE("sizes a model cannot be are refused with the nearest that works") {
  Config c = preset("dcgan");
  for (auto [size, nearest] :
       {std::pair{33, "32"}, {48, "64"}, {100, "128"}, {180, "128"}, {300, "256"}, {8, "32"}}) {
    c.size = size;
    try {
      find_model("dcgan").check(c);
      FAIL("size " << size << " was accepted");
    } catch (const Error& error) {
      CHECK(error.code() == Exit::usage);
      INFO(error.what());
      CHECK(std::string(error.what()).find(std::string("--size ") + nearest) != std::string::npos);
    }
  }
  CHECK_THROWS_WITH_AS(find_model("dcgn"), doctest::Contains("dcgan"), Error);
}

TEST_CASE("replays on ref equal PyTorch's float64 run") {
  for (const char* name : kReplays) check_replay(name, Device::ref);
}

TEST_CASE("replays on cpu follow PyTorch") {
  for (const char* name : kReplays) check_replay(name, Device::cpu);
}

TEST_CASE("replays on cuda follow PyTorch") {
  std::string reason;
  if (!tests::usable_backend(Device::cuda, reason)) GAN_SKIP(reason);
  for (const char* name : kReplays) check_replay(name, Device::cuda);
}

TEST_CASE("three steps of a replay on simt follow PyTorch") {
  for (const char* name :
       {"dcgan32-vanilla", "dcgan32-lsgan", "unet32-pixel", "colorize32", "cyclegan32-unet", "unet32-sn",
        "comic32-plain", "style32-coarse", "restyle32-all"})
    check_replay(name, Device::simt, 3);
}

TEST_CASE("a replay's config may switch off what the model has not, and must not ask for it") {
  const auto folder = std::filesystem::temp_directory_path() / fmt::format("gan-test-replay-{}", ::getpid());
  std::filesystem::create_directories(folder);
  auto with = [&](const std::string& more, const std::string& replay = "dcgan32-vanilla") {
    const auto source = SafetensorsFile::open(replay_folder() / (replay + ".safetensors"));
    SafetensorsWriter writer;
    std::vector<std::vector<float>> values;
    values.reserve(source.tensors().size());
    for (const auto& entry : source.tensors()) {
      values.push_back(source.read_f32(entry.name));
      writer.add(entry.name, entry.shape, std::span<const float>(values.back()));
    }
    writer.metadata["format"] = "gan-replay/1";
    writer.metadata["config"] = source.metadata().at("config") + "\n" + more;
    const auto path = folder / "replay.safetensors";
    writer.save(path);
    return path;
  };
  CHECK(Replay(with("dropout = false\ngp = 0\nr1 = 0.0\nnetG = \"\"\n")).steps() == 5);
  CHECK_THROWS_WITH_AS(Replay(with("gp = 10\n")), doctest::Contains("gp = 10"), Error);
  CHECK_THROWS_WITH_AS(Replay(with("dropout = true\n")), doctest::Contains("dropout = true"), Error);
  CHECK_THROWS_WITH_AS(Replay(with("sise = 32\n")), doctest::Contains("size"), Error);
  CHECK_THROWS_WITH_AS(Replay(with("pool = 50\n", "cyclegan32-unet")), doctest::Contains("pool = 50"), Error);
  // Networks that never learn are looked for, and looked at, as the others are.
  CHECK_THROWS_WITH_AS(Replay(with("lambda_style = 1\n", "comic32-plain")),
                       doctest::Contains("\"features.level1.weight\""), Error);
  std::filesystem::remove_all(folder);
}

TEST_CASE("the loss's gradient by the whole net against finite differences") {
  // The loss of D through D and, for G, through D and G: what one step differentiates.
  Config c = preset("dcgan");
  c.size = 32, put(c, "ngf", 2), put(c, "ndf", 2), put(c, "nz", 3), c.batch = 3;
  DeviceContext context(Device::ref);
  auto model = build_model(context, c);
  // A learning rate of 0 leaves the weights where they are; gradients stay in the flat buffers.
  StepInput in;
  in.add("real", random_normal(context, {3, 32, 32, 3}, 5, 100, 0));
  in.add("z", random_normal(context, {3, 3}, 5, 101, 0));
  model->step(in);
  const std::map<std::string, Tensor> gradients{{"G", model->network("G").parameters.gradients()},
                                                {"D", model->network("D").parameters.gradients()}};
  for (const auto& [name, gradient] : gradients) {
    Parameters& p = model->network(name).parameters;
    const std::vector<double> analytic = gradient.host();
    const std::vector<double> weights = p.weights().host();
    const std::string loss = name == "G" ? "loss_G" : "loss_D";
    auto loss_at = [&](const std::vector<double>& w) {
      p.weights().upload(std::span<const double>(w));
      p.weights().changed();
      for (const auto& [key, value] : model->step(in).read())
        if (key == loss) return value;
      return std::nan("");
    };
    for (size_t i = 0; i < p.infos().size(); ++i) {
      const auto& info = p.infos()[i];
      if (info.buffer) continue;
      for (int64_t k : {int64_t(0), info.shape.count() / 2, info.shape.count() - 1}) {
        const size_t at = size_t(info.offset + k);
        // The net has kinks (relu): a small step, and float64 throughout.
        const double h = 1e-7;
        std::vector<double> w = weights;
        w[at] = weights[at] + h;
        const double above = loss_at(w);
        w[at] = weights[at] - h;
        const double below = loss_at(w);
        const double numeric = (above - below) / (2 * h);
        INFO(name << "." << info.name << "[" << k << "]: " << analytic[at] << ", finite difference "
                  << numeric);
        // Rounding of the loss: eps / h = 2e-9 times a few; kinks that lie within h of a unit of 10,000 cost
        // more.
        CHECK(std::abs(analytic[at] - numeric) <= 1e-6 + 1e-4 * std::abs(numeric));
      }
    }
    p.weights().upload(std::span<const double>(weights));
  }
}

TEST_CASE("a step gives its memory back and asks for the same the next time") {
  Config c = preset("dcgan");
  c.size = 32, put(c, "ngf", 4), put(c, "ndf", 4), c.batch = 4;
  DeviceContext context(Device::cpu);
  auto model = build_model(context, c);
  StepInput in;
  in.add("real", random_normal(context, {4, 32, 32, 3}, 5, 100, 0));
  in.add("z", random_normal(context, {4, 100}, 5, 101, 0));
  in.learning_rate = in.learning_rate_d = 1e-4;
  context.tape().backward(sum(variable(constant(context, {1}, 1))));  // the 1 that they begin with stays
  const size_t before = context.pool().live_bytes();
  model->step(in).read();
  CHECK(context.pool().live_bytes() == before);
  const size_t reserved = context.pool().reserved_bytes(), peak = context.pool().peak_bytes();
  for (int i = 0; i < 3; ++i) model->step(in).read();
  CHECK(context.pool().live_bytes() == before);
  CHECK(context.pool().reserved_bytes() == reserved);
  CHECK(context.pool().peak_bytes() == peak);

  // A plan predicts exactly what the step took.
  DeviceContext plan(Device::cpu, DeviceContext::Mode::plan);
  auto planned = build_model(plan, c);
  StepInput planned_in;
  planned_in.add("real", Tensor(plan, {4, 32, 32, 3}));
  planned_in.add("z", Tensor(plan, {4, 100}));
  planned->step(planned_in);
  CHECK(plan.pool().peak_bytes() == peak);
}

#if defined(NDEBUG) && !defined(__SANITIZE_ADDRESS__) && !defined(GAN_SIMT_RACE)
// The true width: tiles are full, k is split, sums go over several blocks.
TEST_CASE("simt: a step of the full DCGAN, batch of 4") {
  Config c = preset("dcgan");
  c.size = 64, put(c, "ngf", 64), put(c, "ndf", 64), c.batch = 4;
  struct Run {
    Metrics metrics;
    std::vector<double> gradients[2];  // of G, D
  };
  std::vector<std::vector<double>> weights;  // the second device starts from the first one's
  auto run = [&](Device device) {
    DeviceContext context(device);
    auto model = build_model(context, c);
    StepInput in;
    in.add("real", random_normal(context, {4, 64, 64, 3}, 1, 100, 0));
    in.add("z", random_normal(context, {4, 100}, 1, 101, 0));
    in.learning_rate = in.learning_rate_d = 2e-4;
    for (size_t i = 0; i < 2; ++i) {
      const Tensor flat = model->networks[i]->parameters.weights();
      if (weights.size() <= i) weights.push_back(flat.host());
      flat.upload(std::span<const double>(weights[i]));
      flat.changed();
    }
    Run result;
    result.metrics = model->step(in).read();
    for (size_t i = 0; i < 2; ++i) result.gradients[i] = model->networks[i]->parameters.gradients().host();
    return result;
  };
  const Run simt = run(Device::simt), exact = run(Device::ref);
  // Rounding of some 2^-20 in each of 30 kernels, one after another. An activation within rounding of 0 takes
  // the other side of its kink and leaves 2^-10: with these random numbers there is none.
  constexpr double allowed = 0x1p-15;
  for (size_t i = 0; i < 2; ++i) {
    double squares = 0, size = 0;
    for (size_t k = 0; k < exact.gradients[i].size(); ++k) {
      const double want = exact.gradients[i][k], error = simt.gradients[i][k] - want;
      squares += error * error, size += want * want;
    }
    INFO("gradient of " << (i == 0 ? "G" : "D") << ": relative error " << std::sqrt(squares / size));
    CHECK(size > 0);
    CHECK(std::sqrt(squares / size) <= allowed);
  }
  REQUIRE(simt.metrics.size() == exact.metrics.size());
  for (size_t i = 0; i < exact.metrics.size(); ++i) {
    const double want = exact.metrics[i].second;
    INFO(exact.metrics[i].first << ": " << simt.metrics[i].second << ", should be " << want);
    CHECK(std::abs(simt.metrics[i].second - want) <= allowed * std::max(1.0, std::abs(want)));
  }
}
#endif

TEST_CASE("several discriminator updates, averaged weights and frozen players") {
  Config c = preset("dcgan");
  c.size = 32, put(c, "ngf", 4), put(c, "ndf", 4), c.batch = 4, put(c, "n-critic", 3), c.ema = 0.5;
  DeviceContext context(Device::cpu);
  auto model = build_model(context, c);
  StepInput in;
  for (uint32_t i = 0; i < 3; ++i) {
    in.add("real", random_normal(context, {4, 32, 32, 3}, 5, 100, i));
    in.add("z", random_normal(context, {4, 100}, 5, 101, i));
  }
  in.learning_rate = in.learning_rate_d = 1e-3;
  const auto before = model->network("G").parameters.weights().host();
  model->step(in);
  CHECK(model->network("D").adam.steps == 3);
  CHECK(model->network("G").adam.steps == 1);
  const auto after = model->network("G").parameters.weights().host();
  const auto average = model->network("G").parameters.average().host();
  double moved = 0;
  for (size_t i = 0; i < after.size(); ++i) {
    moved = std::max(moved, std::abs(after[i] - before[i]));
    REQUIRE(average[i] == doctest::Approx(0.5 * before[i] + 0.5 * after[i]).epsilon(1e-6));
  }
  CHECK(moved > 0);
  // Samples come from the averaged weights.
  const Tensor z = random_normal(context, {2, 100}, 9, 9, 0);
  const auto with_average = model->sample(z).host();
  model->config.ema = 0;
  model->network("G").parameters.weights().upload(std::span<const double>(average));
  model->network("G").parameters.weights().changed();
  CHECK(model->sample(z).host() == with_average);
}

TEST_CASE("one picture at a time gives the same picture") {
  Config c = preset("dcgan");
  c.size = 32, put(c, "ngf", 4), put(c, "ndf", 4), c.batch = 4;
  DeviceContext context(Device::ref);
  auto model = build_model(context, c);
  const Tensor z = random_normal(context, {5, 100}, 3, 3, 0);
  const auto all = model->sample(z).host();
  const size_t each = all.size() / 5;
  for (int i = 0; i < 5; ++i) {
    const auto one = model->sample(z.view(i * 100, {1, 100})).host();
    REQUIRE(one.size() == each);
    for (size_t k = 0; k < each; ++k) REQUIRE(one[k] == all[size_t(i) * each + k]);
  }
}

TEST_CASE("a checkpoint brings everything back; another model's is refused with key and shapes") {
  const auto folder = std::filesystem::temp_directory_path() / fmt::format("gan-test-models-{}", ::getpid());
  std::filesystem::create_directories(folder);
  const auto path = folder / "a.safetensors";
  Config c = preset("dcgan");
  c.size = 32, put(c, "ngf", 4), put(c, "ndf", 4), c.batch = 4, c.ema = 0.9;
  DeviceContext context(Device::cpu);
  auto model = build_model(context, c);
  StepInput in;
  in.add("real", random_normal(context, {4, 32, 32, 3}, 5, 100, 0));
  in.add("z", random_normal(context, {4, 100}, 5, 101, 0));
  in.learning_rate = in.learning_rate_d = 1e-3;
  model->step(in);
  save_checkpoint(Folder(folder), "a.safetensors", *model, {.step = 7, .draw = 9, .images = 28});

  Config other_seed = c;
  other_seed.seed = 77;
  auto copy = build_model(context, other_seed);
  TrainState state;
  const auto file = SafetensorsFile::open(path);
  load_checkpoint(file, *copy, &state, true);
  CHECK(state.step == 7);
  CHECK(state.draw == 9);
  CHECK(state.images == 28);
  const Metrics a = model->step(in).read(), b = copy->step(in).read();
  CHECK(a == b);
  CHECK(copy->network("G").parameters.weights().host() == model->network("G").parameters.weights().host());
  CHECK(copy->network("G").parameters.average().host() == model->network("G").parameters.average().host());
  CHECK(copy->network("D").adam.v.host() == model->network("D").adam.v.host());
  CHECK(get_setting(read_checkpoint_config(file), "ngf") == "4");

  Config wider = c;
  put(wider, "ngf", 8);
  auto wide = build_model(context, wider);
  const auto untouched = wide->network("G").parameters.weights().host();
  CHECK_THROWS_WITH_AS(load_checkpoint(file, *wide, &state, true),
                       doctest::Contains("`G.main.0.weight` is (100,16,4,4), this model wants (100,32,4,4)"),
                       Error);
  CHECK(wide->network("G").parameters.weights().host() == untouched);
  Config mlp = preset("mlpgan");
  auto perceptron = build_model(context, mlp);
  CHECK_THROWS_WITH_AS(load_checkpoint(file, *perceptron, &state, true), doctest::Contains("main.0"), Error);
  std::filesystem::remove_all(folder);
}
