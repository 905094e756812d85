// Every operation that leaves a record: what it says of its gradient, its second gradient and its export is
// tried out. The table has a row or more for each name in engine/tensor/ops/*.cpp; a name without a row fails.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "engine/learning/nn.h"
#include "engine/tensor/ops/backward.h"
#include "tests/support/gradcheck.h"
#include "tests/support/places.h"

using namespace gan;
using namespace gan::tests;

namespace {

struct Row {
  const char* name;  // of the record
  Operation operation;
  std::vector<Shape> shapes;
  const char* how = "";
};

// The first gradient of sum(f(in[0])^2 * in[1]): operations that only backward passes are made of.
Operation gradient_of_operation(const std::function<Tensor(const Tensor&)>& f) {
  return [f](const std::vector<Tensor>& in) {
    const Tensor y = f(in[0]);
    return in[0].context().tape().gradients(sum(multiply(multiply(y, y), in[1])), {in[0]})[0];
  };
}

Conv2d conv_size(int n, int h, int w, int c, int k, int kernel, int stride, int pad) {
  Conv2d s;
  s.n = n, s.h = h, s.w = w, s.c = c, s.k = k, s.kh = s.kw = kernel, s.sh = s.sw = stride, s.ph = s.pw = pad;
  s.oh = Conv2d::out_size(h, kernel, stride, pad, 1), s.ow = Conv2d::out_size(w, kernel, stride, pad, 1);
  return s;
}

// With vectors that stand still.
Operation spectral_operation(bool outputs_last) {
  return [=](const std::vector<Tensor>& in) {
    DeviceContext& c = in[0].context();
    return spectral_norm(in[0], random_normal(c, {3}, 1, 1, 0), random_normal(c, {8}, 1, 2, 0), outputs_last,
                         false);
  };
}

std::vector<Row> rows() {
  using In = const std::vector<Tensor>&;
  const Activation leaky{Act::leaky_relu, 0.2}, smooth{Act::tanh}, squash{Act::sigmoid};
  const NormTensors plain;
  std::vector<Row> table = {
      {"add", [](In in) { return add(in[0], in[1]); }, {{2, 3}, {2, 3}}},
      {"add", [](In in) { return add(in[0], in[0]); }, {{5}}, "to itself"},
      {"subtract", [](In in) { return subtract(in[0], in[1]); }, {{2, 3}, {2, 3}}},
      {"multiply", [](In in) { return multiply(in[0], in[1]); }, {{2, 3}, {2, 3}}},
      {"multiply_by", [](In in) { return multiply_by(in[0], in[1]); }, {{2, 3}, {1}}},
      {"affine", [](In in) { return affine(in[0], -1.5, 0.5); }, {{7}}},
      {"power", [](In in) { return power(multiply(in[0], in[0]), 0.5, 0.3); }, {{7}}, "root"},
      {"power", [](In in) { return power(multiply(in[0], in[0]), -0.5, 0.3); }, {{7}}, "reciprocal root"},
      {"power", [](In in) { return power(in[0], -1, 9); }, {{2, 3}}, "reciprocal"},
      {"power", [](In in) { return power(in[0], 3); }, {{5}}, "of negative numbers"},
      {"concat_channels",
       [=](In in) { return concat_channels(in[0], in[1], smooth); },
       {{1, 2, 2, 3}, {1, 2, 2, 2}}},
      {"slice_channels", [](In in) { return slice_channels(in[0], 1, 2); }, {{2, 1, 2, 4}}},
      {"widen_channels", [](In in) { return widen_channels(in[0], 1, 4); }, {{2, 1, 2, 2}}},
      {"reshape",
       [](In in) {
         return reshape(in[0], {3, 4});
       },
       {{1, 2, 2, 3}}},
      {"sum", [](In in) { return sum(in[0], 0.7); }, {{2, 3}}},
      {"broadcast",
       [](In in) {
         return broadcast(in[0], {2, 3}, 0.7);
       },
       {{1}}},
      {"sum_rows", [](In in) { return sum_rows(in[0]); }, {{2, 2, 1, 3}}},
      {"matmul", [](In in) { return matmul(in[0], in[1]); }, {{2, 3}, {3, 4}}},
      {"matmul", [](In in) { return matmul(in[0], in[1], true, false); }, {{3, 2}, {3, 4}}, "a transposed"},
      {"matmul", [](In in) { return matmul(in[0], in[1], false, true); }, {{2, 3}, {4, 3}}, "b transposed"},
      {"matmul", [](In in) { return matmul(in[0], in[1], true, true); }, {{3, 2}, {4, 3}}, "both transposed"},
      {"matmul", [](In in) { return matmul(in[0], in[1]); }, {{2, 2, 3}, {2, 3, 4}}, "two products"},
      {"matmul", [](In in) { return matmul(in[0], in[0], true, false); }, {{2, 3, 2}}, "two with themselves"},
      {"matmul",
       [](In in) { return matmul(in[0], in[1], false, true); },
       {{2, 2, 3}, {2, 4, 3}},
       "two, b transposed"},
      {"linear", [=](In in) { return linear(in[0], in[1], in[2], smooth); }, {{2, 3}, {4, 3}, {4}}},
      {"linear", [](In in) { return linear(in[0], in[1]); }, {{2, 3}, {4, 3}}, "plain"},
      {"conv2d",
       [=](In in) { return conv2d(in[0], in[1], in[2], {.kernel = 3, .stride = 2, .pad = 1}, leaky); },
       {{1, 4, 5, 2}, {3, 3, 3, 2}, {3}}},
      {"conv2d",
       [=](In in) {
         return conv2d(in[0], in[1], {}, {.kernel = 3, .stride = 1, .pad = 1, .padding = Padding::reflect},
                       smooth);
       },
       {{1, 3, 4, 2}, {2, 3, 3, 2}},
       "reflect"},
      {"conv2d",
       [](In in) {
         return conv2d(in[0], in[1], {}, {.kernel = 2, .stride = 1, .pad = 0, .dilation = 2, .groups = 2});
       },
       {{1, 4, 4, 2}, {4, 2, 2, 1}},
       "dilation, groups"},
      {"conv_transpose2d",
       [=](In in) {
         return conv_transpose2d(in[0], in[1], in[2], {.kernel = 3, .stride = 2, .pad = 1, .output_pad = 1},
                                 squash);
       },
       {{1, 2, 3, 2}, {2, 3, 3, 3}, {3}}},
      {"conv2d_weight_gradient",
       [](In in) { return convolution(ConvSide::w, conv_size(1, 4, 5, 2, 3, 3, 2, 1), in[0], {}, in[1]); },
       {{1, 4, 5, 2}, {1, 2, 3, 3}}},
      {"batch_norm",
       [=](In in) {
         return normalise(in[0], NormKind::batch, {in[1], in[2], {}, {}}, leaky);
       },
       {{2, 2, 3, 2}, {2}, {2}}},
      {"instance_norm",
       [=](In in) { return normalise(in[0], NormKind::instance, plain, smooth); },
       {{2, 2, 3, 2}}},
      {"layer_norm",
       [=](In in) { return layer_norm(in[0], in[1], in[2], smooth); },
       {{2, 2, 2, 3}, {3}, {3}}},
      {"layer_norm", [](In in) { return layer_norm(in[0], {}, {}); }, {{3, 4}}, "rows, plain"},
      {"spectral_norm", spectral_operation(false), {{3, 2, 2, 2}}},
      {"spectral_norm", spectral_operation(true), {{2, 2, 2, 3}}, "outputs last"},
      {"inverse_deviation",
       gradient_of_operation([=](const Tensor& x) { return normalise(x, NormKind::instance, plain); }),
       {{1, 2, 3, 2}, {1, 2, 3, 2}}},
      {"normalise_running",
       [](In in) {
         return normalise_running(in[0], {{}, {}, in[1].detach(), in[2].detach()});
       },
       {{1, 2, 2, 3}, {3}, {3}}},
      {"max_pool", [](In in) { return max_pool(in[0]); }, {{1, 4, 4, 2}}},
      {"average_pool",
       [](In in) { return average_pool(in[0], {.kernel = 3, .stride = 2, .pad = 1}); },
       {{1, 4, 5, 2}}},
      {"adaptive_average_pool", [](In in) { return adaptive_average_pool(in[0], 2, 3); }, {{1, 3, 4, 2}}},
      {"resize_bilinear", [](In in) { return resize_bilinear(in[0], 5, 3); }, {{1, 3, 4, 2}}},
      {"resize_nearest", [](In in) { return resize_nearest(in[0], 5, 3); }, {{1, 3, 4, 2}}},
      {"resample_gradient",
       gradient_of_operation([](const Tensor& x) { return average_pool(x); }),
       {{1, 4, 4, 2}, {1, 2, 2, 2}}},
      {"pixel_shuffle", [](In in) { return pixel_shuffle(in[0], 2); }, {{1, 2, 1, 8}}},
      {"pixel_unshuffle", [](In in) { return pixel_unshuffle(in[0], 2); }, {{1, 2, 4, 2}}},
      {"attention", [](In in) { return attention(in[0], in[1], in[2]); }, {{1, 3, 2}, {1, 4, 2}, {1, 4, 2}}},
      {"pixel_loss",
       [](In in) { return pixel_loss(in[0], in[1], PixelLossKind::l1, 3).loss; },
       {{2, 3}, {2, 3}},
       "l1"},
      {"pixel_loss",
       [](In in) { return pixel_loss(in[0], in[1], PixelLossKind::l2, 3).loss; },
       {{2, 3}, {2, 3}},
       "l2"},
      {"pixel_loss",
       [](In in) { return pixel_loss(in[0], in[1], PixelLossKind::huber, 3).loss; },
       {{3, 4}, {3, 4}},
       "huber"},
      {"dropout", [](In in) { return dropout(in[0], 0.4, {.seed = 3, .step = 5, .layer = 2}); }, {{3, 4}}},
      {"image_batch",
       [](In in) {
         Tensor placement(in[0].context(), {1, 4}, DType::i32);
         placement.zero();
         Tensor pool(in[0].context(), {1, 2, 2, 3}, DType::u8);
         pool.set_gradient(in[0].gradient());
         return image_batch(pool, placement, 2, 2);
       },
       {{1}}},
      {"rgb_to_lab", [](In in) { return rgb_to_lab(in[0]).ab; }, {{1, 1, 2, 3}}},
      {"lab_to_rgb", [](In in) { return lab_to_rgb(in[0], in[1]); }, {{1, 1, 2, 1}, {1, 1, 2, 2}}},
  };
  for (const Activation act : {Activation{Act::relu}, leaky, smooth, squash}) {
    table.push_back({"activation", [=](In in) { return activation(in[0], act); }, {{9}}, name_of(act.kind)});
    table.push_back({"activation_gradient",
                     [=](In in) { return before_activation(in[0], in[1], act); },
                     {{9}, {9}},
                     name_of(act.kind)});
  }
  for (const GanLoss kind :
       {GanLoss::vanilla, GanLoss::minimax, GanLoss::lsgan, GanLoss::hinge, GanLoss::wasserstein}) {
    table.push_back({"discriminator_loss",
                     [=](In in) { return discriminator_loss(in[0], in[1], kind, 0.9, 0.1, 2).loss; },
                     {{4, 1}, {3, 1}}});
    table.push_back(
        {"discriminator_loss_of_halves",
         [=](In in) { return discriminator_loss(in[0], RealHalf::second, kind, 0.9, 0.1, 2).loss; },
         {{4, 1}}});
    table.push_back({"generator_loss", [=](In in) { return generator_loss(in[0], kind, 2).loss; }, {{4, 1}}});
  }
  return table;
}

// What the records of engine/ops say they are called: the words in name() and in names[].
std::set<std::string> names_in_source() {
  static const std::regex place(R"(const char\* name\(\) const \{[^}]*\}|names\[\] = \{[^}]*\})");
  static const std::regex word(R"re("(\w+)")re");
  std::set<std::string> names;
  for (const auto& file :
       std::filesystem::directory_iterator(std::filesystem::path(source_dir) / "engine/tensor/ops")) {
    std::stringstream text;
    text << std::ifstream(file.path()).rdbuf();
    const std::string source = text.str();
    for (std::sregex_iterator p(source.begin(), source.end(), place), end; p != end; ++p) {
      const std::string inside = p->str();
      for (std::sregex_iterator w(inside.begin(), inside.end(), word); w != end; ++w)
        names.insert((*w)[1].str());
    }
  }
  return names;
}

// What is told of the records that an operation leaves.
struct Seen {
  std::string refuses_gradient, refuses_second_gradient;
  bool exported_or_not_and_why = false;
};

Seen look_at(const Row& row) {
  std::map<std::string, Seen> seen;
  DeviceContext context(Device::ref);
  context.tape().on_operation = [&](const Tape::Node& node) {
    const AnyRecord& r = *node.record;
    const Exported e = r.exported();
    seen[r.name()] = {r.refuses_gradient() ? r.refuses_gradient() : "",
                      r.refuses_second_gradient() ? r.refuses_second_gradient() : "",
                      e.chain.empty() != e.refusal.empty()};
  };
  std::vector<Tensor> inputs;
  for (const Shape& shape : row.shapes)
    inputs.push_back(leaf(context, shape, std::vector<double>(size_t(shape.count()), 0.5)));
  try {
    row.operation(inputs);
  } catch (const Error&) {  // without a gradient it must do
    NoGradient quiet(context);
    row.operation(inputs);
  }
  REQUIRE(seen.contains(row.name));
  return seen[row.name];
}

}  // namespace

