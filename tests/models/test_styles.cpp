// Comic and style, the models of styles: what their weights leave out, comic's stage of content alone, what style makes of
// its controls, presets and refusals. That their steps are right, replays of PyTorch's say (test_models.cpp).
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <set>

#include "models/losses/adversarial.h"
#include "models/losses/perceptual.h"
#include "models/networks/features.h"
#include "models/networks/style_decoder.h"
#include "models/tasks/comic.h"
#include "models/tasks/zoo.h"
#include "tests/support/gradcheck.h"
#include "tests/support/noise_input.h"
#include "tests/support/preset.h"
#include "tests/support/text.h"

using namespace gan;
using namespace gan::tests;

namespace {

using Names = std::set<std::string>;

Config tiny(const std::string& model) {
  Config c = preset(model);
  c.size = c.load_size = 32, c.batch = 2;
  put(c, "ngf", 2), put(c, "ndf", 2), put(c, "n-layers-d", 2);
  if (c.find("content-steps")) put(c, "content-steps", 0);
  return c;
}

StepInput input_of(DeviceContext& context, const Model& model, int64_t step = 0) {
  StepInput in = noise_input(context, model, step);
  in.log = true;
  return in;
}

Tensor picture(DeviceContext& context, uint32_t stream, int height = 32, int width = 32) {
  return activation(random_normal(context, {1, height, width, 3}, 8, stream, 0), {Act::tanh});
}

// What a model is made of, and what a step of it logs.
struct Parts {
  Names inputs, networks, logged;
};
Parts parts_of(const Config& config) {
  DeviceContext context(Device::cpu);
  const auto model = build_model(context, config);
  Parts parts;
  for (const InputSpec& input : model->inputs()) parts.inputs.insert(input.name);
  for (const auto& network : model->networks) parts.networks.insert(network->name);
  for (const auto& [name, value] : model->step(input_of(context, *model)).read()) {
    CHECK(std::isfinite(value));
    parts.logged.insert(name);
  }
  return parts;
}

Names without(const Names& all, const Names& left_out) {
  Names rest;
  std::set_difference(all.begin(), all.end(), left_out.begin(), left_out.end(),
                      std::inserter(rest, rest.end()));
  return rest;
}

double largest_difference(const Tensor& a, const Tensor& b) {
  const std::vector<double> x = a.host(), y = b.host();
  REQUIRE(x.size() == y.size());
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i) worst = std::max(worst, std::abs(x[i] - y[i]));
  return worst;
}

std::string refusal(const Config& config) {
  try {
    find_model(config.model).check(config);
  } catch (const Error& error) {
    CHECK(error.code() == Exit::usage);
    return error.what();
  }
  return "no error";
}

Names settings_that_differ(const Config& a, const Config& b) {
  Names names;
  for (const SettingGroup* group : a.groups())
    for (const AnySetting* setting : group->settings())
      if (get_setting(a, setting->name()) != get_setting(b, setting->name())) names.insert(setting->name());
  return names;
}

}  // namespace

// -------------------------------------------------------------------------------------------------- comic

