// The learner, by models of a few layers each: whose weights a turn moves, networks that are frozen, stages, several
// updates a step, what a trained model is given, and losses on the middle of a network.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "models/losses/adversarial.h"
#include "models/players/judge.h"
#include "models/use/checkpoint.h"
#include "tests/support/folder.h"
#include "tests/support/preset.h"

namespace gan::tests {
namespace {

class SmallModel : public Model {
 public:
  void describe(DeviceContext&, int, const std::string&, const LayerObserver&) override {}  // not looked at

 protected:
  // 3x3 with a bias: (N,H,W,in) -> (N,H,W,out)
  static ConvBlock conv(Network& network, const std::string& name, int in, int out,
                        NormKind norm = NormKind::none, Activation act = kNoAct) {
    return ConvBlock::make(network.parameters, name, in, out,
                           {.conv = {.kernel = 3, .stride = 1, .pad = 1},
                            .bias = true,
                            .norm = norm,
                            .norm_name = name + "_norm",
                            .act = act});
  }
  static Tensor mean_square(const Tensor& x) { return mean(multiply(x, x)); }
};

Config small_config(int size = 6) {
  Config config = preset("dcgan");
  config.size = size, config.batch = 2, config.seed = 5;
  return config;
}

// Random pictures for every input, others in every step.
StepInput input_of(const Model& model, DeviceContext& context, int64_t step) {
  StepInput in;
  in.step = step, in.stage = model.stage_at(step), in.log = true;
  in.learning_rate = 0.01, in.learning_rate_d = 0.02;
  const int size = model.size_at(in.stage);
  uint32_t stream = 100;
  for (const InputSpec& spec : model.inputs())
    for (int i = 0; i < spec.draws; ++i)
      in.add(spec.name, random_normal(context, {2, size, size, 3}, 9, stream++, uint32_t(step)));
  return in;
}

using Values = std::vector<double>;

// Everything that training moves.
struct Memory {
  Values weights, statistics, average, m, v;
  int64_t steps = 0;
  bool operator==(const Memory&) const = default;
};
Memory memory_of(const Network& network) {
  const Parameters& p = network.parameters;
  const auto values = [](const Tensor& t) { return t ? t.host() : Values(); };
  return {values(p.weights()),    values(p.statistics()), values(p.average()),
          values(network.adam.m), values(network.adam.v), network.adam.steps};
}
std::map<std::string, Memory> memory_of(const Model& model) {
  std::map<std::string, Memory> all;
  for (const auto& network : model.networks) all[network->name] = memory_of(*network);
  return all;
}

double value_of(const Metrics& metrics, const std::string& name) {
  double found = std::numeric_limits<double>::quiet_NaN();
  int times = 0;
  for (const auto& [key, value] : metrics)
    if (key == name) found = value, ++times;
  CAPTURE(name);
  CHECK(times == 1);
  return found;
}

bool all_zero(const Values& values) {
  return std::all_of(values.begin(), values.end(), [](double value) { return value == 0; });
}

// The gradient that a step leaves in a network of a generating player, against central differences of the loss
// that it reports. On device ref.
void check_gradient(Model& model, const std::string& network, StepInput in, const std::string& loss) {
  in.learning_rate = in.learning_rate_d = 0;  // nothing moves
  const Parameters& p = model.network(network).parameters;
  const double size = std::abs(value_of(model.step(in).read(), loss)) + 1;
  const Values gradient = p.gradients().host(), weights = p.weights().host();
  CHECK_FALSE(all_zero(gradient));
  const auto at = [&](size_t i, double shift) {
    Values moved = weights;
    moved[i] += shift;
    p.weights().upload(std::span<const double>(moved));
    p.weights().changed();
    return value_of(model.step(in).read(), loss);
  };
  constexpr double step = 1e-6;
  for (const ParameterInfo& info : p.infos())
    for (int64_t k = 0; !info.buffer && k < info.shape.count(); k += 3) {
      const size_t i = size_t(info.offset + k);
      const double measured = (at(i, step) - at(i, -step)) / (2 * step);
      CAPTURE(info.name);
      CAPTURE(k);
      CHECK(std::abs(measured - gradient[i]) <= 1e-8 * size + 1e-6 * std::abs(measured));
    }
}

template <class F>
std::string refusal(F f, Exit code) {
  try {
    f();
  } catch (const Error& error) {
    CHECK(error.code() == code);
    return error.what();
  }
  return "no error";
}

void check_says(const std::string& words, const std::string& part) {
  CAPTURE(words);
  CAPTURE(part);
  CHECK(words.find(part) != std::string::npos);
}

// ------------------------------------------------------------------------------------------------- turns

// Two networks in a row make, two in a row judge.
class TwoPairs : public SmallModel {
 public:
  TwoPairs()
      : a1_(add_network("A1")),
        a2_(add_network("A2")),
        b1_(add_network("B1")),
        b2_(add_network("B2")),
        a_(add_player("A", {&a1_, &a2_})),
        b_(add_player("B", {&b1_, &b2_}, true)) {}
  std::function<void()> between;  // called between the turns

