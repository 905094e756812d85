// Restyle: what each stage trains, going on inside any stage, and the three ways of using a trained one.
#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <set>

#include "engine/data/made_input.h"
#include "engine/files/safetensors.h"
#include "engine/tensor/picture_ops.h"
#include "models/tasks/zoo.h"
#include "models/use/checkpoint.h"
#include "tests/support/folder.h"
#include "tests/support/preset.h"
#include "tests/support/scene.h"
#include "tests/support/shell.h"

namespace gan::tests {
namespace {

using Values = std::vector<double>;

// Two steps of colour, two of style, then both.
Config small_restyle() {
  Config c = preset("restyle");
  c.size = c.load_size = 32, c.batch = 2, c.seed = 3, c.ema = 0.9;
  put(c, "ngf", 2), put(c, "ndf", 2), put(c, "n-layers-d", 1);
  put(c, "colour-steps", 2), put(c, "style-steps", 2);
  return c;
}

StepInput input_of(const Model& model, DeviceContext& context, int64_t step) {
  StepInput in;
  in.step = step, in.stage = model.stage_at(step), in.log = true;
  in.learning_rate = in.learning_rate_d = 1e-3;
  uint32_t stream = 100;
  for (const InputSpec& spec : model.inputs()) {
    const int size = model.config.size;
    const Tensor noise =
        random_normal(context, {model.config.batch, size, size, channels_of(spec, model.config)}, 9, stream++,
                      uint32_t(step));
    in.add(spec.name, affine(activation(noise, {Act::tanh}), 0.6));
  }
  return in;
}

// Everything that training moves, by network.
std::map<std::string, std::vector<Values>> memory_of(const Model& model) {
  std::map<std::string, std::vector<Values>> all;
  for (const auto& network : model.networks) {
    const auto values = [](const Tensor& t) { return t ? t.host() : Values(); };
    const Parameters& p = network->parameters;
    all[network->name] = {values(p.weights()),
                          values(p.average()),
                          values(network->adam.m),
                          values(network->adam.v),
                          {double(network->adam.steps)}};
  }
  return all;
}

Tensor colours(DeviceContext& context, uint32_t stream) {
  return affine(activation(random_normal(context, {1, 32, 32, 3}, 4, stream, 0), {Act::tanh}), 0.7);
}

double largest_difference(const Tensor& a, const Tensor& b) {
  const Values left = a.host(), right = b.host();
  double most = 0;
  for (size_t i = 0; i < left.size(); ++i) most = std::max(most, std::abs(left[i] - right[i]));
  return most;
}

}  // namespace

TEST_CASE(
    "restyle: each stage trains its own networks, keeps the others bit for bit, and logs what it learns") {
  DeviceContext context(Device::cpu);
  const auto model = build_model(context, small_restyle());
  const std::set<std::string> of_colour = {"loss_D", "loss_D_real", "loss_D_fake", "loss_G_GAN",
                                           "loss_colour"};
  const std::set<std::string> of_style = {"loss_content", "loss_style", "loss_same"};
  std::set<std::string> of_both = of_colour;
  of_both.insert(of_style.begin(), of_style.end());
  struct Row {
    const char* stage;
    std::set<std::string> trained, losses;
  };
  const Row rows[] = {{"colour", {"G", "D"}, of_colour},
                      {"style", {"decoder"}, of_style},
                      {"fused", {"G", "D", "decoder"}, of_both}};
  for (int64_t step = 0; step < 6; ++step) {
    const Row& row = rows[std::min<int64_t>(step / 2, 2)];
    CAPTURE(step);
    CHECK(model->stages()[size_t(model->stage_at(step))].name == row.stage);
    const auto before = memory_of(*model);
    const Metrics metrics = model->step(input_of(*model, context, step)).read();
    const auto after = memory_of(*model);
    for (const auto& network : model->networks) {
      CAPTURE(network->name);
      const bool trained = row.trained.contains(network->name);
      CHECK((before.at(network->name)[0] == after.at(network->name)[0]) == !trained);
      CHECK((before.at(network->name) == after.at(network->name)) == !trained);
    }
    std::set<std::string> losses;
    double parts = 0, sum = 0;
    for (const auto& [name, value] : metrics) {
      CHECK(std::isfinite(value));
      if (name == "loss_G") sum = value;
      else if (name.starts_with("loss_")) losses.insert(name);
      if (name.starts_with("loss_") && !name.starts_with("loss_D") && name != "loss_G") parts += value;
    }
    CHECK(losses == row.losses);
    CHECK(sum == doctest::Approx(parts).epsilon(1e-5));
  }
}

TEST_CASE("restyle: in the fused stage the colours feel what becomes of them in the style") {
  DeviceContext context(Device::cpu);
  std::map<double, Values> weights;
  for (const double style : {10.0, 10000.0}) {
    Config c = small_restyle();
    put(c, "colour-steps", 0), put(c, "style-steps", 0), put(c, "lambda-style", style);
    const auto model = build_model(context, c);
    REQUIRE(model->stages().size() == 1);
    model->step(input_of(*model, context, 0));
    weights[style] = model->network("G").parameters.weights().host();
  }
  CHECK(weights.at(10.0) != weights.at(10000.0));
}

TEST_CASE("restyle: a run that stops inside any stage goes on to the same bits") {
  TemporaryFolder folder;
  DeviceContext context(Device::cpu);
  const Config c = small_restyle();
  constexpr int64_t last = 6;
  const auto whole = build_model(context, c);
  std::vector<Metrics> reports;
  for (int64_t step = 0; step < last; ++step)
    reports.push_back(whole->step(input_of(*whole, context, step)).read());
  const auto expected = memory_of(*whole);
  for (int64_t stop = 1; stop < last; ++stop) {
    CAPTURE(stop);
    const auto first = build_model(context, c), second = build_model(context, c);
    for (int64_t step = 0; step < stop; ++step) first->step(input_of(*first, context, step));
    save_checkpoint(Folder(folder.path()), "c.safetensors", *first, {.step = stop});
    TrainState state;
    load_checkpoint(SafetensorsFile::open(folder / "c.safetensors"), *second, &state, true);
    REQUIRE(state.step == stop);
    for (int64_t step = stop; step < last; ++step)
      CHECK(second->step(input_of(*second, context, step)).read() == reports[size_t(step)]);
    CHECK(memory_of(*second) == expected);
  }
}

TEST_CASE("restyle: one model colours, colours and styles, and sees the lightness alone") {
  DeviceContext context(Device::cpu);
  const auto model = build_model(context, small_restyle());
  const Tensor photo = colours(context, 1), style = colours(context, 2);
  Use use;
  use.pictures["picture"] = photo;
  const Tensor plain = model->make(use);
  CHECK(largest_difference(rgb_to_lab(plain).l, rgb_to_lab(photo).l) <
        0.02);  // but for colours that are clipped
  use.pictures["picture"] = without_colour(photo);
  CHECK(largest_difference(model->make(use), plain) < 1e-3);
  use.styles = {{.picture = style}};
  const Tensor styled = model->make(use);
  CHECK(largest_difference(styled, plain) > 0.05);
  use.styles = {{.picture = affine(style, -1)}};
  CHECK(largest_difference(model->make(use), styled) > 1e-3);
  use.controls["alpha"] = 0;  // the decoder alone: no style matters
  const Tensor none = model->make(use);
  use.styles = {{.picture = style}};
  CHECK(largest_difference(model->make(use), none) == 0);
  // Plain colouring does not use the decoder, and with a style it does.
  Parameters& decoder = model->network("decoder").parameters;
  for (const Tensor& weights : {decoder.weights(), decoder.average()}) weights.zero();
  decoder.weights().changed();
  use.styles.clear(), use.controls.clear();
  CHECK(largest_difference(model->make(use), plain) < 1e-3);
  use.styles = {{.picture = style}};
  for (const double value : model->make(use).host()) REQUIRE(value == 0);
}

TEST_CASE("restyle: settings that cannot be are refused with the remedy") {
  DeviceContext context(Device::cpu);
  const auto refusal = [&](const char* name, const auto& value) {
    Config c = small_restyle();
    put(c, name, value);
    try {
      build_model(context, c);
    } catch (const Error& error) {
      CHECK(error.code() == Exit::usage);
      return std::string(error.what());
    }
    return std::string("none");
  };
  CHECK(contains(refusal("channels", 1), "restyle learns from colour pictures: --channels 3, not 1"));
  CHECK(contains(refusal("lambda-colour", 0), "--lambda-colour 0"));
  CHECK(contains(refusal("lambda-style", 0), "restyle needs a weight for both"));
  CHECK(contains(refusal("netG", "animegan2"), "--netG animegan2"));
  CHECK(contains(refusal("size", 40), "the nearest is --size"));
}

namespace {

// The mean distance of lightness, of a and of b, in Lab as tensors have it.
struct LabDistance {
  double l = 0, ab = 0;
};
LabDistance lab_distance(const Image& first, const Image& second) {
  DeviceContext context(Device::cpu);
  const auto lab = [&](const Image& image) {
    std::vector<float> values;
    for (const uint8_t v : image.pixels) values.push_back(float(v) / 127.5f - 1);
    Tensor t(context, {1, image.height, image.width, 3});
    t.upload(std::span<const float>(values));
    return rgb_to_lab(t);
  };
  REQUIRE(first.pixels.size() == second.pixels.size());
  const LabPicture a = lab(first), b = lab(second);
  const auto mean = [](const Tensor& x, const Tensor& y) {
    const Values left = x.host(), right = y.host();
    double sum = 0;
    for (size_t i = 0; i < left.size(); ++i) sum += std::abs(left[i] - right[i]);
    return sum / double(left.size());
  };
  return {mean(a.l, b.l), mean(a.ab, b.ab)};
}

}  // namespace

TEST_CASE("gan train restyle, and gan translate with a style, with its colours kept, with none") {
  Shell shell;
  fs::create_directories(shell.folder / "photos");
  for (int i = 0; i < 5; ++i)
    write_png(shell.folder / "photos" / (std::to_string(i) + ".png"), scene(50, 44, i));
  write_png(shell.folder / "photos/grey.png", make_input(scene(50, 44, 2), InputKind::grey));
  write_png(shell.folder / "style.png", scene(40, 60, 6));
  const auto train = [&](const char* model, const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {
        "train", model,     "photos", "--out",    model, "--size",         "32", "--load-size", "32", "--ngf",
        "4",     "--batch", "2",      "--device", "cpu", "--sample-every", "3"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return shell.gan(arguments);
  };
  const auto run =
      train("restyle", {"--ndf", "4", "--norm", "instance", "--style", "builtin:abstract", "--steps", "3",
                        "--colour-steps", "1", "--style-steps", "1", "--eval-every", "1"});
  CAPTURE(run.err);
  REQUIRE(run.code == 0);
  CHECK(contains(run.err, "4 A and "));
  CHECK(contains(run.err, "1 left out: grey or nearly so"));
  CHECK(contains(run.err, "easiest answers: no colour "));
  CHECK(contains(run.err, "step 1: stage \"colour\", 1 steps in all"));
  CHECK(contains(run.err, "step 3: stage \"fused\", to the end"));
  // Only the whole model can be the best.
  CHECK(text_of(shell.folder / "restyle/checkpoints/best").starts_with("step-00000003"));
  CHECK(read_image(shell.folder / "restyle/samples/step-00000003.png").width >= 4 * 32);

  const Image photo = scene(45, 70, 3);
  write_png(shell.folder / "old.png", make_input(photo, InputKind::grey));
  const auto made = [&](const std::string& name, std::vector<std::string> more) {
    more.insert(more.begin(), {"translate", "restyle", "old.png", "--out", name + ".png", "--style"});
    const auto result = shell.gan(more);
    CAPTURE(result.err);
    REQUIRE(result.code == 0);
    return read_image(shell.folder / (name + ".png"));
  };
  const Image plain = made("plain", {"none"}), styled = made("styled", {"style.png"}),
              kept = made("kept", {"style.png", "--keep-colour"});
  REQUIRE((plain.height == 45 && plain.width == 70));
  const Image grey = make_input(photo, InputKind::grey);
  CHECK(lab_distance(plain, grey).l < 0.02);
  CHECK(lab_distance(plain, grey).ab > 0.001);
  CHECK(lab_distance(kept, styled).l < 0.05);
  CHECK(lab_distance(kept, plain).ab < 0.6 * lab_distance(styled, plain).ab);
  CHECK(lab_distance(styled, plain).l > 0.05);
  // A style for a part of a picture that has none elsewhere.
  Image mask(45, 70, 1, 0);
  for (int y = 0; y < 45; ++y) std::fill_n(&mask.at(y, 35, 0), 35, uint8_t(255));
  write_png(shell.folder / "mask.png", mask);
  const Image part = made("part", {"none", "--region", "mask.png=style.png"});
  CHECK(part.at(20, 10, 0) == plain.at(20, 10, 0));
  CHECK(part.at(20, 60, 2) == styled.at(20, 60, 2));

  const auto refused = [&](const char* model, std::vector<std::string> more, const char* part_of_message) {
    more.insert(more.begin(), {"translate", model, "old.png", "--out", "x.png"});
    check_refused(shell.gan(more), 2, part_of_message);
  };
  refused("restyle", {}, "or --style none for colour alone");
  refused("restyle", {"--style", "none,style.png"}, "--style none stands alone");
  refused("restyle", {"--style", "none", "--alpha", "0.5"}, "--alpha is about a style");
  refused("restyle", {"--style", "none", "--keep-colour"}, "--keep-colour is about a style");
  const auto style = train("style", {"--style", "builtin:abstract", "--steps", "1"});
  CAPTURE(style.err);
  REQUIRE(style.code == 0);
  refused("style", {"--style", "none"}, "style needs one: --style PICTURE");

  // Training on old photos of them, begun with what another model has learnt of colours; too short for the rest.
  REQUIRE(train("colorize", {"--ndf", "4", "--steps", "1", "--norm", "instance", "--no-dropout"}).code == 0);
  const auto old = train("restyle", {"--ndf", "4", "--style", "builtin:abstract", "--steps", "1",
                                     "--make-input", "old", "--init", "colorize", "--force"});
  CAPTURE(old.err);
  REQUIRE(old.code == 0);
  CHECK(contains(old.err, "with random weights: decoder (not in the file)"));
  CHECK(contains(old.err, "easiest answers: the input itself "));
  CHECK(contains(old.err, "this run ends before the stage \"fused\" begins"));
  CHECK_FALSE(fs::exists(shell.folder / "restyle/checkpoints/best"));
}

TEST_CASE("gan train comic draws of old photos what it draws of the photos") {
  Shell shell;
  const auto run = shell.gan({"train",
                              "comic",
                              "builtin:comics",
                              "--style",
                              "builtin:comics",
                              "--make-input",
                              "old",
                              "--size",
                              "32",
                              "--load-size",
                              "32",
                              "--ngf",
                              "4",
                              "--ndf",
                              "4",
                              "--batch",
                              "2",
                              "--steps",
                              "1",
                              "--device",
                              "cpu",
                              "--sample-every",
                              "1",
                              "--out",
                              "drawn"});
  CAPTURE(run.err);
  REQUIRE(run.code == 0);
  // The grid shows what was given, without any colour, beside what was made and the photo's teacher.
  const Image grid = read_image(shell.folder / "drawn/samples/step-00000001.png");
  int coloured = 0, teacher = 0;
  for (int y = 2; y < 32; ++y)
    for (int x = 2; x < 32; ++x) {
      coloured += grid.at(y, x, 0) != grid.at(y, x, 2);
      const int right = x + 2 * 34;
      teacher += grid.at(y, right, 0) != grid.at(y, right, 2);
    }
  CHECK(coloured == 0);
  CHECK(teacher > 100);
}

}  // namespace gan::tests
