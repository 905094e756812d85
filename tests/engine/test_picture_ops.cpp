// Operations on pictures (engine/tensor/picture_ops.h): gradients on device ref against finite differences and the same
// on the other devices; values against their definitions, written as plain loops here.
#include <doctest/doctest.h>

#include <cmath>

#include "engine/tensor/picture_ops.h"
#include "tests/support/gradcheck.h"

using namespace gan;
using gan::tests::check_gradients;
using gan::tests::check_second_gradients;

namespace {

using Values = std::vector<double>;

// A picture on the host, (N,H,W,C).
struct Picture {
  Shape shape;
  Values values;
  double at(int64_t n, int64_t h, int64_t w, int64_t c) const {
    return values[size_t(((n * shape[1] + h) * shape[2] + w) * shape[3] + c)];
  }
};

Picture on_host(const Tensor& x) { return {x.shape(), x.host()}; }

Tensor pictures(DeviceContext& context, Shape shape, uint32_t stream = 1) {
  return random_normal(context, shape, 5, stream, 0);
}

double mean_of(const Picture& x, int64_t n, int64_t c) {
  double sum = 0;
  for (int64_t h = 0; h < x.shape[1]; ++h)
    for (int64_t w = 0; w < x.shape[2]; ++w) sum += x.at(n, h, w, c);
  return sum / double(x.shape[1] * x.shape[2]);
}

double variance_of(const Picture& x, int64_t n, int64_t c, double less) {
  const double mean = mean_of(x, n, c);
  double sum = 0;
  for (int64_t h = 0; h < x.shape[1]; ++h)
    for (int64_t w = 0; w < x.shape[2]; ++w) sum += std::pow(x.at(n, h, w, c) - mean, 2);
  return sum / (double(x.shape[1] * x.shape[2]) - less);
}

// The mean of f(i, j) over the pixels of the square around (h,w) that lie in the picture.
template <class F>
double mean_around(const Shape& s, int64_t h, int64_t w, int radius, const F& f) {
  double sum = 0;
  int count = 0;
  for (int64_t i = std::max<int64_t>(0, h - radius); i <= std::min<int64_t>(s[1] - 1, h + radius); ++i)
    for (int64_t j = std::max<int64_t>(0, w - radius); j <= std::min<int64_t>(s[2] - 1, w + radius); ++j) {
      sum += f(i, j);
      ++count;
    }
  return sum / count;
}

void check_near(double got, double want) { CHECK(got == doctest::Approx(want).epsilon(1e-11).scale(1)); }

}  // namespace

TEST_CASE("picture operations: gradients, and the same on every device") {
  check_gradients("gram", [](const auto& in) { return gram(in[0]); }, {{2, 3, 2, 3}});
  for (const Variance kind : {Variance::biased, Variance::unbiased}) {
    check_gradients("mean", [&](const auto& in) { return channel_statistics(in[0], kind).mean; },
                    {{2, 3, 2, 2}});
    check_gradients("deviation", [&](const auto& in) { return channel_statistics(in[0], kind).deviation; },
                    {{2, 3, 2, 2}});
  }
  check_gradients("adain", [](const auto& in) { return adain(in[0], in[1]); }, {{2, 3, 2, 2}, {2, 2, 4, 2}});
  for (const PixelLossKind kind : {PixelLossKind::l1, PixelLossKind::l2, PixelLossKind::huber})
    check_gradients("total_variation", [&](const auto& in) { return total_variation(in[0], kind, 1.5); },
                    {{2, 3, 4, 2}});
  check_gradients("box_blur", [](const auto& in) { return box_blur(in[0], 2); }, {{1, 4, 3, 2}});
  check_gradients("guided_filter", [](const auto& in) { return guided_filter(in[0], in[1], 1, 0.1); },
                  {{1, 4, 3, 2}, {1, 4, 3, 2}});
  check_gradients("own guide", [](const auto& in) { return guided_filter(in[0], in[0], 1, 0.1); },
                  {{2, 3, 3, 1}});
  check_gradients("grey", [](const auto& in) { return grey(in[0]); }, {{1, 2, 2, 3}});
  check_gradients("to_yuv", [](const auto& in) { return to_yuv(in[0]); }, {{1, 2, 2, 3}});
}

TEST_CASE("picture operations: second gradients") {
  check_second_gradients("gram", [](const auto& in) { return gram(in[0]); }, {{2, 2, 2, 2}});
  check_second_gradients("adain", [](const auto& in) { return adain(in[0], in[1]); },
                         {{1, 2, 2, 2}, {1, 3, 1, 2}});
  check_second_gradients("guided_filter", [](const auto& in) { return guided_filter(in[0], in[1], 1, 0.2); },
                         {{1, 2, 3, 1}, {1, 2, 3, 1}});
}