TEST_CASE("second gradients: every operation has a row") {
  std::set<std::string> tried;
  for (const Row& row : rows()) tried.insert(row.name);
  const auto names = names_in_source();
  CHECK(names.size() > 35);
  // A cast is never recorded on ref, which has one type: tests/models/test_precision.cpp goes back through it.
  for (const std::string& name : names)
    if (name != "cast") CHECK_MESSAGE(tried.contains(name), name);
  for (const std::string& name : tried) CHECK_MESSAGE(names.contains(name), name);
}

TEST_CASE("second gradients: each operation does what its record says, or refuses with the remedy") {
  for (const Row& row : rows()) {
    INFO(row.name << " " << row.how);
    const Seen seen = look_at(row);
    CHECK(seen.exported_or_not_and_why);
    DeviceContext context(Device::ref);
    std::vector<Tensor> inputs;
    for (const Shape& shape : row.shapes)
      inputs.push_back(leaf(context, shape, std::vector<double>(size_t(shape.count()), 0.5)));
    if (!seen.refuses_gradient.empty()) {
      CHECK_THROWS_WITH_AS(row.operation(inputs), doctest::Contains(seen.refuses_gradient.c_str()), Error);
    } else if (!seen.refuses_second_gradient.empty()) {
      const Tensor scalar = sum(row.operation(inputs));
      const int64_t before = context.operations();
      const std::string message =
          std::string(row.name) + " has no second derivative: " + seen.refuses_second_gradient;
      CHECK_THROWS_WITH_AS(context.tape().gradients(scalar, inputs), message.c_str(), Error);
      CHECK(context.operations() == before);
    } else {
      check_second_gradients(std::string(row.name) + " " + row.how, row.operation, row.shapes);
    }
  }
}