 protected:
  void declare() override {
    add_input({.name = "x", .of = "picture"});
    make_ = {conv(a1_, "conv", 3, 4, NormKind::batch, kTanh),
             conv(a2_, "conv", 4, 3, NormKind::batch, kTanh)};
    judge_ = {conv(b1_, "conv", 3, 4, NormKind::batch, kTanh),
              conv(b2_, "conv", 4, 1, NormKind::batch, kTanh)};
  }
  void learn(Step& step) override {
    const auto judged = [&](const Tensor& made) {
      const Tensor inner = judge_[0](b1_.parameters, made, step.pass());
      return affine(judge_[1](b2_.parameters, inner, step.pass()), 1, 0.5);
    };
    Tensor made;
    {
      Turn turn(step, a_);
      made = make_[1](a2_.parameters, make_[0](a1_.parameters, step.input("x"), step.pass()), step.pass());
      turn.learn(mean_square(multiply(judged(made), made_of_one(made))));
    }
    if (between) between();
    Turn turn(step, b_);
    turn.learn(mean_square(multiply(judged(made.detach()), made_of_one(made))));
  }

 private:
  // One channel of the picture as a weight of each place: without it the norms would hide what changed.
  static Tensor made_of_one(const Tensor& made) { return slice_channels(made.detach(), 0, 1); }
  Network &a1_, &a2_, &b1_, &b2_;
  Player &a_, &b_;
  std::vector<ConvBlock> make_, judge_;
};

}  // namespace

TEST_CASE("learner: a turn moves its own player's networks alone, running statistics follow every pass") {
  for (const Device device : {Device::ref, Device::cpu}) {
    CAPTURE(std::string(name_of(device)));
    DeviceContext context(device);
    TwoPairs model;
    model.build(context, small_config());
    const auto before = memory_of(model);
    std::map<std::string, Memory> middle;
    model.between = [&] {
      middle = memory_of(model);
      for (const char* judge : {"B1", "B2"})
        CHECK(all_zero(model.network(judge).parameters.gradients().host()));
    };
    const Metrics metrics = model.step(input_of(model, context, 0)).read();
    const auto after = memory_of(model);
    for (const char* name : {"A1", "A2", "B1", "B2"}) {
      CAPTURE(name);
      const bool makes = name[0] == 'A';
      const Memory &first = before.at(name), &second = middle.at(name), &third = after.at(name);
      CHECK((first.weights == second.weights) == !makes);  // A's turn
      CHECK((first.m == second.m) == !makes);
      CHECK((first.v == second.v) == !makes);
      CHECK((second.weights == third.weights) == makes);  // B's turn
      CHECK((second.m == third.m) == makes);
      CHECK((second.v == third.v) == makes);
      CHECK(second.steps == (makes ? 1 : 0));
      CHECK(third.steps == 1);
      CHECK(first.statistics != second.statistics);  // A's turn passes through all four, B's through its own
      CHECK((second.statistics == third.statistics) == makes);
      CHECK(value_of(metrics, std::string("grad_norm_") + name) > 0);
    }
    // Each kind of player has its learning rate.
    StepInput in = input_of(model, context, 1);
    in.learning_rate_d = 0;
    model.between = {};
    model.step(in);
    for (const char* name : {"A1", "A2"}) CHECK(memory_of(model).at(name).weights != after.at(name).weights);
    for (const char* name : {"B1", "B2"}) CHECK(memory_of(model).at(name).weights == after.at(name).weights);
  }
}

// ------------------------------------------------------------------------------------------------- frozen

namespace {

struct FeatureSettings : Group<FeatureSettings> {
  FeatureSettings() : Group("features") {}
  Setting<std::string> features{*this, "features", "", "weights of the network of features", "", kTrain};
};

// G learns to make pictures whose features are those of others.
class Perceptual : public SmallModel {
 public:
  explicit Perceptual(const NetworkTraits& traits = {.averaged = false,
                                                     .used = false,
                                                     .weights_from = "features"})
      : g_(add_network("G", {.averaged = false, .used = true, .weights_from = ""})),
        features_(add_network("features", traits)),
        player_(add_player("G", {&g_})) {}

