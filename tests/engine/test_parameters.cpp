// A network's parameters: layouts in files, padding, the same start everywhere, frozen and forgotten
// gradients.
#include <doctest/doctest.h>

#include "engine/learning/nn.h"

using namespace gan;

TEST_CASE("file layouts: convolutions and flattened pictures") {
  ParameterInfo conv{.name = "w", .shape = {2, 3, 4, 5}, .layout = Layout::conv, .picture = {}};
  std::vector<float> here(120);
  for (size_t i = 0; i < here.size(); ++i) here[i] = float(i);
  const auto there = conv.to_file(std::span<const float>(here));
  CHECK(conv.file_shape() == Shape{2, 5, 3, 4});
  for (int o = 0; o < 2; ++o)
    for (int y = 0; y < 3; ++y)
      for (int x = 0; x < 4; ++x)
        for (int i = 0; i < 5; ++i)
          CHECK(there[size_t(((o * 5 + i) * 3 + y) * 4 + x)] == here[size_t(((o * 3 + y) * 4 + x) * 5 + i)]);
  CHECK(conv.from_file(there) == here);

  // 2 outputs from a picture of 3 x 4 pixels with 5 channels, and the way back
  const Shape picture{3, 4, 5};
  ParameterInfo columns{.name = "c", .shape = {2, 60}, .layout = Layout::columns_picture, .picture = picture};
  ParameterInfo rows{.name = "r", .shape = {60, 2}, .layout = Layout::rows_picture, .picture = picture};
  const auto c = columns.to_file(std::span<const float>(here)),
             r = rows.to_file(std::span<const float>(here));
  for (int y = 0; y < 3; ++y)
    for (int x = 0; x < 4; ++x)
      for (int k = 0; k < 5; ++k)
        for (int o = 0; o < 2; ++o) {
          const int inside = (y * 4 + x) * 5 + k, outside = (k * 3 + y) * 4 + x;
          CHECK(c[size_t(o * 60 + outside)] == here[size_t(o * 60 + inside)]);
          CHECK(r[size_t(outside * 2 + o)] == here[size_t(inside * 2 + o)]);
        }
  CHECK(columns.from_file(c) == here);
  CHECK(rows.from_file(r) == here);
}

TEST_CASE("parameters: padded to 128 bytes, the same start on every device, frozen and forgotten gradients") {
  std::vector<std::vector<float>> starts;
  for (Device device : {Device::cpu, Device::ref}) {
    DeviceContext context(device);
    Parameters p;
    const int w = p.declare({.name = "w", .shape = {3, 5}, .picture = {}, .deviation = 0.02});
    const int b = p.declare({.name = "b", .shape = {7}, .picture = {}, .mean = 2});
    const int stat = p.declare({.name = "s", .shape = {7}, .picture = {}, .mean = 1, .buffer = true});
    const int v = p.declare({.name = "v", .shape = {40}, .picture = {}, .mean = 1, .deviation = 0.5});
    p.build(context, 11, 1);
    for (int i : {w, b, v}) CHECK(reinterpret_cast<size_t>(p[i].data()) % 128 == 0);
    CHECK(p.learnt_count() == 15 + 7 + 40);
    CHECK(p.value(b).host() == std::vector<double>(7, 2));
    CHECK(p.value(stat).host() == std::vector<double>(7, 1));
    auto start = p.value(w).host_f32();
    for (float x : p.value(v).host_f32()) start.push_back(x);
    starts.push_back(start);
    CHECK(p[w].needs_gradient());
    CHECK_FALSE(p[stat].needs_gradient());
    {
      Freeze still(p);
      CHECK_FALSE(p[w].needs_gradient());
    }
    context.tape().backward(sum(p[w]));
    p.complete_gradients();
    CHECK(p.gradient(w).host() == std::vector<double>(15, 1));
    CHECK(p.gradient(v).host() == std::vector<double>(40, 0));
    p.forget_gradients();
    context.tape().backward(sum(p[v], 3));
    p.complete_gradients();
    CHECK(p.gradient(w).host() == std::vector<double>(15, 0));
    CHECK(p.gradient(v).host() == std::vector<double>(40, 3));
  }
  CHECK(starts[0] == starts[1]);
}