TEST_CASE("second gradients: the penalty on a network's gradient, by finite differences") {
  // The squared norm of D's gradient with respect to its input, as R1 has it.
  auto penalty = [](const Tensor& logits, const Tensor& x) {
    const Tensor g = x.context().tape().gradients(sum(logits), {x})[0];
    return sum(multiply(g, g), 0.5);
  };
  check_gradients("convolution, leaky relu, linear",
                  [&](const std::vector<Tensor>& in) {
                    const Tensor h = conv2d(in[0], in[1], in[2], {.kernel = 4, .stride = 2, .pad = 1},
                                            {Act::leaky_relu, 0.2});
                    const Tensor squared = multiply(h, h);  // so that the gradient is no constant piece
                    return penalty(linear(reshape(squared, {2, 12}), in[3], in[4]), in[0]);
                  },
                  {{2, 4, 4, 2}, {3, 4, 4, 2}, {3}, {1, 12}, {1}});
  check_gradients("dense layers with tanh",
                  [&](const std::vector<Tensor>& in) {
                    const Tensor h = linear(in[0], in[1], in[2], {Act::tanh});
                    return penalty(linear(linear(h, in[3], {}, {Act::tanh}), in[4]), in[0]);
                  },
                  {{3, 4}, {5, 4}, {5}, {3, 5}, {1, 3}});
  check_gradients("convolutions with instance norm, layer norm and a transposed convolution",
                  [&](const std::vector<Tensor>& in) {
                    const ConvOptions half{.kernel = 2, .stride = 2, .pad = 0};
                    Tensor h = normalise(conv2d(in[0], in[1], {}, half), NormKind::instance, {}, {Act::tanh});
                    h = layer_norm(conv_transpose2d(h, in[2], {}, half, {Act::sigmoid}), in[3], in[3]);
                    return penalty(h, in[0]);
                  },
                  {{2, 4, 4, 1}, {2, 2, 2, 1}, {2, 2, 2, 1}, {1}});
}