TEST_CASE("gram and statistics of pictures by their definitions") {
  DeviceContext context(Device::ref);
  const Tensor t = pictures(context, {2, 3, 4, 5});
  const Picture x = on_host(t);
  const Values g = gram(t).host();
  REQUIRE(gram(t).shape() == Shape{2, 5, 5});
  const ChannelStatistics biased = channel_statistics(t, Variance::biased, 1e-3),
                          unbiased = channel_statistics(t);
  REQUIRE(unbiased.deviation.shape() == Shape{2, 1, 1, 5});
  const Values mean = biased.mean.host(), small = biased.deviation.host(), large = unbiased.deviation.host();
  for (int64_t n = 0; n < 2; ++n)
    for (int64_t a = 0; a < 5; ++a) {
      const size_t at = size_t(n * 5 + a);
      for (int64_t b = 0; b < 5; ++b) {
        double sum = 0;
        for (int64_t h = 0; h < 3; ++h)
          for (int64_t w = 0; w < 4; ++w) sum += x.at(n, h, w, a) * x.at(n, h, w, b);
        check_near(g[size_t((n * 5 + a) * 5 + b)], sum / (5 * 3 * 4));
      }
      check_near(mean[at], mean_of(x, n, a));
      check_near(small[at], std::sqrt(variance_of(x, n, a, 0) + 1e-3));
      check_near(large[at], std::sqrt(variance_of(x, n, a, 1) + 1e-5));
    }
  CHECK_THROWS_WITH_AS(channel_statistics(pictures(context, {1, 1, 1, 2})), doctest::Contains("one pixel"),
                       Error);
}

TEST_CASE("adain gives a picture the statistics of another") {
  DeviceContext context(Device::ref);
  const Tensor content = affine(pictures(context, {2, 5, 4, 3}), 2, 3);
  const Tensor style = affine(pictures(context, {2, 3, 6, 3}, 2), 0.5, -1);
  const Picture made = on_host(adain(content, style)), wanted = on_host(style), was = on_host(content);
  for (int64_t n = 0; n < 2; ++n)
    for (int64_t c = 0; c < 3; ++c) {
      check_near(mean_of(made, n, c), mean_of(wanted, n, c));
      // 1e-5 stands under both roots.
      const double ratio = (variance_of(wanted, n, c, 1) + 1e-5) / (variance_of(was, n, c, 1) + 1e-5);
      check_near(variance_of(made, n, c, 1), variance_of(was, n, c, 1) * ratio);
    }
  CHECK_THROWS_WITH_AS(adain(content, pictures(context, {1, 3, 3, 3})), doctest::Contains("(1,3,3,3)"),
                       Error);
}

TEST_CASE("total variation by its definition") {
  DeviceContext context(Device::ref);
  const Tensor t = pictures(context, {2, 3, 4, 2});
  const Picture x = on_host(t);
  Values total(3);
  for (int64_t n = 0; n < 2; ++n)
    for (int64_t c = 0; c < 2; ++c)
      for (int64_t h = 0; h < 3; ++h)
        for (int64_t w = 0; w < 4; ++w)
          for (const bool across : {true, false}) {
            if (across ? w == 0 : h == 0) continue;
            const double d =
                std::abs(x.at(n, h, w, c) - (across ? x.at(n, h, w - 1, c) : x.at(n, h - 1, w, c)));
            const double count = across ? 2 * 2 * 3 * 3 : 2 * 2 * 2 * 4;
            total[0] += d / count;
            total[1] += d * d / count;
            total[2] += (d > 1 ? d - 0.5 : d * d / 2) / count;
          }
  for (int kind = 0; kind < 3; ++kind)
    check_near(total_variation(t, PixelLossKind(kind), 3).host()[0], 3 * total[size_t(kind)]);
  CHECK_THROWS_WITH_AS(total_variation(pictures(context, {1, 1, 4, 2})), doctest::Contains("(1,1,4,2)"),
                       Error);
}

