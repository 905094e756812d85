// Networks of features: the VGGs against PyTorch's values and input gradients (tests/peers/make_features.py), files that
// are none, and the own encoder.
#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "models/networks/features.h"
#include "tests/support/folder.h"
#include "tests/support/gradcheck.h"
#include "tests/support/places.h"
#include "tests/support/vgg_file.h"

using namespace gan;
using namespace gan::tests;

namespace {

using Values = std::vector<double>;

std::string refusal(const std::filesystem::path& file) {
  try {
    feature_kind(file.string());
  } catch (const Error& error) {
    CHECK(error.code() == Exit::bad_data);
    return error.what();
  }
  FAIL("accepted");
  return {};
}

void check_digest(const Tensor& got, const nlohmann::json& want) {
  const Values values = got.host();
  const auto shape = want["shape"].get<std::vector<int64_t>>();
  REQUIRE(got.shape() == Shape{shape[0], shape[1], shape[2], shape[3]});
  double sum = 0, abs_sum = 0, weighted = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    sum += values[i], abs_sum += std::abs(values[i]);
    weighted += values[i] * double(i + 1) / double(values.size());
  }
  const double size = want["abs_sum"].get<double>();
  CHECK(std::abs(sum - want["sum"].get<double>()) <= 1e-9 * size);
  CHECK(std::abs(abs_sum - size) <= 1e-9 * size);
  CHECK(std::abs(weighted - want["weighted_sum"].get<double>()) <= 1e-9 * size);
  const double each = 1e-9 * size / double(values.size());
  const auto first = want["first4"].get<Values>(), last = want["last4"].get<Values>();
  for (size_t i = 0; i < 4; ++i) {
    CHECK(std::abs(values[i] - first[i]) <= 10 * each);
    CHECK(std::abs(values[values.size() - 4 + i] - last[i]) <= 10 * each);
  }
}

}  // namespace

TEST_CASE("features: VGG-16 and VGG-19 give PyTorch's values and input gradients") {
  std::ifstream stream(std::filesystem::path(source_dir) / "tests/data/features/vgg.expected.json");
  const auto expected = nlohmann::json::parse(stream);
  const int64_t size = expected["size"], count = expected["pictures"];
  for (const std::string kind : {"vgg16", "vgg19"}) {
    CAPTURE(kind);
    std::vector<std::string> taps;
    for (const auto& [tap, values] : expected[kind]["taps"].items()) taps.push_back(tap);
    DeviceContext context(Device::ref);
    Parameters p;
    const FeatureNetwork network(p, kind, taps);
    p.build_for_use(context);
    const auto tensors = vgg_tensors(kind);
    REQUIRE(p.infos().size() <= tensors.size());
    for (size_t t = 0; t < p.infos().size(); ++t) {
      const ParameterInfo& info = p.infos()[t];
      REQUIRE(info.name == tensors[t].first);
      p.import_values(int(t), vgg_values(tensors[t].second, t), p.weights());
    }
    Values pixels(size_t(count * size * size * 3));  // hashed in the order (N,C,H,W)
    for (int64_t n = 0; n < count; ++n)
      for (int64_t c = 0; c < 3; ++c)
        for (int64_t i = 0; i < size * size; ++i)
          pixels[size_t((n * size * size + i) * 3 + c)] =
              float(2 * hashed(0, uint32_t((n * 3 + c) * size * size + i)));
    const Tensor x = leaf(context, {count, size, size, 3}, pixels);

    std::vector<std::string> told;
    const auto found =
        network(p, x, {.tap = [&](const std::string& name, const Tensor&) { told.push_back(name); }});
    CHECK(told.size() == taps.size());
    Tensor loss;
    for (size_t i = 0; i < taps.size(); ++i) {
      CAPTURE(taps[i]);
      check_digest(found[i], expected[kind]["taps"][taps[i]]);
      const Tensor square = mean(multiply(found[i], found[i]));
      loss = loss ? add(loss, square) : square;
    }
    context.tape().backward(loss);
    check_digest(x.gradient()->value, expected[kind]["gradient"]);
  }
}