 protected:
  void declare() override {
    add_input({.name = "x", .of = "picture"});
    add_input({.name = "y", .of = "picture"});
    make_ = conv(g_, "conv", 3, 3, NormKind::none, kTanh);
    see_ = {conv(features_, "conv1", 3, 4, NormKind::batch, kTanh), conv(features_, "conv2", 4, 4)};
  }
  void learn(Step& step) override {
    Turn turn(step, player_);
    const Tensor made = make_(g_.parameters, step.input("x"), step.pass());
    const Tensor loss = pixel_loss(see(made, step), see(step.input("y"), step), PixelLossKind::l2).loss;
    turn.learn(loss);
    step.report("loss", loss);
  }

 private:
  Tensor see(const Tensor& picture, const Step& step) const {
    return see_[1](features_.parameters, see_[0](features_.parameters, picture, step.pass()), step.pass());
  }
  Network &g_, &features_;
  Player& player_;
  ConvBlock make_;
  std::vector<ConvBlock> see_;
};

// The same with weights that the program holds; an empty `setting` names no file.
class Holding : public Perceptual {
 public:
  Holding(const std::string& setting, const std::function<bool(const Parameters&, const std::string&)>& fill)
      : Perceptual({.averaged = false, .used = false, .weights_from = setting, .built_in = fill}) {}
};

struct FileTensor {
  std::string name;
  std::vector<int64_t> shape;
  std::vector<float> values;
};

// Weights for the network of features; another `phase` gives others.
std::vector<FileTensor> feature_tensors(double phase) {
  DeviceContext plan(Device::cpu, DeviceContext::Mode::plan);
  Perceptual model;
  model.build(plan, small_config());  // a plan opens no file
  std::vector<FileTensor> tensors;
  for (const ParameterInfo& info : model.network("features").parameters.infos()) {
    const Shape shape = info.file_shape();
    FileTensor one{info.name, {shape.dims.begin(), shape.dims.begin() + shape.rank}, {}};
    for (int64_t i = 0; i < shape.count(); ++i)
      one.values.push_back(float(0.6 + 0.5 * std::sin(phase + double(tensors.size()) + 1.7 * double(i))));
    tensors.push_back(one);
  }
  return tensors;
}

std::filesystem::path write_tensors(const std::vector<FileTensor>& tensors,
                                    const std::filesystem::path& path) {
  SafetensorsWriter writer;
  for (const FileTensor& one : tensors) writer.add(one.name, one.shape, std::span<const float>(one.values));
  writer.save(path);
  return path;
}

Config config_with(const std::filesystem::path& features) {
  Config config = small_config();
  config.add<FeatureSettings>();
  config.get<FeatureSettings>().features = features.string();
  return config;
}

}  // namespace

TEST_CASE("learner: a frozen network has the weights of its file, keeps them, and passes gradients on") {
  TemporaryFolder folder;
  const auto tensors = feature_tensors(0);
  const Config config = config_with(write_tensors(tensors, folder / "features.safetensors"));
  DeviceContext context(Device::ref);
  Perceptual model;
  model.build(context, config);
  const auto check_unmoved = [&] {
    const Parameters& p = model.network("features").parameters;
    REQUIRE(tensors.size() == 8);
    for (size_t i = 0; i < tensors.size(); ++i) {
      CAPTURE(tensors[i].name);
      CHECK(p.infos()[i].name == tensors[i].name);
      CHECK(p.export_values(int(i), p.infos()[i].buffer ? Tensor() : p.weights()) == tensors[i].values);
    }
  };
  check_unmoved();
  check_gradient(model, "G", input_of(model, context, 0), "loss");
  for (int64_t step = 0; step < 3; ++step) model.step(input_of(model, context, step));
  check_unmoved();
  CHECK(model.network("G").adam.steps > 3);
}

TEST_CASE("learner: a frozen network may have weights that the program holds, alone or in place of a file") {
  TemporaryFolder folder;
  const auto from_file = feature_tensors(0), held = feature_tensors(1);
  int filled = 0;
  const auto fill = [&](const Parameters& p, const std::string& value) {
    if (!value.empty()) return false;
    ++filled;
    for (size_t i = 0; i < held.size(); ++i)
      p.import_values(int(i), held[i].values, p.infos()[i].buffer ? Tensor() : p.weights());
    return true;
  };
  const Config named = config_with(write_tensors(from_file, folder / "features.safetensors"));
  const auto check = [&](const std::string& setting, const Config& config,
                         const std::vector<FileTensor>& want) {
    DeviceContext context(Device::cpu);
    Holding model(setting, fill);
    model.build(context, config);
    const Parameters& p = model.network("features").parameters;
    CHECK_FALSE(model.network("features").learns());
    for (int64_t step = 0; step < 2; ++step) model.step(input_of(model, context, step));
    for (size_t i = 0; i < want.size(); ++i)
      CHECK(p.export_values(int(i), p.infos()[i].buffer ? Tensor() : p.weights()) == want[i].values);
    save_checkpoint(Folder(folder.path()), "c.safetensors", model, {.step = 2});
    const auto file = SafetensorsFile::open(folder / "c.safetensors");
    CHECK(file.find("G.conv.weight"));
    for (const FileTensor& one : want) CHECK(file.read_f32("features." + one.name) == one.values);
  };
  check("features", named, from_file);
  CHECK(filled == 0);
  check("features", config_with(""), held);
  check("", small_config(), held);
  CHECK(filled == 2);
  DeviceContext plan(Device::cpu, DeviceContext::Mode::plan);
  Holding model("", fill);
  model.build(plan, small_config());
  CHECK(filled == 2);
}

TEST_CASE("learner: a file that a frozen network cannot use is refused by name") {
  TemporaryFolder folder;
  const auto good = feature_tensors(0);
  const auto refused = [&](const std::vector<FileTensor>& tensors) {
    const Config config = config_with(write_tensors(tensors, folder / "bad.safetensors"));
    DeviceContext context(Device::cpu);
    Perceptual model;
    const std::string words = refusal([&] { model.build(context, config); }, Exit::bad_data);
    CHECK(words.starts_with((folder / "bad.safetensors").string() + ": "));
    return words;
  };
  const auto changed = [&](const std::string& name, const std::function<void(FileTensor&)>& change) {
    auto tensors = good;
    for (FileTensor& one : tensors)
      if (one.name == name) change(one);
    return refused(tensors);
  };
  check_says(changed("conv1.weight",
                     [](FileTensor& t) {
                       t.shape = {3, 4, 3, 3};
                     }),
             "tensor `conv1.weight` is (3,4,3,3), network features wants (4,3,3,3)");
  check_says(changed("conv2.bias",
                     [](FileTensor& t) {
                       t.shape = {4, 1};
                     }),
             "tensor `conv2.bias` is (4,1), network features wants (4)");
  check_says(changed("conv2.bias", [](FileTensor& t) { t.name = "conv3.bias"; }),
             "has no tensor \"conv2.bias\"");
  for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity()})
    for (const std::string name : {"conv1.weight", "conv2.bias", "conv1_norm.running_var"})
      check_says(changed(name, [&](FileTensor& t) { t.values.back() = bad; }),
                 ("tensor `" + name + "` holds a number that is not finite"));

  DeviceContext context(Device::cpu);
  Perceptual nameless, missing, more;
  check_says(refusal([&] { nameless.build(context, config_with("")); }, Exit::usage),
             "needs --features FILE: the weights of its network features");
  const auto nowhere = folder / "nowhere.safetensors";
  check_says(refusal([&] { missing.build(context, config_with(nowhere)); }, Exit::bad_data), nowhere);
  auto tensors = good;  // what no network asks for may be there: a classifier's last layers
  tensors.push_back({"head.weight", {2}, {1, 2}});
  CHECK_NOTHROW(more.build(context, config_with(write_tensors(tensors, folder / "more.safetensors"))));
}