TEST_CASE(
    "comic: a weight of 0 leaves its part out, with the inputs, networks and losses that only it needs") {
  const Parts all = parts_of(tiny("comic"));
  CHECK(all.inputs == Names{"A", "B", "drawn", "soft"});
  CHECK(all.networks == Names{"G", "D", "D_texture", "D_surface", "features"});
  const struct {
    std::vector<const char*> weights;
    Names inputs, networks, logged;  // that go
  } cases[] = {{{"lambda-texture"}, {}, {"D_texture"}, {"loss_G_texture", "grad_norm_D_texture"}},
               {{"lambda-surface"}, {}, {"D_surface"}, {"loss_G_surface", "grad_norm_D_surface"}},
               {{"d-grey"}, {}, {}, {"loss_D_grey"}},
               {{"d-soft"}, {"soft"}, {}, {"loss_D_smooth"}},
               {{"lambda-structure"}, {"drawn"}, {}, {"loss_structure"}},
               {{"lambda-colour"}, {}, {}, {"loss_colour"}},
               {{"lambda-tv"}, {}, {}, {"loss_tv"}},
               {{"lambda-content"}, {}, {}, {"loss_content"}},
               {{"lambda-style"}, {}, {}, {"loss_style"}},
               {{"lambda-content", "lambda-style"}, {}, {"features"}, {"loss_content", "loss_style"}},
               // What only D rejects goes with D.
               {{"lambda-adversarial"},
                {"soft"},
                {"D"},
                {"loss_G_GAN", "loss_D_grey", "loss_D_smooth", "grad_norm_D"}},
               {{"lambda-adversarial", "lambda-texture", "lambda-surface"},
                {"soft"},
                {"D", "D_texture", "D_surface"},
                {"loss_G_GAN", "loss_G_texture", "loss_G_surface", "loss_D_grey", "loss_D_smooth", "loss_D",
                 "loss_D_real", "loss_D_fake", "D_real", "D_fake", "grad_norm_D", "grad_norm_D_texture",
                 "grad_norm_D_surface"}}};
  for (const auto& one : cases) {
    CAPTURE(std::string(one.weights[0]));
    Config config = tiny("comic");
    for (const char* weight : one.weights) put(config, weight, 0);
    const Parts left = parts_of(config);
    CHECK(left.inputs == without(all.inputs, one.inputs));
    CHECK(left.networks == without(all.networks, one.networks));
    CHECK(left.logged == without(all.logged, one.logged));
    CHECK(left.logged.size() == all.logged.size() - one.logged.size());
  }
}

TEST_CASE("comic: in the stage of content G learns alone, by nothing of the style") {
  Config config = tiny("comic");
  put(config, "content-steps", 2);
  DeviceContext context(Device::cpu);
  const auto model = build_model(context, config);
  const auto weights = [&](const char* network) {
    return model->network(network).parameters.weights().host();
  };
  const auto spectral = [&] { return model->network("D").parameters.statistics().host(); };
  for (int64_t step = 0; step < 4; ++step) {
    CAPTURE(step);
    const bool content = step < 2;
    const auto g = weights("G"), d = weights("D"), texture = weights("D_texture"),
               features = weights("features"), before = spectral();
    Names logged;
    for (const auto& [name, value] : model->step(input_of(context, *model, step)).read()) logged.insert(name);
    CHECK(weights("G") != g);
    CHECK((weights("D") == d) == content);
    CHECK((weights("D_texture") == texture) == content);
    CHECK((spectral() == before) == content);  // D is not even asked
    CHECK(weights("features") == features);
    CHECK(model->network("D").adam.steps == std::max<int64_t>(0, step - 1));
    CHECK(model->network("G").adam.steps == step + 1);
    for (const char* name : {"loss_D", "loss_G_GAN", "loss_style", "grad_norm_D"})
      CHECK(logged.count(name) == (content ? 0 : 1));
    for (const char* name : {"loss_G", "loss_content", "loss_structure", "loss_colour", "loss_tv"})
      CHECK(logged.count(name) == 1);
  }
  // What the style is shows nowhere in the first stage.
  const auto learnt_from = [&](uint32_t style, int64_t step) {
    DeviceContext own(Device::cpu);
    const auto fresh = build_model(own, config);
    StepInput in = input_of(own, *fresh, step);
    in.tensors["B"] = {activation(random_normal(own, {2, 32, 32, 3}, 3, style, 0), {Act::tanh})};
    fresh->step(in);
    return fresh->network("G").parameters.weights().host();
  };
  CHECK(learnt_from(1, 0) == learnt_from(2, 0));
  CHECK(learnt_from(1, 2) != learnt_from(2, 2));
}

