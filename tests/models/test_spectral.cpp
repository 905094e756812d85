// Spectral norm (SpectralNorm, --sn). PyTorch's own runs are replayed in test_models.cpp; here: what the estimate
// comes to, its gradient, when its vectors move, and that a checkpoint keeps them.
#include <doctest/doctest.h>

#include <cmath>

#include "models/networks/patchgan.h"
#include "models/tasks/zoo.h"
#include "models/use/checkpoint.h"
#include "tests/support/folder.h"
#include "tests/support/gradcheck.h"
#include "tests/support/preset.h"

using namespace gan;
using namespace gan::tests;

namespace {

// A convolution with spectral norm, alone in its network.
struct One {
  Parameters parameters;
  ConvLayer layer;

  One(DeviceContext& context, bool transposed)
      : layer(ConvLayer::make(parameters, "c", transposed ? 3 : 2, transposed ? 2 : 3,
                              {.kernel = 3, .stride = 1, .pad = 1}, transposed, false, 0.5, 1, true)) {
    parameters.build(context, 7, 1);
  }
  Tensor use(const Tensor& x, Statistics statistics = Statistics::batch) const {
    return layer(parameters, x, {}, statistics);
  }
  std::vector<double> u() const { return parameters.value(layer.spectral.u).host(); }
  std::vector<double> v() const { return parameters.value(layer.spectral.v).host(); }
};

double length(const std::vector<double>& x) {
  double square = 0;
  for (double value : x) square += value * value;
  return std::sqrt(square);
}

// w as a matrix (outputs, others), by its definition.
double element(const Tensor& w, const std::vector<double>& values, bool transposed, int64_t output,
               int64_t other) {
  const int64_t outputs = w.dim(transposed ? 3 : 0), others = w.count() / outputs;
  return values[size_t(transposed ? other * outputs + output : output * others + other)];
}

}  // namespace

TEST_CASE("spectral norm: parameters have PyTorch's names and shapes, and start on the unit sphere") {
  DeviceContext context(Device::cpu);
  for (const bool transposed : {false, true}) {
    const One one(context, transposed);
    const auto& infos = one.parameters.infos();
    REQUIRE(infos.size() == 3);
    CHECK(infos[0].name == "c.weight_orig");
    CHECK(infos[1].name == "c.weight_u");
    CHECK(infos[2].name == "c.weight_v");
    CHECK(infos[1].file_shape() == Shape{transposed ? 2 : 3});
    CHECK(infos[2].file_shape() == Shape{transposed ? 27 : 18});
    CHECK(length(one.u()) == doctest::Approx(1).epsilon(1e-6));
    CHECK(length(one.v()) == doctest::Approx(1).epsilon(1e-6));
    CHECK(one.parameters.learnt_count() == 3 * 2 * 9);
  }
  // PyTorch counts the elements of a row as (in,kh,kw).
  const One one(context, false);
  const auto here = one.v();
  const auto there = one.parameters.infos()[2].to_file(std::span<const double>(here));
  for (int64_t y = 0; y < 3; ++y)
    for (int64_t x = 0; x < 3; ++x)
      for (int64_t c = 0; c < 2; ++c)
        CHECK(there[size_t((c * 3 + y) * 3 + x)] == here[size_t((y * 3 + x) * 2 + c)]);
}

TEST_CASE("spectral norm: after many passes the largest singular value is 1") {
  for (const Device device : {Device::ref, Device::cpu})
    for (const bool transposed : {false, true}) {
      DeviceContext context(device);
      const One one(context, transposed);
      const Tensor x = random_normal(context, {1, 4, 4, transposed ? 3 : 2}, 1, 1, 0);
      NoGradient quiet(context);
      for (int i = 0; i < 200; ++i) one.use(x);
      const Tensor w = one.parameters.value(one.layer.weight);
      const auto values = w.host(), u = one.u(), v = one.v();
      // W v = sigma u and W^T u = sigma v hold for singular vectors alone.
      double sigma = 0;
      for (size_t o = 0; o < u.size(); ++o)
        for (size_t k = 0; k < v.size(); ++k) sigma += u[o] * v[k] * element(w, values, transposed, o, k);
      for (size_t o = 0; o < u.size(); ++o) {
        double along = 0;
        for (size_t k = 0; k < v.size(); ++k) along += v[k] * element(w, values, transposed, o, k);
        CHECK(along == doctest::Approx(sigma * u[o]).epsilon(1e-4).scale(0.01));
      }
      const Tensor plain =
          transposed ? conv_transpose2d(x, w, {}, one.layer.options) : conv2d(x, w, {}, one.layer.options);
      const auto divided = one.use(x).host(), whole = plain.host();
      for (size_t i = 0; i < whole.size(); ++i)
        CHECK(divided[i] * sigma == doctest::Approx(whole[i]).epsilon(1e-5).scale(1));
    }
}