TEST_CASE("learner: a checkpoint holds a frozen network, and training goes on with it or with a file") {
  TemporaryFolder folder;
  const Config config = config_with(write_tensors(feature_tensors(0), folder / "features.safetensors"));
  const Config other = config_with(write_tensors(feature_tensors(1), folder / "other.safetensors"));
  DeviceContext context(Device::cpu);
  const auto train = [&](Model& model, int64_t from, int64_t to) {
    for (int64_t step = from; step < to; ++step) model.step(input_of(model, context, step));
  };
  Perceptual whole, first, second, elsewhere, without_file, used;
  for (Model* model : std::vector<Model*>{&whole, &first, &second}) model->build(context, config);
  elsewhere.build(context, other);
  without_file.build(context, config_with(folder / "nowhere.safetensors"), Frozen::from_checkpoint);
  train(whole, 0, 5);
  train(first, 0, 2);
  save_checkpoint(Folder(folder.path()), "c.safetensors", first, {.step = 2});
  const auto file = SafetensorsFile::open(folder / "c.safetensors");
  CHECK(file.find("G.conv.weight") != nullptr);
  CHECK(file.find("features.conv1.weight") != nullptr);
  CHECK(file.find("adam.features.m.conv1.weight") == nullptr);
  for (Model* model : {&second, &elsewhere, &without_file}) {
    TrainState state;
    load_checkpoint(file, *model, &state, true);
    CHECK(state.step == 2);
    train(*model, 2, 5);
  }
  CHECK(memory_of(second) == memory_of(whole));
  CHECK(memory_of(without_file) == memory_of(whole));
  CHECK(memory_of(elsewhere).at("G").weights != memory_of(whole).at("G").weights);
  // Who only uses G needs no file of features.
  used.build_for_use(context, config_with(""));
  load_checkpoint(file, used, nullptr, false);
  CHECK(memory_of(used).at("G").weights == memory_of(first).at("G").weights);
}