TEST_CASE("comic: every generator takes a step, and makes pictures of any size that it takes") {
  for (const char* net : {"whitebox", "animegan2", "resnet_6", "unet"}) {
    CAPTURE(std::string(net));
    Config config = tiny("comic");
    put(config, "netG", net);
    DeviceContext context(Device::cpu);
    const auto model = build_model(context, config);
    const auto before = model->network("G").parameters.weights().host();
    for (const auto& logged : model->step(input_of(context, *model)).read()) {
      CAPTURE(logged.first);
      CHECK(std::isfinite(logged.second));
    }
    CHECK(model->network("G").parameters.weights().host() != before);
    const int high = 2 * model->side_multiple();
    const Tensor photo = picture(context, 1, high, 64);
    CHECK(model->make({.pictures = {{"picture", photo}}, .styles = {}, .controls = {}}).shape() ==
          photo.shape());
  }
}

TEST_CASE(
    "comic: presets differ from the tuned settings where they say, and a model without them names its own") {
  const Config tuned = config_of_preset("tuned", "comic", Device::cpu);
  const auto differs = [&](const char* name) {
    return settings_that_differ(tuned, config_of_preset(name, "comic", Device::cpu));
  };
  CHECK(differs("comic").empty());
  CHECK(differs("anime") == Names{"lambda-structure", "lambda-colour", "lambda-surface"});
  const Names brushed = {"teacher", "content-steps",  "lambda-structure",
                         "d-soft",  "lambda-texture", "lambda-surface"};
  CHECK(differs("abstract") == brushed);
  CHECK(without(differs("paint"), brushed) == Names{"d-grey", "lambda-adversarial"});
  CHECK(without(brushed, differs("paint")).empty());
  for (const NamedPreset& one : comic_presets()) {
    CAPTURE(std::string(one.name));
    CHECK(refusal(config_of_preset(one.name, "comic", Device::cpu)) == "no error");
  }
  CHECK_THROWS_WITH_AS(config_of_preset("anime", "dcgan", Device::cpu),
                       doctest::Contains("--preset anime: dcgan has tuned, paper"), Error);
  CHECK_THROWS_WITH_AS(config_of_preset("anmie", "comic", Device::cpu),
                       doctest::Contains("tuned, paper, anime, comic, paint, abstract"), Error);
}

TEST_CASE("comic: a generator that learns strokes sees a grain beside the photo, at use by the seed") {
  Config config = tiny("comic");
  put(config, "teacher", "brushed");
  CHECK(parts_of(config).inputs == Names{"A", "B", "drawn", "soft", "grain"});
  for (const char* net : {"whitebox", "resnet_6", "unet"}) {
    CAPTURE(std::string(net));
    put(config, "netG", net);
    DeviceContext context(Device::cpu);
    const auto model = build_model(context, config);
    CHECK(model->network("G").parameters.infos()[0].shape.dims[3] == 4);
    const Tensor photo = picture(context, 1, 2 * model->side_multiple(), 64);
    const auto made = [&](uint64_t seed) {
      return model->make({.pictures = {{"picture", photo}}, .styles = {}, .controls = {}, .seed = seed})
          .host();
    };
    CHECK(made(1) == made(1));
    CHECK(made(1) != made(2));
  }
  put(config, "netG", "animegan2");
  CHECK(contains(refusal(config), "--teacher brushed"));
}

TEST_CASE("comic and style: what cannot be learnt is refused, with what is wanted") {
  const auto with = [](const char* model, const std::vector<std::pair<const char*, double>>& values) {
    Config config = tiny(model);
    for (const auto& [name, value] : values) {
      if (std::string(name) == "channels") config.channels = int(value);
      else if (std::string(name) == "size") config.size = int(value);
      else put(config, name, value);
    }
    return refusal(config);
  };
  for (const char* model : {"comic", "style"}) {
    CHECK(with(model, {}) == "no error");
    CHECK(contains(with(model, {{"channels", 1}}), "--channels 3, not 1"));
  }
  const auto nothing =
      with("comic",
           {{"lambda-adversarial", 0}, {"lambda-texture", 0}, {"lambda-surface", 0}, {"lambda-style", 0}});
  CHECK(contains(nothing, "nothing pulls toward the style"));
  CHECK(contains(nothing, "--lambda-surface"));
  CHECK(contains(
      with("comic",
           {{"content-steps", 5}, {"lambda-content", 0}, {"lambda-structure", 0}, {"lambda-colour", 0}}),
      "--content-steps 5"));
  CHECK(contains(with("style", {{"lambda-style", 0}}), "--lambda-style 0"));
  CHECK(contains(with("style", {{"lambda-content", 0}}), "--lambda-content 0"));
}