TEST_CASE("features: a file is recognised by its tensors, and what is wrong in it is named") {
  TemporaryFolder folder;
  const auto write = [&](const auto& tensors) { return header_only(tensors, folder / "w.safetensors"); };
  for (const std::string kind : {"vgg16", "vgg19"}) {
    auto tensors = vgg_tensors(kind);
    CHECK(feature_kind(write(tensors).string()) == kind);
    tensors.push_back({"classifier.6.bias", {10}});
    CHECK(feature_kind(write(tensors).string()) == kind);
  }
  const std::string place = (folder / "w.safetensors").string() + ": ";
  const auto changed = [&](const std::string& kind, const std::string& name, const std::string& other,
                           std::vector<int64_t> shape) {
    auto tensors = vgg_tensors(kind);
    for (auto& tensor : tensors)
      if (tensor.first == name) tensor = {other, shape};
    return refusal(write(tensors));
  };
  CHECK(changed("vgg19", "features.34.bias", "features.34.bias", {500}) ==
        place + "tensor `features.34.bias` is (500), that of vgg19 is (512)");
  CHECK(changed("vgg16", "features.0.weight", "features.0.weight", {64, 1, 3, 3}) ==
        place + "tensor `features.0.weight` is (64,1,3,3), that of vgg16 is (64,3,3,3)");
  CHECK(changed("vgg16", "features.28.weight", "classifier.0.weight", {8}) ==
        place + "no tensor `features.28.weight` (512,512,3,3), which vgg16 has");
  auto more = vgg_tensors("vgg16");
  more.push_back({"features.30.weight", {2, 2}});
  CHECK(refusal(write(more)) == place + "tensor `features.30.weight` (2,2) has no place in vgg16");
  more.back().first = "features.1.running_mean";
  CHECK(refusal(write(more)).find("batch norm") != std::string::npos);
  CHECK(refusal(write(std::vector<std::pair<std::string, std::vector<int64_t>>>{{"conv.weight", {2}}}))
            .starts_with(place + "no tensor is called features.N.weight"));
  CHECK(refusal(folder / "nowhere.safetensors").find("nowhere") != std::string::npos);
}

TEST_CASE("features: only what the taps need is declared; unknown taps and small pictures are refused") {
  const auto declared = [](const std::string& kind, const std::vector<std::string>& taps) {
    Parameters p;
    const FeatureNetwork network(p, kind, taps);
    return p.infos().size();
  };
  CHECK(declared("vgg19", {"relu1_1"}) == 2);
  CHECK(declared("vgg19", {"conv4_4", "relu1_1"}) == 24);
  CHECK(declared("vgg16", {"relu5_3"}) == 26);
  CHECK(declared("filters", {"level2"}) == 4);
  for (const char* kind : {"vgg16", "vgg19", "filters"}) {
    const FeatureTaps taps = usual_taps(kind);
    CHECK_NOTHROW(declared(kind, taps.content));
    CHECK_NOTHROW(declared(kind, taps.style));
  }
  CHECK_THROWS_WITH_AS(declared("vgg16", {"relu4_4"}), doctest::Contains("vgg16 has no tap relu4_4"), Error);
  CHECK_THROWS_WITH_AS(declared("filters", {""}), doctest::Contains("has no tap"), Error);
  DeviceContext context(Device::cpu);
  Parameters p;
  const FeatureNetwork network(p, "filters", {"level4"});
  p.build_for_use(context);
  CHECK(network.smallest_side() == 16);
  CHECK(network(p, constant(context, {1, 16, 17, 3}, 0))[0].shape() == Shape{1, 2, 2, 96});
  CHECK_THROWS_WITH_AS(network(p, constant(context, {1, 15, 40, 3}, 0)), doctest::Contains("at least 16"),
                       Error);
}

TEST_CASE(
    "features: the own encoder keeps the size of activations, its filters are orthogonal and always the same") {
  CHECK(feature_kind("") == "filters");
  const std::vector<std::string> taps = {"level1", "level2", "level3", "level4"};
  std::map<std::string, Values> first;
  for (const Device device : {Device::cpu, Device::ref}) {
    DeviceContext context(device);
    Parameters p;
    const FeatureNetwork network(p, feature_kind(""), taps);
    p.build_for_use(context);
    fill_filters(p);
    for (size_t i = 0; i < p.infos().size(); ++i) {
      const ParameterInfo& info = p.infos()[i];
      const Values values = p.value(int(i)).host();
      if (!first.contains(info.name)) first[info.name] = values;
      CHECK(values == first[info.name]);
      if (info.shape.rank != 4) continue;
      const size_t width = size_t(info.shape.count() / info.shape[0]),
                   rows = std::min(width, size_t(info.shape[0]));
      for (size_t a = 0; a < rows; ++a)
        for (size_t b = 0; b <= a; ++b) {
          double product = 0;
          for (size_t k = 0; k < width; ++k) product += values[a * width + k] * values[b * width + k];
          CHECK(product == doctest::Approx(a == b ? 2 : 0).epsilon(1e-5).scale(1));
        }
    }
    // Mean squares of smooth pictures and of what each level sees in them.
    const Tensor x = resize_bilinear(random_normal(context, {2, 8, 8, 3}, 1, 1, 0), 32, 32);
    const auto mean_square = [](const Tensor& t) { return mean(multiply(t, t)).host()[0]; };
    const double before = mean_square(x);
    for (const Tensor& seen : network(p, x)) {
      CHECK(mean_square(seen) > before / 4);
      CHECK(mean_square(seen) < before * 4);
    }
  }
}

TEST_CASE("features: the own encoder's input gradients, by finite differences and on every device") {
  check_gradients("filters",
                  [](const std::vector<Tensor>& in) {
                    Parameters p;
                    const FeatureNetwork network(p, "filters", {"level1", "level3"});
                    p.build_for_use(in[0].context());
                    fill_filters(p);
                    const auto found = network(p, in[0]);
                    return add(mean(multiply(found[0], found[0])), mean(multiply(found[1], found[1])));
                  },
                  {{1, 8, 8, 3}});
}