// ---------------------------------------------------------------------------------------------------- use

namespace {

// The style, where the mask has it, over the content.
class Blend : public SmallModel {
 public:
  UseSpec use() const override {
    return {.pictures = {"content", "style", "mask"},
            .controls = {{.name = "strength", .help = "of the style", .value = 0.75, .low = 0, .high = 2}}};
  }
  Tensor make(const Use& use) override {
    const Tensor &content = picture(use, "content"), &style = picture(use, "style");
    const Tensor part = affine(picture(use, "mask"), control(use, "strength"));
    return add(content, multiply(part, subtract(style, content)));
  }
  double ask(const std::string& name) { return control({}, name); }

 protected:
  void declare() override {}
  void learn(Step&) override {}
};

}  // namespace

TEST_CASE("learner: a trained model sees its pictures and controls by name") {
  DeviceContext context(Device::ref);
  Blend model;
  model.build_for_use(context, small_config());
  Use use;
  use.pictures = {{"content", constant(context, {1, 2, 2, 3}, 0.5)},
                  {"style", constant(context, {1, 2, 2, 3}, -0.5)},
                  {"mask", constant(context, {1, 2, 2, 3}, 0.5)}};
  const auto made = [&] { return model.make(use).host()[0]; };
  CHECK(made() == 0.5 - 0.75 * 0.5);  // the declared strength
  for (const double strength : {0.0, 1.0, 2.0}) {
    use.controls["strength"] = strength;
    CHECK(made() == 0.5 - strength * 0.5);
  }
  std::swap(use.pictures["content"], use.pictures["style"]);
  CHECK(made() == 0.5);
  use.controls["strength"] = 0;
  CHECK(made() == -0.5);
  for (const double outside : {-0.1, 2.5, std::nan("")}) {
    use.controls["strength"] = outside;
    check_says(refusal([&] { made(); }, Exit::usage),
               fmt::format("strength of dcgan is {}; give a number from 0 to 2", outside));
  }
  use.pictures.erase("style");
  check_says(refusal([&] { made(); }, Exit::usage),
             "makes pictures of: content, style, mask; there is no style");
  check_says(refusal([&] { model.ask("strenght"); }, Exit::failure), "no control strenght");
}