// -------------------------------------------------------------------------------------------------- style

TEST_CASE("style: a weight of 0 leaves its part out") {
  Config config = tiny("style");
  put(config, "lambda-adversarial", 1), put(config, "lambda-tv", 1);
  const Parts all = parts_of(config);
  CHECK(all.networks == Names{"G", "features", "D"});
  const auto left_without = [&](const char* weight) {
    Config less = config;
    put(less, weight, 0);
    return parts_of(less);
  };
  CHECK(left_without("lambda-adversarial").networks == Names{"G", "features"});
  CHECK(left_without("lambda-adversarial").logged ==
        without(all.logged,
                {"loss_D", "loss_D_real", "loss_D_fake", "D_real", "D_fake", "loss_G_GAN", "grad_norm_D"}));
  CHECK(left_without("lambda-tv").logged == without(all.logged, {"loss_tv"}));
  CHECK(left_without("lambda-same").logged == without(all.logged, {"loss_same"}));
  CHECK(all.logged.count("loss_same") + all.logged.count("loss_tv") == 2);
}

TEST_CASE("style: alpha, weights of styles, and a picture that is its own style") {
  const Config config = tiny("style");
  DeviceContext context(Device::ref);
  const auto model = build_model(context, config);
  const Tensor photo = picture(context, 1, 32, 48), one = picture(context, 2),
               other = picture(context, 3, 40, 24);
  const auto make = [&](const std::vector<Use::Style>& styles, double alpha) {
    return model->make({.pictures = {{"picture", photo}}, .styles = styles, .controls = {{"alpha", alpha}}});
  };
  const Tensor styled = make({{one}}, 1), plain = make({{one}}, 0);
  CHECK(largest_difference(styled, plain) > 1e-3);

  // What the decoder makes of the photo's own features, put together here again.
  Parameters seeing, making;
  const std::vector<std::string> taps = usual_taps("filters").style;
  const FeatureNetwork encoder(seeing, "filters", taps);
  const StyleDecoder decoder(making, {.channels = encoder.channels(), .width = 2, .levels = 4});
  seeing.build_for_use(context), making.build_for_use(context);
  fill_filters(seeing);
  making.weights().upload(std::span<const double>(model->network("G").parameters.weights().host()));
  making.weights().changed();
  CHECK(largest_difference(plain, decoder(making, encoder(seeing, photo), {}, {})) == 0);
  CHECK(largest_difference(plain, make({{other}}, 0)) == 0);

  // Weights count against each other alone.
  for (const double weight : {0.2, 1.0, 7.0}) {
    CAPTURE(weight);
    CHECK(largest_difference(styled, make({{one, weight}}, 1)) < 1e-12);
    CHECK(largest_difference(styled, make({{one, weight}, {one, 0.7}}, 1)) < 1e-12);
  }
  const Tensor mixed = make({{one, 1}, {other, 3}}, 1);
  CHECK(largest_difference(mixed, make({{one, 2}, {other, 6}}, 1)) < 1e-12);
  CHECK(largest_difference(mixed, make({{one, 3}, {other, 1}}, 1)) > 1e-4);
  CHECK(largest_difference(mixed, make({{other, 3}, {one, 1}}, 1)) < 1e-12);

  CHECK(largest_difference(make({{photo}}, 1), plain) < 1e-9);
  CHECK(largest_difference(make({{photo}}, 0.5), plain) < 1e-9);

  CHECK_THROWS_WITH_AS(make({}, 1), doctest::Contains("--style PICTURE"), Error);
  CHECK_THROWS_WITH_AS(make({{one}}, 1.5), doctest::Contains("from 0 to 1"), Error);
}