TEST_CASE("box blur and guided filter by their definitions, with windows larger than the picture too") {
  DeviceContext context(Device::ref);
  const Shape shape{2, 5, 4, 2};
  const Tensor tx = pictures(context, shape), tg = pictures(context, shape, 2);
  const Picture x = on_host(tx), g = on_host(tg);
  CHECK(box_blur(tx, 0).host() == x.values);
  for (const int radius : {1, 3, 7}) {
    const double eps = 0.05;
    const Picture blurred = on_host(box_blur(tx, radius)),
                  filtered = on_host(guided_filter(tx, tg, radius, eps));
    for (int64_t n = 0; n < shape[0]; ++n)
      for (int64_t c = 0; c < shape[3]; ++c) {
        // The line x = slope * guide + offset that fits best around (i,j).
        const auto line = [&](int64_t i, int64_t j) {
          const auto mean = [&](auto f) { return mean_around(shape, i, j, radius, f); };
          const auto guide = [&](int64_t h, int64_t w) { return g.at(n, h, w, c); };
          const auto value = [&](int64_t h, int64_t w) { return x.at(n, h, w, c); };
          const double mg = mean(guide), mx = mean(value);
          const double vg = mean([&](int64_t h, int64_t w) { return std::pow(guide(h, w) - mg, 2); });
          const double both =
              mean([&](int64_t h, int64_t w) { return (guide(h, w) - mg) * (value(h, w) - mx); });
          const double slope = both / (vg + eps);
          return std::pair(slope, mx - slope * mg);
        };
        for (int64_t h = 0; h < shape[1]; ++h)
          for (int64_t w = 0; w < shape[2]; ++w) {
            check_near(blurred.at(n, h, w, c), mean_around(shape, h, w, radius, [&](int64_t i, int64_t j) {
                         return x.at(n, i, j, c);
                       }));
            const auto mean = [&](auto f) { return mean_around(shape, h, w, radius, f); };
            const double slope = mean([&](int64_t i, int64_t j) { return line(i, j).first; });
            const double offset = mean([&](int64_t i, int64_t j) { return line(i, j).second; });
            check_near(filtered.at(n, h, w, c), slope * g.at(n, h, w, c) + offset);
          }
      }
  }
  CHECK_THROWS_WITH_AS(guided_filter(tx, pictures(context, {2, 5, 4, 1}), 1, 0.1),
                       doctest::Contains("(2,5,4,1)"), Error);
  CHECK_THROWS_WITH_AS(guided_filter(tx, tg, 1, 0), doctest::Contains("eps 0"), Error);
}

TEST_CASE("lab_to_rgb by parts: the kernel's colours, and gradients on both sides of every bend") {
  // The parts of a curve meet within a millionth.
  for (const Device device : {Device::ref, Device::cpu}) {
    DeviceContext context(device);
    const Tensor l = activation(pictures(context, {1, 16, 16, 1}, 1), {Act::tanh});
    const Tensor ab = activation(pictures(context, {1, 16, 16, 2}, 2), {Act::tanh});
    const Values want = lab_to_rgb(l, ab).host(), got = lab_to_rgb_by_parts(l, ab).host();
    const double allowed = device == Device::ref ? 3e-6 : 1e-5;
    for (size_t i = 0; i < want.size(); ++i) CHECK(std::abs(got[i] - want[i]) < allowed);
  }
  for (const double lightness : {0.2, -0.97})
    check_gradients("lab_to_rgb_by_parts",
                    [&](const auto& in) {
                      return lab_to_rgb_by_parts(affine(in[0], 0.005, lightness), affine(in[1], 0.005));
                    },
                    {{1, 2, 2, 1}, {1, 2, 2, 2}});
}

TEST_CASE("grey and YUV of known colours, and TensorFlow's matrix") {
  DeviceContext context(Device::ref);
  Tensor t(context, {1, 1, 4, 3});
  t.upload(
      std::span<const double>(Values{-1, -1, -1, 1, 1, 1, 1, -1, -1, 0.4, -0.2, 0.8}));  // black, white, red
  const Picture luma = on_host(grey(t)), yuv = on_host(to_yuv(t)), x = on_host(t);
  for (int64_t w = 0; w < 4; ++w) {
    const double y = 0.299 * x.at(0, 0, w, 0) + 0.587 * x.at(0, 0, w, 1) + 0.114 * x.at(0, 0, w, 2);
    for (int64_t c = 0; c < 3; ++c) check_near(luma.at(0, 0, w, c), y);
    check_near(yuv.at(0, 0, w, 0), (y + 1) / 2);
  }
  for (int64_t c : {1, 2}) {  // greys have no colour
    CHECK(std::abs(yuv.at(0, 0, 0, c)) < 1e-15);
    CHECK(std::abs(yuv.at(0, 0, 1, c)) < 1e-15);
  }
  // rgb_to_yuv of TensorFlow, whose matrix has eight digits, of (0.7, 0.4, 0.9).
  CHECK(yuv.at(0, 0, 3, 1) ==
        doctest::Approx(-0.14714119 * 0.7 - 0.28886916 * 0.4 + 0.43601035 * 0.9).epsilon(1e-4));
  CHECK(yuv.at(0, 0, 3, 2) ==
        doctest::Approx(0.61497538 * 0.7 - 0.51496512 * 0.4 - 0.10001026 * 0.9).epsilon(1e-4));
  check_near(yuv.at(0, 0, 2, 2), 0.615);
  CHECK_THROWS_WITH_AS(grey(pictures(context, {1, 2, 2, 1})), doctest::Contains("(1,2,2,1)"), Error);
}