// ------------------------------------------------------------------------------------- stages and updates

namespace {

// A generator of pictures from pictures and a discriminator of patches, of any size.
class Critic : public SmallModel {
 public:
  explicit Critic(int updates = 1, std::vector<Stage> stages = {}, NormKind norm = NormKind::none)
      : updates_(updates),
        norm_(norm),
        g_(add_network("G", {.averaged = true, .used = true, .weights_from = ""})),
        d_(add_network("D")),
        generates_(add_player("G", {&g_})),
        judges_(add_player("D", {&d_}, true)) {
    for (const Stage& stage : stages) add_stage(stage);
  }

 protected:
  void declare() override {
    judges_.updates = updates_;
    add_input({.name = "real", .of = "picture", .draws = updates_});
    add_input({.name = "x", .of = "picture", .draws = updates_});
    make_ = conv(g_, "conv", 3, 3, norm_, kTanh);
    judge_ = {conv(d_, "conv1", 3, 4, norm_, kLeaky), conv(d_, "conv2", 4, 1)};
  }
  void learn(Step& step) override {
    const auto judged = [&](const Tensor& x) {
      return judge_[1](d_.parameters, judge_[0](d_.parameters, x, step.pass()), step.pass());
    };
    Tensor fake;
    LossValue loss;
    for (int i = 0; i < step.draws("real"); ++i) {
      fake = make_(g_.parameters, step.input("x", i), step.pass());
      Turn turn(step, judges_);
      loss = discriminator_loss({judged(step.input("real", i))}, {judged(fake.detach())},
                                config.get<AdversarialSettings>());
      turn.learn(loss.loss);
    }
    Turn turn(step, generates_);
    const Tensor g_loss = generator_loss({judged(fake)}, config.get<AdversarialSettings>());
    turn.learn(g_loss);
    step.report("loss_D", loss.loss);
    step.report("loss_G", g_loss);
  }

 private:
  int updates_;
  NormKind norm_;
  Network &g_, &d_;
  Player &generates_, &judges_;
  ConvBlock make_;
  std::vector<ConvBlock> judge_;
};

const std::vector<Stage> kStages = {{.name = "small", .steps = 2, .size = 4, .trains = {"D"}},
                                    {.name = "wide", .steps = 3, .size = 8, .trains = {"G"}},
                                    {.name = "both", .steps = 0, .size = 0, .trains = {}}};

}  // namespace