TEST_CASE("spectral norm: the gradient of a weight goes through sigma, u and v being constants") {
  for (const bool transposed : {false, true}) {
    DeviceContext context(Device::ref);
    const Shape shape = One(context, transposed).parameters.infos()[0].shape;
    check_gradients("spectral norm",
                    [&](const std::vector<Tensor>& in) {
                      One one(in[0].context(), transposed);
                      KeepStatistics still(one.parameters);
                      return one.layer.spectral(one.parameters, in[0], Statistics::batch);
                    },
                    {shape});
  }
}

TEST_CASE("spectral norm: two passes before one backward pass each keep their vectors") {
  DeviceContext context(Device::ref);
  const Tensor x = random_normal(context, {1, 4, 4, 2}, 1, 1, 0),
               y = random_normal(context, {1, 4, 4, 2}, 1, 2, 0);
  const auto squares = [](const Tensor& t) { return sum(multiply(t, t)); };
  // Together, then one after the other.
  One both(context, false);
  both.parameters.forget_gradients();
  const Tensor first = squares(both.use(x)), second = squares(both.use(y));
  context.tape().backward(add(first, second));
  const auto together = both.parameters.gradient(both.layer.weight).host();
  One apart(context, false);
  std::vector<double> sum_of_two(together.size());
  for (const Tensor* picture : {&x, &y}) {
    apart.parameters.forget_gradients();
    context.tape().backward(squares(apart.use(*picture)));
    const auto gradient = apart.parameters.gradient(apart.layer.weight).host();
    for (size_t i = 0; i < gradient.size(); ++i) sum_of_two[i] += gradient[i];
  }
  CHECK(apart.u() == both.u());
  for (size_t i = 0; i < together.size(); ++i)
    CHECK(together[i] == doctest::Approx(sum_of_two[i]).epsilon(1e-12).scale(1));
}

TEST_CASE("spectral norm: its vectors move in training alone") {
  DeviceContext context(Device::cpu);
  One one(context, true);
  const Tensor x = random_normal(context, {1, 4, 4, 3}, 1, 1, 0);
  const auto u = one.u(), v = one.v();
  one.use(x, Statistics::running);
  CHECK((one.u() == u && one.v() == v));
  {
    KeepStatistics still(one.parameters);
    one.use(x);
    CHECK((one.u() == u && one.v() == v));
  }
  {
    Freeze frozen(one.parameters);  // the other player's turn is training too
    one.use(x);
  }
  CHECK(one.u() != u);
  CHECK(one.v() != v);
  Parameters used;
  const ConvLayer layer = ConvLayer::make(used, "c", 3, 2, one.layer.options, true, false, 0.5, 1, true);
  used.build_for_use(context);
  for (int i = 0; i < 3; ++i)
    used.import_values(i, one.parameters.export_values(i, i == 0 ? one.parameters.weights() : Tensor()),
                       i == 0 ? used.weights() : Tensor());
  const auto kept = used.value(layer.spectral.u).host();
  CHECK(layer(used, x, {}, Statistics::batch).host() == one.use(x, Statistics::running).host());
  CHECK(used.value(layer.spectral.u).host() == kept);
}

TEST_CASE("spectral norm: --sn says which networks have it, and a checkpoint keeps u and v bit for bit") {
  Config config = preset("pix2pix");
  config.size = config.load_size = 32, config.batch = 1;
  for (const char* name : {"ngf", "ndf"}) put(config, name, 2);
  put(config, "n-layers-d", 2);
  const auto vectors_of = [&](const std::string& sn, const std::string& network) {
    put(config, "sn", sn);
    DeviceContext plan(Device::cpu, DeviceContext::Mode::plan);
    const auto model = build_model(plan, config);
    int count = 0;
    for (const auto& info : model->network(network).parameters.infos())
      count += info.name.ends_with(".weight_u");
    return count;
  };
  CHECK(vectors_of("none", "G") == 0);
  CHECK(vectors_of("none", "D") == 0);
  CHECK(vectors_of("G", "G") == 10);
  CHECK(vectors_of("G", "D") == 0);
  CHECK(vectors_of("D", "G") == 0);
  CHECK(vectors_of("D", "D") == 4);
  CHECK(vectors_of("both", "G") == 10);
  CHECK(vectors_of("both", "D") == 4);

  DeviceContext context(Device::cpu);
  const auto model = build_model(context, config), loaded = build_model(context, config);
  StepInput in = model->planned_input(context, 1);
  for (auto& [name, draws] : in.tensors)
    for (Tensor& values : draws) values = random_normal(context, values.shape(), 3, 1, uint32_t(name[0]));
  in.learning_rate = in.learning_rate_d = 1e-3;
  for (in.step = 0; in.step < 2; ++in.step) model->step(in);
  TemporaryFolder folder;
  save_checkpoint(Folder(folder.path()), "c.safetensors", *model, {.step = 2});
  load_checkpoint(SafetensorsFile::open(folder / "c.safetensors"), *loaded, nullptr, true);
  for (const char* name : {"G", "D"})
    CHECK(loaded->network(name).parameters.statistics().host() ==
          model->network(name).parameters.statistics().host());
  CHECK(loaded->step(in).read() == model->step(in).read());
}