// ------------------------------------------------------------------------------------------------- losses

TEST_CASE("style: with --style-base recoloured it changes the photo in the colours of the style") {
  Config config = tiny("style");
  put(config, "style-base", "recoloured");
  DeviceContext context(Device::ref);
  const auto model = build_model(context, config);
  const Tensor photo = picture(context, 1), one = picture(context, 2), other = picture(context, 3);
  const auto make = [&](const std::vector<Use::Style>& styles, double alpha) {
    return model->make({.pictures = {{"picture", photo}}, .styles = styles, .controls = {{"alpha", alpha}}});
  };
  // The change starts near nothing; with a last convolution of zeros it is nothing.
  CHECK(largest_difference(make({{one}}, 1), adain(photo, one)) < 0.5);
  Parameters& decoder = model->network("G").parameters;
  for (size_t i = 0; i < decoder.infos().size(); ++i)
    if (decoder.infos()[i].name.starts_with("out.")) {
      const Tensor part = decoder.slice(int(i), decoder.weights());
      part.upload(std::span<const double>(std::vector<double>(size_t(part.count()), 0.0)));
    }
  decoder.weights().changed();
  CHECK(largest_difference(make({{one}}, 1), adain(photo, one)) < 1e-12);
  CHECK(largest_difference(make({{one}}, 0), photo) < 1e-12);
  CHECK(largest_difference(make({{one}}, 0.25), blend(photo, adain(photo, one), 0.25)) < 1e-12);
  const Tensor mixed = add(affine(adain(photo, one), 0.75), affine(adain(photo, other), 0.25));
  CHECK(largest_difference(make({{one, 3}, {other, 1}}, 1), mixed) < 1e-12);
}

TEST_CASE("rejection: the loss, and the gradient, of a discriminator's fake half") {
  DeviceContext context(Device::ref);
  const std::vector<double> values = random_normal(context, {2, 3, 3, 1}, 4, 1, 0).host(),
                            values2 = random_normal(context, {2, 2, 2, 1}, 4, 2, 0).host();
  const std::vector<Tensor> real = {random_normal(context, {2, 3, 3, 1}, 4, 3, 0),
                                    random_normal(context, {2, 2, 2, 1}, 4, 4, 0)};
  for (const char* kind : {"vanilla", "minimax", "lsgan", "hinge"})
    for (const double smooth : {0.0, 0.1})
      for (const size_t scales : {size_t(1), size_t(2)}) {
        CAPTURE(std::string(kind));
        CAPTURE(smooth);
        CAPTURE(scales);
        AdversarialSettings settings;
        settings.gan_loss = kind, settings.label_smooth = smooth;
        const auto fakes = [&] {
          std::vector<Tensor> all = {leaf(context, {2, 3, 3, 1}, values),
                                     leaf(context, {2, 2, 2, 1}, values2)};
          all.resize(scales);
          return all;
        };
        const std::vector<Tensor> some(real.begin(), real.begin() + long(scales)), whole = fakes(),
                                                                                   half = fakes();
        const LossValue both = discriminator_loss(some, whole, settings, 0.6);
        context.tape().backward(both.loss);
        const Tensor rejected = rejection_loss(half, settings, 0.6);
        context.tape().backward(rejected);
        CHECK(rejected.host()[0] == doctest::Approx(0.6 * both.values.host()[1]).epsilon(1e-12));
        for (size_t i = 0; i < scales; ++i) {
          const auto want = gradient(whole[i]), got = gradient(half[i]);
          REQUIRE(want.size() == got.size());
          double size = 0;
          for (size_t k = 0; k < want.size(); ++k) {
            size += std::abs(want[k]);
            CHECK(got[k] == doctest::Approx(want[k]).epsilon(1e-12));
          }
          CHECK(size > 0);
        }
      }
}