TEST_CASE("learner: stages have their length, their size and the networks that they train") {
  DeviceContext context(Device::cpu);
  Config config = small_config(6);
  config.ema = 0.9;
  Critic model(1, kStages, NormKind::batch);
  model.build(context, config);
  const int expected[] = {0, 0, 1, 1, 1, 2, 2, 2};
  for (int64_t step = 0; step < 8; ++step) CHECK(model.stage_at(step) == expected[step]);
  CHECK(model.stage_at(1'000'000) == 2);
  for (const auto& [stage, size] : {std::pair(0, 4), {1, 8}, {2, 6}}) CHECK(model.size_at(stage) == size);
  const StepInput planned = model.planned_input(context, 3);  // by the largest pictures
  CHECK(planned.stage == 1);
  CHECK(planned.tensors.at("real")[0].shape() == Shape{3, 8, 8, 3});

  for (int64_t step = 0; step < 8; ++step) {
    CAPTURE(step);
    const auto before = memory_of(model);
    const Metrics metrics = model.step(input_of(model, context, step)).read();
    const auto after = memory_of(model);
    for (const char* name : {"G", "D"}) {
      const bool learns = expected[step] == 2 || (expected[step] == 1) == (name[0] == 'G');
      CHECK(model.trains(expected[step], model.network(name)) == learns);
      CHECK((before.at(name).weights != after.at(name).weights) == learns);
      CHECK((before.at(name).m != after.at(name).m) == learns);
      CHECK(after.at(name).steps - before.at(name).steps == (learns ? 1 : 0));
      const bool reported = std::any_of(metrics.begin(), metrics.end(), [&](const auto& metric) {
        return metric.first == std::string("grad_norm_") + name;
      });
      CHECK(reported == learns);
    }
    CHECK((before.at("G").average != after.at("G").average) == (expected[step] > 0));
  }

  Critic endless(1, {{.name = "a", .steps = 0, .size = 0, .trains = {}}, kStages[2]});
  check_says(refusal([&] { endless.build(context, config); }, Exit::failure),
             "stage 0 of dcgan has no length");
  Critic misspelt(1, {{.name = "a", .steps = 0, .size = 0, .trains = {"E"}}});
  check_says(refusal([&] { misspelt.build(context, config); }, Exit::failure), "no network E");
}

TEST_CASE("learner: a run of stages that stops after any step goes on to the same bits") {
  TemporaryFolder folder;
  DeviceContext context(Device::cpu);
  Config config = small_config(6);
  config.ema = 0.9;
  constexpr int64_t last = 8;
  Critic whole(1, kStages, NormKind::batch);
  whole.build(context, config);
  std::vector<Metrics> reports;
  for (int64_t step = 0; step < last; ++step)
    reports.push_back(whole.step(input_of(whole, context, step)).read());
  const auto expected = memory_of(whole);
  for (int64_t stop = 1; stop < last; ++stop) {
    CAPTURE(stop);
    Critic first(1, kStages, NormKind::batch), second(1, kStages, NormKind::batch);
    first.build(context, config);
    for (int64_t step = 0; step < stop; ++step) first.step(input_of(first, context, step));
    save_checkpoint(Folder(folder.path()), "c.safetensors", first, {.step = stop});
    second.build(context, config);
    TrainState state;
    load_checkpoint(SafetensorsFile::open(folder / "c.safetensors"), second, &state, true);
    REQUIRE(state.step == stop);
    for (int64_t step = state.step; step < last; ++step)
      CHECK(second.step(input_of(second, context, step)).read() == reports[size_t(step)]);
    CHECK(memory_of(second) == expected);
  }
}

TEST_CASE("learner: a discriminator that is updated three times a step takes three single steps") {
  DeviceContext context(Device::cpu);
  Critic thrice(3), once(1, {{.name = "", .steps = 0, .size = 0, .trains = {"D"}}});
  thrice.build(context, small_config());
  once.build(context, small_config());
  const auto before = memory_of(thrice);
  const StepInput in = input_of(thrice, context, 0);
  REQUIRE(in.tensors.at("real").size() == 3);
  const Metrics metrics = thrice.step(in).read();
  Metrics last;
  for (size_t i = 0; i < 3; ++i) {
    StepInput single = input_of(once, context, 0);
    single.tensors = {{"real", {in.tensors.at("real")[i]}}, {"x", {in.tensors.at("x")[i]}}};
    last = once.step(single).read();
  }
  CHECK(memory_of(thrice).at("D") == memory_of(once).at("D"));
  CHECK(memory_of(thrice).at("D").steps == 3);
  CHECK(memory_of(thrice).at("G").steps == 1);
  CHECK(memory_of(thrice).at("G").weights != before.at("G").weights);
  for (const char* name : {"loss_D", "loss_G", "grad_norm_D"})  // of the last update
    CHECK(value_of(metrics, name) == value_of(last, name));

  StepInput few = in;
  few.tensors.at("real").pop_back();
  check_says(refusal([&] { thrice.step(few); }, Exit::failure), "a step of dcgan takes 3 x real, not 2");
  Step step(thrice, in);
  check_says(refusal([&] { step.input("real", 3); }, Exit::failure), "has 3 x real, not number 3");
  check_says(refusal([&] { step.input("fake"); }, Exit::failure), "has no input fake");
}

// --------------------------------------------------------------------------------------------------- taps

namespace {

class RowOfBlocks : public Discriminator {
 public:
  std::vector<ConvBlock> blocks;
  std::vector<Tensor> operator()(const Parameters& p, const Tensor& x, const Pass& pass) const override {
    Tensor y = x;
    for (const ConvBlock& block : blocks) y = block(p, y, pass);
    return {y};
  }
};

// G learns to make pictures that look to the middle of D as real ones do.
class FeatureMatching : public SmallModel {
 public:
  FeatureMatching()
      : g_(add_network("G")),
        d_(add_network("D")),
        generates_(add_player("G", {&g_})),
        judges_(add_player("D", {&d_}, true)) {}
  std::vector<std::string> tapped;

 protected:
  void declare() override {
    add_input({.name = "real", .of = "picture"});
    add_input({.name = "x", .of = "picture"});
    make_ = conv(g_, "conv", 3, 3, NormKind::none, kTanh);
    looks_.blocks = {conv(d_, "conv1", 3, 4, NormKind::none, kTanh),
                     conv(d_, "conv2", 4, 4, NormKind::batch, kTanh), conv(d_, "conv3", 4, 1)};
  }
  void learn(Step& step) override {
    Turn turn(step, generates_);
    const Tensor fake = make_(g_.parameters, step.input("x"), step.pass());
    const std::vector<Tensor> of_real = features(step.input("real")), of_fake = features(fake);
    Tensor loss;
    for (size_t i = 0; i < 2; ++i) {
      const Tensor part = pixel_loss(of_fake.at(i), of_real.at(i).detach(), PixelLossKind::l2, 10).loss;
      loss = loss ? add(loss, part) : part;
    }
    turn.learn(loss);
    step.report("loss", loss);
  }

 private:
  std::vector<Tensor> features(const Tensor& pictures) {
    std::vector<Tensor> outputs;
    tapped.clear();
    const std::vector<Tensor> logits =
        judge(d_, looks_, pictures, [&](const std::string& name, const Tensor& y) {
          tapped.push_back(name);
          outputs.push_back(y);
        });
    CHECK(outputs.back().data() == logits[0].data());
    return outputs;
  }
  Network &g_, &d_;
  Player &generates_, &judges_;
  ConvBlock make_;
  RowOfBlocks looks_;
};

}  // namespace

TEST_CASE("learner: a loss on the middle of a discriminator has the gradient of finite differences") {
  DeviceContext context(Device::ref);
  FeatureMatching model;
  model.build(context, small_config(4));
  check_gradient(model, "G", input_of(model, context, 0), "loss");
  CHECK(model.tapped == std::vector<std::string>{"conv1", "conv2", "conv3"});
  CHECK(all_zero(model.network("D").parameters.gradients().host()));
}

}  // namespace gan::tests
